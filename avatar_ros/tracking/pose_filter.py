# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Smooth poses of trackers that jitter: One-Euro over joint rotations and the root, by person."""

from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np

from avatar_ros.body import BodyPose
from avatar_ros.geometry import matrix_from_quat, quat_from_matrix, rigid
from avatar_ros.tracking.one_euro import OneEuroConfig, OneEuroFilter, RotationOneEuroFilter
from avatar_ros.types import FloatArray

_MAX_PEOPLE = 8  # the one not seen for longest goes first


@dataclass(frozen=True)
class PoseFilterConfig:
    """How much is smoothed, and when the past is forgotten."""

    rotations: OneEuroConfig = OneEuroConfig(min_cutoff_hz=2.0, beta=4.0)
    """Speeds in rad/s."""
    place: OneEuroConfig = OneEuroConfig(min_cutoff_hz=2.0, beta=4.0)
    """Of the pelvis; speeds in m/s."""
    reset_after_s: float = 1.0
    """A gap between poses of a person longer than this starts afresh."""


class PoseFilter:
    """Poses of any number of people, each smoothed by its own past. Time comes from the stamps."""

    def __init__(self, config: PoseFilterConfig | None = None) -> None:
        self.config = config or PoseFilterConfig()
        self._people: OrderedDict[str, _Person] = OrderedDict()

    def __call__(self, pose: BodyPose) -> BodyPose:
        """The pose with its root and joints smoothed; all else is as it was.

        A stamp before the last one, a gap, another frame or another skeleton starts afresh. A joint
        without confidence passes as it is, and so does its first rotation after that.
        """
        person = self._people.get(pose.person_id)
        if person is None or not person.continues(pose, self.config.reset_after_s):
            person = self._people[pose.person_id] = _Person(self.config)
        self._people.move_to_end(pose.person_id)
        while len(self._people) > _MAX_PEOPLE:
            self._people.popitem(last=False)
        return person(pose)


class _Person:
    def __init__(self, config: PoseFilterConfig) -> None:
        self._rotations = RotationOneEuroFilter(config.rotations)
        self._place = OneEuroFilter(config.place)
        self._last: BodyPose | None = None

    def continues(self, pose: BodyPose, reset_after_s: float) -> bool:
        """Whether the pose may be blended with the ones before."""
        last = self._last
        return (
            last is not None
            and 0 <= pose.stamp_ns - last.stamp_ns <= reset_after_s * 1e9
            and (pose.frame_id, pose.skeleton) == (last.frame_id, last.skeleton)
        )

    def __call__(self, pose: BodyPose) -> BodyPose:
        last, self._last = self._last, pose
        quats: FloatArray = np.array(pose.rotations, dtype=float)
        quats[0] = quat_from_matrix(pose.T_frame_root[:3, :3])  # the root's turn, where none is
        unknown = pose.confidence <= 0
        unknown[0] = False
        dt_s = 0.0
        if last is not None:
            dt_s = (pose.stamp_ns - last.stamp_ns) * 1e-9
            was_unknown = last.confidence <= 0
            was_unknown[0] = False
            self._rotations.restart(unknown | was_unknown, quats)
        quats = self._rotations(quats, dt_s)
        place = self._place(pose.T_frame_root[None, :3, 3], dt_s)[0]
        T_frame_root = rigid(matrix_from_quat(quats[0]), place)
        quats[0] = pose.rotations[0]
        return replace(pose, T_frame_root=T_frame_root, rotations=quats)
