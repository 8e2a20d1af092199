# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""How a personalised head looks where no photograph was taken, and with faces nobody made."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from avatar_ros.geometry import Camera
from avatar_ros.training.capture import Shot
from avatar_ros.training.evaluate import Score, judge
from avatar_ros.training.head.capture import HeadCapture
from avatar_ros.training.head.personal import Personalisation
from avatar_ros.training.head.scene import View
from avatar_ros.training.perceptual import Perceptual


def held_out(
    capture: HeadCapture, photographs: Sequence[str], instant: str
) -> dict[str, list[Shot]]:
    """Pictures that the photographs of an instant do not show, by what is new about them.

    ``novel_view``: the same face from other cameras. ``novel_expression``: other faces from the
    same cameras. ``all``: other faces from all cameras.
    """
    same = [
        shot
        for split in ('train', 'novel_view')
        for shot in capture.shots.get(split, ())
        if f'{shot.row:05d}' == instant and shot.camera_name not in photographs
    ]
    other = list(capture.shots.get('novel_expression', ()))
    return {
        'novel_view': same,
        'novel_expression': [s for s in other if s.camera_name in photographs],
        'all': other,
    }


def judge_head(
    made: Personalisation,
    shots: Mapping[str, Sequence[Shot]],
    perceptual: Perceptual | None = None,
    refined: bool = True,
) -> dict[str, Score]:
    """Scores of every group of pictures.

    :param refined: after the screen-space network; otherwise as the Gaussians alone look.
    """
    empty = torch.zeros(0)

    @torch.no_grad()
    def draw(row: int, camera: Camera) -> tuple[Tensor, Tensor]:
        view = View(0, f'{row:05d}', camera, empty.numpy(), empty.numpy())
        drawn = made.draw(view)
        return drawn.image if refined else drawn.splatted, drawn.alpha[..., 0]

    size = made.config.image_size
    return {
        name: judge(draw, group, size, perceptual=perceptual)
        for name, group in shots.items()
        if group
    }
