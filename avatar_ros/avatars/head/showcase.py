# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A contact sheet of a head: expressions across, points of view down."""

import numpy as np
import torch

from avatar_ros.avatars.avatar import Avatar
from avatar_ros.avatars.head.placing import NECK_HEIGHT_M
from avatar_ros.avatars.player import Player
from avatar_ros.avatars.stage import Stage
from avatar_ros.body import ARKIT_52, FLAME, BodyPose, FaceExpression
from avatar_ros.geometry import Camera, look_at
from avatar_ros.render import Engine, to_rgb8
from avatar_ros.types import Image

_BACKGROUND = (0.86, 0.87, 0.88)
_ACROSS_M, _FOV_DEG = 0.42, 20.0
#: Middle of a head above and before its neck joint, y up.
_MIDDLE = np.array([0.0, 0.105, 0.03])
FACES: tuple[dict[str, float], ...] = (
    {},
    {'mouthSmileLeft': 0.9, 'mouthSmileRight': 0.9, 'cheekSquintLeft': 0.5,
     'cheekSquintRight': 0.5},
    {'jawOpen': 0.8, 'browInnerUp': 0.8, 'browOuterUpLeft': 0.7, 'browOuterUpRight': 0.7},
    {'eyeBlinkLeft': 1.0, 'eyeBlinkRight': 1.0},
    {'mouthPucker': 0.9, 'eyeLookOutLeft': 0.8, 'eyeLookInRight': 0.8},
)  # fmt: skip
AZIMUTHS_DEG = (0.0, 40.0, -75.0)


def head_sheet(avatar: Avatar, engine: Engine, size: int = 256) -> Image:
    """Pictures (rows * size, columns * size, 3)."""
    rows = [
        np.hstack([_picture(avatar, engine, face, azimuth, size) for face in FACES])
        for azimuth in AZIMUTHS_DEG
    ]
    return np.vstack(rows)


def _picture(
    avatar: Avatar, engine: Engine, face: dict[str, float], azimuth_deg: float, size: int
) -> Image:
    pose = BodyPose(FLAME, np.eye(4), np.tile([1.0, 0, 0, 0], (len(FLAME), 1)), np.ones(len(FLAME)))
    weights = np.array([face.get(name, 0.0) for name in ARKIT_52])
    player = Player(avatar, engine, Stage(on_floor=False), background=_BACKGROUND)
    expression = FaceExpression('arkit52', ARKIT_52, weights)
    player.deform(pose, expression)
    a = np.radians(azimuth_deg)
    neck = np.array([0.0, avatar.ground_height(pose) + NECK_HEIGHT_M, 0.0])
    target = neck + _MIDDLE
    away = _ACROSS_M / 2 / np.tan(np.radians(_FOV_DEG) / 2)
    eye = target + away * np.array([np.sin(a), 0.03, np.cos(a)])
    camera = Camera.from_fov(size, size, _FOV_DEG).at(look_at(eye, target))
    with torch.no_grad():
        rendered = player.draw([camera], torch.tensor(_BACKGROUND), depth=False)
    return to_rgb8(rendered.colors[0, ..., :3])
