# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""One of the trackers that `Fusion` listens to, on the receiver's clock."""

from dataclasses import dataclass, field

import numpy as np

from avatar_ros.body import SMPLX, BodyPose, FaceExpression
from avatar_ros.body.pose import IDENTITY_QUAT, TrackingState
from avatar_ros.geometry import quat_from_matrix
from avatar_ros.tracking.clock_offset import Motion, OffsetEstimator
from avatar_ros.types import FloatArray

ROOT = 0
_BY_THE_ROOT = SMPLX.rows(('pelvis', 'left_hip', 'right_hip', 'spine1'))


@dataclass
class Source:
    """What one tracker has told last."""

    name: str
    pose: BodyPose | None = None
    pose_s: float = -np.inf  # time of the sample on the receiver's clock
    face: FaceExpression | None = None
    face_s: float = -np.inf
    quats: FloatArray = field(default_factory=lambda: np.tile(IDENTITY_QUAT, (len(SMPLX), 1)))
    confidence: FloatArray = field(default_factory=lambda: np.zeros(len(SMPLX)))
    motion: Motion = field(default_factory=Motion)
    offset: OffsetEstimator = field(default_factory=OffsetEstimator)

    @property
    def lag_s(self) -> float:
        return self.offset.offset.lag_s if self.offset.offset is not None else 0.0

    def add_pose(self, pose: BodyPose, arrived_s: float) -> None:
        """Its newest pose."""
        mine = [j for j in SMPLX.joints if j in pose.skeleton.index]
        here, there = SMPLX.rows(mine), pose.skeleton.rows(mine)
        self.quats = np.tile(IDENTITY_QUAT, (len(SMPLX), 1))
        self.quats[here] = pose.rotations[there]
        self.confidence = np.zeros(len(SMPLX))
        if pose.state in (TrackingState.TRACKED, TrackingState.UNKNOWN):
            self.confidence[here] = pose.confidence[there]
            # Messages tell none of the root; it is known as well as what grows out of it.
            self.confidence[ROOT] = self.confidence[_BY_THE_ROOT].max()
            told = [j for j in mine if pose.confidence[pose.skeleton.index[j]] > 0.3]
            channels = {j: pose.rotation(j) for j in told if j != 'pelvis'}
            channels['root'] = quat_from_matrix(pose.T_frame_root[:3, :3])
            self.motion.add(pose.stamp_ns * 1e-9, arrived_s, channels)
        self.pose = pose
        self.pose_s = self._on_our_clock(pose.stamp_ns, arrived_s)

    def add_face(self, face: FaceExpression, arrived_s: float) -> None:
        """Its newest expression."""
        self.face = face
        if self.pose is None:  # a source of faces only tells the time by the head
            channels = {'head': face.head} if face.confidence > 0 else {}
            self.motion.add(face.stamp_ns * 1e-9, arrived_s, channels)
        self.face_s = self._on_our_clock(face.stamp_ns, arrived_s)

    def _on_our_clock(self, stamp_ns: int, arrived_s: float) -> float:
        """No sample is from the future, whatever its stamp says."""
        return min(arrived_s, stamp_ns * 1e-9 + self.motion.to_receiver_s)
