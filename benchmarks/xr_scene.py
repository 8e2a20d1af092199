# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The shipped avatar in motion, drawn for a viewer's eyes: what the XR benchmarks send."""

from dataclasses import replace

import numpy as np

from avatar_ros.avatars import load_avatar
from avatar_ros.avatars.player import Player
from avatar_ros.avatars.stage import Stage
from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.geometry import R_OPTICAL_SMPL, Camera, matrix_from_quat, quat_from_rotvec, rigid
from avatar_ros.render import Engine, NumbaEngine
from avatar_ros.streaming.xr.packing import Layers
from avatar_ros.streaming.xr.viewport import LockedViewport, cameras_of_eyes
from avatar_ros.training.synthetic.acting import acted_motion
from avatar_ros.types import FloatArray

FPS = 30.0
#: Half the distance between the eyes.
_HALF_IPD_M = 0.032
_LENS = (-1.0, 1.0, -1.0, 1.0)


class MovingAvatar:
    """Poses of a person who moves and turns, and the views of them."""

    def __init__(
        self, frames: int = 90, avatar: str = 'demo', engine: Engine | None = None
    ) -> None:
        engine = engine or NumbaEngine(threads=1)
        self.player = Player(load_avatar(avatar, engine.device), engine, Stage())
        # Slower than the capture's: one turn and seven poses in three seconds are a dance.
        self._rotvecs = acted_motion(frames * 2, turns=0.3)[:frames]
        self._viewport = LockedViewport()

    def __len__(self) -> int:
        return len(self._rotvecs)

    def body_pose(self, frame: int) -> BodyPose:
        """As a tracker would give it, three metres before its camera."""
        quats = quat_from_rotvec(self._rotvecs[frame % len(self)])
        root = np.array(quats[0])
        quats[0] = [1.0, 0, 0, 0]
        T = rigid(R_OPTICAL_SMPL @ matrix_from_quat(root), np.array([0.0, 0.0, 3.0]))
        stamp_ns = round(frame / FPS * 1e9)
        return replace(BodyPose(SMPLX, T, quats, np.ones(len(SMPLX))), stamp_ns=stamp_ns)

    def pose(self, frame: int) -> None:
        """Put the avatar into the pose of a frame."""
        self.player.pose(self.body_pose(frame), None)

    def locked(self, eyes: FloatArray, width: int, height: int) -> list[Camera]:
        """The avatar-locked views for eyes (n, 11)."""
        points = self.player.outline()
        return self._viewport.cameras(cameras_of_eyes(eyes, width, height), points, 0.0)

    def draw(self, cameras: list[Camera]) -> list[Layers]:
        """Fresh arrays."""
        drawn = self.player.draw(cameras, depth=True)
        colors, alphas = drawn.colors.numpy(), drawn.alphas.numpy()
        return [Layers(colors[k].copy(), alphas[k, ..., 0].copy()) for k in range(len(cameras))]


def stereo_eyes(
    position: tuple[float, float, float] = (0.0, 1.5, 1.8), heading_rad: float = 0.0
) -> FloatArray:
    """(2, 11) eyes of a head in scene axes, looking along -z when the heading is 0."""
    quat = quat_from_rotvec(np.array([0.0, heading_rad, 0.0]))
    aside = np.array([np.cos(heading_rad), 0.0, -np.sin(heading_rad)]) * _HALF_IPD_M
    xyzw = np.roll(quat, -1)
    return np.array([[*(np.array(position) + s * aside), *xyzw, *_LENS] for s in (-1, 1)])
