# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What a tracker says of a person at one instant: joint rotations and facial expression."""

import enum
from dataclasses import dataclass, field

import numpy as np

from avatar_ros.body.skeletons import ARKIT_52, SMPLX, Skeleton
from avatar_ros.types import Array, FloatArray

IDENTITY_QUAT = np.array([1.0, 0.0, 0.0, 0.0])


class TrackingState(enum.IntEnum):
    """Whether a pose was seen; the numbers are those of BodyPose.msg."""

    UNKNOWN = 0
    TRACKED = 1
    HELD = 2
    """Not seen just now: the last pose is repeated."""
    FADING = 3
    """Not seen for longer: on the way to rest."""
    LOST = 4


def _no_betas() -> FloatArray:
    return np.zeros(0)


@dataclass(frozen=True)
class BodyPose:
    """Pose of one body: root transform and parent-relative joint rotations."""

    skeleton: Skeleton
    T_frame_root: FloatArray
    """Root joint (4, 4): maps SMPL axes (x left, y up, z forward) at the pelvis to `frame_id`."""
    rotations: FloatArray
    """Parent-relative unit quaternions (J, 4) wxyz; row 0 (the root) is the identity."""
    confidence: FloatArray
    """(J,) in 0..1; 0 = do not use."""
    stamp_ns: int = 0
    """Time of the sample that the pose was seen in."""
    frame_id: str = ''
    person_id: str = ''
    betas: FloatArray = field(default_factory=_no_betas)
    source: str = ''
    state: TrackingState = TrackingState.UNKNOWN

    def rotation(self, joint: str) -> FloatArray:
        """Parent-relative quaternion (4,) of the named joint."""
        return np.asarray(self.rotations[self.skeleton.index[joint]])


def rest_pose(skeleton: Skeleton = SMPLX, T_frame_root: FloatArray | None = None) -> BodyPose:
    """The T-pose with no confidence, at the origin or with its root at `T_frame_root` (4, 4)."""
    joints = len(skeleton)
    return BodyPose(
        skeleton,
        np.eye(4) if T_frame_root is None else T_frame_root,
        np.tile(IDENTITY_QUAT, (joints, 1)),
        np.zeros(joints),
        source='rest',
    )


def _identity() -> FloatArray:
    return IDENTITY_QUAT.copy()


@dataclass(frozen=True)
class FaceExpression:
    """Facial expression as weights of a named basis, with the rotations that go with it."""

    basis: str
    """``arkit52`` or ``flame``."""
    names: tuple[str, ...]
    weights: Array
    """(len(names),); ARKit weights are in 0..1."""
    head: FloatArray = field(default_factory=_identity)
    """Rotation (4,) wxyz of the head, SMPL axes, in `frame_id`."""
    jaw: FloatArray = field(default_factory=_identity)
    """Jaw, left and right eye: rotations (4,) wxyz relative to the head."""
    left_eye: FloatArray = field(default_factory=_identity)
    right_eye: FloatArray = field(default_factory=_identity)
    confidence: float = 1.0
    stamp_ns: int = 0
    frame_id: str = ''
    person_id: str = ''

    def weights_for(self, names: tuple[str, ...]) -> FloatArray:
        """Weights (len(names),) in another order of names; 0 for those that are not there."""
        by_name = dict(zip(self.names, self.weights, strict=True))
        return np.array([by_name.get(name, 0.0) for name in names])


def neutral_face() -> FaceExpression:
    """No expression, looking ahead, with no confidence."""
    return FaceExpression('arkit52', ARKIT_52, np.zeros(len(ARKIT_52)), confidence=0.0)
