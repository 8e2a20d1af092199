# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Poses as few bits: root, joints, expression and pose coefficients in at most 304 bytes.

A rotation is the three smallest numbers of its quaternion. Each joint has as many bits as what it
carries is long, so that rounding moves a fingertip and a foot by about as much.
"""

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avatar_ros.avatars.skinned import SkinnedAvatar
from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.geometry import R_ROS_SMPL, quat_from_matrix, quat_multiply
from avatar_ros.types import Array, FloatArray

MAX_BYTES = 304
MAX_COMPONENTS = 64
#: Of the root's position, in metres.
POSITION_STEP = 1e-4
_POSITION_BITS = 20
_ROOT_BITS = 20
_FACE_BITS = 7
#: Bits of a joint that carries a metre, and of a pose coefficient: the first that fit are taken.
_PRECISIONS = ((14, 12), (13, 12), (12, 12), (12, 10), (12, 8), (11, 8), (10, 7), (9, 6), (8, 6))
_JOINT_BITS = 5, 16
_SHORTEST_M = 0.02
_TINY = 1e-30


@dataclass(frozen=True)
class PoseLayout:
    """How many bits each value of one avatar's poses has."""

    joint_bits: Array
    """(J,) uint8: of each of three numbers; of the root's rotation too."""
    face: int
    """Number of expression weights."""
    limit: Array
    """(K,) float32: largest pose coefficients."""
    coefficient_bits: int

    @classmethod
    def of(cls, avatar: SkinnedAvatar) -> 'PoseLayout':
        """The finest that fits.

        :raises ValueError: if none does.
        """
        face, basis = avatar.bundle.expression, avatar.bundle.pose_basis
        weights = 0 if face is None else len(face.names)
        limit = np.zeros(0, np.float32) if basis is None else basis.limit.astype(np.float32)
        if len(limit) > MAX_COMPONENTS:
            raise ValueError(f'its pose basis has {len(limit)} components; {MAX_COMPONENTS} fit')
        extra = np.log2(avatar.joints.reach().clip(_SHORTEST_M))
        for metre_bits, coefficient_bits in _PRECISIONS:
            bits = np.clip(np.rint(metre_bits + extra), *_JOINT_BITS).astype(np.uint8)
            bits[0] = _ROOT_BITS
            layout = cls(bits, weights, limit, coefficient_bits)
            if layout.size <= MAX_BYTES:
                return layout
        raise ValueError(
            f'a pose of {len(extra)} joints, {weights} expression weights and {len(limit)} '
            f'coefficients does not fit into {MAX_BYTES} bytes'
        )

    @cached_property
    def _widths(self) -> list[int]:
        """Bits of each number of a pose, in their order."""
        rotations = [(2, b, b, b) for b in self.joint_bits.tolist()]
        return [
            *(3 * [_POSITION_BITS]),
            *(width for rotation in rotations for width in rotation),
            *([32, *(self.face * [_FACE_BITS])] if self.face else []),
            *(len(self.limit) * [self.coefficient_bits]),
        ]

    @property
    def size(self) -> int:
        """Bytes of a pose."""
        return -(-sum(self._widths) // 8)

    def tensors(self) -> dict[str, Array]:
        """For the file."""
        return {
            'joint_bits': self.joint_bits,
            'pose_limit': self.limit,
            'bits': np.array([_POSITION_BITS, _FACE_BITS, self.coefficient_bits], np.uint8),
            'position_step': np.array([POSITION_STEP], np.float32),
        }

    def encode(self, avatar: SkinnedAvatar, pose: BodyPose, face: FaceExpression | None) -> bytes:
        """A pose in the stage frame, as `size` bytes in scene axes.

        :raises ValueError: if it is not finite, or has the wrong number of joints.
        """
        rotations = avatar.joints.posed_rotations(pose, face)
        weights = avatar.expression_weights(face)
        root = np.asarray(pose.T_frame_root, float)
        if not (np.isfinite(rotations).all() and np.isfinite(root).all()):
            raise ValueError('pose is not finite; drop the sample that it comes from.')
        turn = quat_from_matrix(R_ROS_SMPL.T @ root[:3, :3])
        rotations[0] = quat_multiply(turn, rotations[0])
        return self.pack(
            R_ROS_SMPL.T @ root[:3, 3], rotations, weights, avatar.pose_coefficients(pose)
        )

    def pack(
        self, position: FloatArray, rotations: FloatArray, face: FloatArray, coefficients: Array
    ) -> bytes:
        """Position (3,), quaternions (J, 4) wxyz, expression weights, pose coefficients (K,)."""
        largest, others = smallest_three(rotations)
        steps = _steps(others, self.joint_bits[:, None])
        parts = [
            _steps(np.asarray(position) / (POSITION_STEP * _top(_POSITION_BITS)), _POSITION_BITS),
            np.column_stack([largest, steps]).ravel(),
        ]
        if self.face:
            most = float(np.float32(np.abs(face).max()))
            bits = int.from_bytes(struct.pack('<f', most), 'little')
            parts += [np.array([bits]), _steps(face / max(most, _TINY), _FACE_BITS)]
        parts.append(_steps(coefficients / self.limit.clip(_TINY), self.coefficient_bits))
        value = at = 0
        for number, width in zip(np.concatenate(parts).tolist(), self._widths, strict=True):
            value |= number << at
            at += width
        return value.to_bytes(self.size, 'little')


def smallest_three(quats: FloatArray) -> tuple[Array, FloatArray]:
    """Which of w, x, y, z is the largest (J,); the others (J, 3), -1..1, made so that it is > 0."""
    quats = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    largest = np.abs(quats).argmax(1)
    rows = np.arange(len(quats))
    rest = np.ones(quats.shape, bool)
    rest[rows, largest] = False
    others = quats[rest].reshape(-1, 3)
    return largest, others * np.copysign(np.sqrt(2.0), quats[rows, largest])[:, None]


def _top(bits: int | Array) -> Array:
    return np.asarray((1 << (np.asarray(bits, np.int64) - 1)) - 1)


def _steps(shares: FloatArray | Array, bits: int | Array) -> Array:
    """Shares -1..1 as whole numbers 0..2 top."""
    top = _top(bits)
    return np.asarray(np.rint(shares * top).clip(-top, top) + top).astype(np.int64)
