# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Heads to look at: faces and views that no photograph shows, truth on the left of each pair."""

import numpy as np
import torch

from avatar_ros.training.head.capture import HeadCapture
from avatar_ros.training.head.personal import Personalisation
from avatar_ros.training.head.scene import read_view
from avatar_ros.types import Image

#: Pixels of each picture: larger than what the small presets learn from.
SIZE = 288
CAMERAS = ('08', '03', '12')


@torch.no_grad()
def contact_sheet(made: Personalisation, capture: HeadCapture) -> Image:
    """One person: a row for each camera, a pair for each held-out face."""
    shots = capture.shots['novel_expression']
    rows = []
    for camera in CAMERAS:
        pairs = []
        for shot in shots:
            if shot.camera_name != camera:
                continue
            view = read_view(shot, SIZE)
            drawn = made.draw(view).image.detach().cpu().clamp(0, 1).numpy()
            pairs += [view.rgb, np.asarray(drawn * 255, np.uint8)]
        rows.append(np.hstack(pairs))
    return np.vstack(rows)
