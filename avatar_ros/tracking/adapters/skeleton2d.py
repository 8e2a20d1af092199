# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""REP-155 (ROS4HRI): ``/humans/bodies/<id>/skeleton2d``, hri_msgs/Skeleton2D: a person in an image.

18 points as shares of the image's width and height, with confidences. The order is that of the
message's constants: unlike OpenPose's, the left eye and ear come first.
"""

from typing import Any

import numpy as np

from avatar_ros.geometry import Camera
from avatar_ros.tracking.adapters.points import ImagePoints, stamp_and_frame

_NECK = 'neck'  # trackers put it between the shoulders: it says nothing that they do not
_POINTS = (
    *('nose', _NECK),
    *('right_shoulder', 'right_elbow', 'right_wrist'),
    *('left_shoulder', 'left_elbow', 'left_wrist'),
    *('right_hip', 'right_knee', 'right_ankle'),
    *('left_hip', 'left_knee', 'left_ankle'),
    *('left_eye', 'right_eye', 'left_ear', 'right_ear'),
)
_FARTHEST = 4.0  # images beside the image: a limb that is out of view may be guessed there


def image_points(message: Any, camera: Camera) -> ImagePoints:
    """Rays to the points of a Skeleton2D, of the camera that took its image.

    :raises ValueError: if there are not 18 points, or one is not a share of the image.
    """
    skeleton = list(message.skeleton)
    if len(skeleton) != len(_POINTS):
        raise ValueError(f'Skeleton2D has {len(skeleton)} points; expected {len(_POINTS)}.')
    shares = np.array([(point.x, point.y) for point in skeleton], dtype=float)
    confidence = [float(point.c) for point in skeleton]
    for name, share, c in zip(_POINTS, shares, confidence, strict=True):
        if c > 0 and np.isfinite(share).all() and np.abs(share - 0.5).max() > _FARTHEST:
            raise ValueError(
                f'{name} is at {share[0]:.6g}, {share[1]:.6g}; expected shares of the image, 0 to '
                '1. If these are pixels, divide them by the width and height of the image; if the '
                'person is too near, step back.'
            )
    finite = np.isfinite(shares).all(axis=1)
    rays = camera.rays(np.where(finite[:, None], shares, 0.5) * (camera.width, camera.height))
    rays[~finite] = np.nan
    stamp_ns, frame_id = stamp_and_frame(message.header)
    seen = [k for k, name in enumerate(_POINTS) if name != _NECK]
    return ImagePoints(
        {_POINTS[k]: rays[k] for k in seen},
        {_POINTS[k]: confidence[k] for k in seen},
        stamp_ns,
        frame_id,
        source='skeleton2d',
    )
