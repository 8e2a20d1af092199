# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Where avatars stand: from the frame of their poses to a level stage.

The *stage* is a REP-103 frame (z up) whose origin is the spot on the floor where the first person
was first seen. Its x points to the tracking camera; of poses that come in no camera's frame, but
in that of a room or of a headset's play space, it is that frame's x. The *avatar* frame has the
same axes and follows the person smoothly, or the middle of several: views that keep them in sight
are asked for in it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from transforms3d.euler import euler2mat

from avatar_ros.avatars.avatar import Avatar
from avatar_ros.body import BodyPose
from avatar_ros.geometry import R_ROS_OPTICAL, invert_rigid, rigid
from avatar_ros.types import FloatArray

_UP = np.array([0.0, 0.0, 1.0])
_FOLLOW_S = 0.6  # time constant of the avatar frame
_SETTLE_S = 0.15  # time constant of the floor, so that it does not tremble with the feet

Axes = Literal['optical', 'camera', 'world']
#: The Azure Kinect's depth camera: its driver gives it optical axes and another name.
OPTICAL_FRAMES = ('depth_camera_link',)


def axes_of(frame_id: str, optical_frames: Sequence[str] = OPTICAL_FRAMES) -> Axes:
    """Which way a frame's axes point, by its name.

    ``optical``: z forward, x right, y down (REP-103: names that end in ``_optical_frame``), also
    where no frame is named, and those whose name ends like one of `optical_frames`. ``camera``: x
    forward, y left, z up of other frames with a camera in their name. ``world``: all others, z up.
    """
    if not frame_id or 'optical' in frame_id or frame_id.endswith(tuple(optical_frames)):
        return 'optical'
    return 'camera' if 'camera' in frame_id else 'world'


@dataclass
class _Spot:
    """Of one person."""

    stamp_ns: int
    floor: FloatArray = field(default_factory=lambda: np.zeros(()))
    ground: FloatArray = field(default_factory=lambda: np.zeros(3))


class Stage:
    """Places poses of any frame whose name tells its axes, see `axes_of`."""

    def __init__(
        self,
        *,
        camera_pitch_deg: float = 0.0,
        camera_roll_deg: float = 0.0,
        on_floor: bool = True,
        optical_frames: Sequence[str] = OPTICAL_FRAMES,
    ) -> None:
        # Pitch: the camera looks down by so much. Roll: its right side is lower by so much.
        level = euler2mat(np.radians(camera_roll_deg), np.radians(camera_pitch_deg), 0.0, 'sxyz')
        to_camera = np.diag([-1.0, -1.0, 1.0]) @ level
        self._R_stage_frame: dict[Axes, FloatArray] = {
            'optical': to_camera @ R_ROS_OPTICAL,
            'camera': to_camera,
            'world': np.eye(3),
        }
        self._optical_frames = tuple(optical_frames)
        self._on_floor = on_floor
        self.reset()

    def reset(self) -> None:
        """The next pose defines the origin."""
        self._origin: FloatArray = np.zeros(3)
        self._spots: dict[str, _Spot] = {}
        self.T_stage_avatar: FloatArray = np.eye(4)
        self.T_stage_frame: FloatArray = np.eye(4)
        """From the frame of the poses, as the first person stands in both."""
        self.frame_id = ''
        """That frame."""

    def place(self, pose: BodyPose, avatar: Avatar, others: Collection[str] = ()) -> BodyPose:
        """The pose in the stage frame, its feet on the floor.

        `others` are the ids of those who share the stage; whoever else was on it has left. Who
        comes to an empty stage, or goes back in time while alone on it, defines its origin.
        """
        for gone in self._spots.keys() - {*others, pose.person_id}:
            del self._spots[gone]
        spot = self._spots.get(pose.person_id)
        dt_s = 0.0 if spot is None else (pose.stamp_ns - spot.stamp_ns) * 1e-9
        fresh = spot is None or dt_s < 0
        spot = self._spots.setdefault(pose.person_id, _Spot(pose.stamp_ns))
        spot.stamp_ns = pose.stamp_ns
        T = np.array(pose.T_frame_root)
        R_stage_frame = self._R_stage_frame[axes_of(pose.frame_id, self._optical_frames)]
        T[:3, :3] = R_stage_frame @ T[:3, :3]
        position = R_stage_frame @ T[:3, 3]
        afresh = fresh and len(self._spots) == 1
        if afresh:
            self._origin = position
            self.T_stage_avatar = np.eye(4)
        T[:3, 3] = position - self._origin
        if self._on_floor:
            T[2, 3] = 0.0
            height = avatar.ground_height(replace(pose, T_frame_root=T), _UP)
            spot.floor = _approach(spot.floor, np.asarray(height), dt_s, _SETTLE_S, fresh)
            T[2, 3] = -spot.floor
        spot.ground = T[:3, 3] * (1.0, 1.0, 0.0)
        if spot is next(iter(self._spots.values())):  # once for all of them
            followed = self.T_stage_avatar[:3, 3]
            middle = np.mean([s.ground for s in self._spots.values()], axis=0)
            moved = _approach(followed, middle, dt_s, _FOLLOW_S, afresh)
            self.T_stage_avatar = rigid(np.eye(3), moved)
            shift = T[:3, 3] - R_stage_frame @ pose.T_frame_root[:3, 3]
            self.T_stage_frame = rigid(R_stage_frame, shift)
            self.frame_id = pose.frame_id
        return replace(pose, T_frame_root=T)

    def view_from_avatar_frame(self, T_camera_avatar: FloatArray) -> FloatArray:
        """T_camera_stage of a camera whose pose is given in the avatar frame."""
        return np.asarray(T_camera_avatar @ invert_rigid(self.T_stage_avatar))


def _approach(
    value: FloatArray | float, goal: FloatArray, dt_s: float, time_constant_s: float, jump: bool
) -> FloatArray:
    share = 1.0 if jump else 1.0 - np.exp(-max(dt_s, 0.0) / time_constant_s)
    return np.asarray(value + share * (np.asarray(goal) - value))
