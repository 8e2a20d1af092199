# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Rotations of numpy arrays: quaternions (wxyz), matrices, rotation vectors (axis times angle).

Every function broadcasts over leading dimensions and works in float64.
"""

import numpy as np
from numpy.typing import ArrayLike

from avatar_ros.types import FloatArray

_TINY = 1e-12


def quat_from_xyzw(xyzw: ArrayLike) -> FloatArray:
    """ROS quaternion (..., 4) xyzw -> wxyz. The one place where the order changes."""
    return np.roll(np.asarray(xyzw, dtype=float), 1, axis=-1)


def xyzw_from_quat(quat: ArrayLike) -> FloatArray:
    """Inner quaternion (..., 4) wxyz -> xyzw, as ROS messages carry it."""
    return np.roll(np.asarray(quat, dtype=float), -1, axis=-1)


def normalize_quat(quat: ArrayLike) -> FloatArray:
    """Unit quaternions (..., 4).

    :raises ValueError: if one has no length, because it then stands for no rotation.
    """
    quat = np.asarray(quat, dtype=float)
    length = np.linalg.norm(quat, axis=-1, keepdims=True)
    if not np.all(length > 1e-6):
        raise ValueError(
            f'a quaternion has length {float(np.min(length)):.3g}; a rotation needs length 1. '
            'Send (x, y, z, w) = (0, 0, 0, 1) for "no rotation".'
        )
    return quat / length


def quat_multiply(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Hamilton product (..., 4): rotates by b first, then by a."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def quat_conjugate(quat: ArrayLike) -> FloatArray:
    """Inverse (..., 4) of unit quaternions."""
    return np.asarray(quat, dtype=float) * np.array([1.0, -1.0, -1.0, -1.0])


def matrix_from_quat(quat: ArrayLike) -> FloatArray:
    """Rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    w, x, y, z = np.moveaxis(np.asarray(quat, dtype=float), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quat_from_matrix(R: ArrayLike) -> FloatArray:
    """Unit quaternions (..., 4) with w >= 0 of rotation matrices (..., 3, 3).

    Uses the largest of the four components as divisor, so that no angle is special.
    """
    R = np.asarray(R, dtype=float)
    m00, m11, m22 = R[..., 0, 0], R[..., 1, 1], R[..., 2, 2]
    # Row k of `candidates` is the quaternion times four times its k-th component.
    candidates = np.stack(
        [
            np.stack(
                [
                    1 + m00 + m11 + m22,
                    R[..., 2, 1] - R[..., 1, 2],
                    R[..., 0, 2] - R[..., 2, 0],
                    R[..., 1, 0] - R[..., 0, 1],
                ],
                -1,
            ),
            np.stack(
                [
                    R[..., 2, 1] - R[..., 1, 2],
                    1 + m00 - m11 - m22,
                    R[..., 0, 1] + R[..., 1, 0],
                    R[..., 0, 2] + R[..., 2, 0],
                ],
                -1,
            ),
            np.stack(
                [
                    R[..., 0, 2] - R[..., 2, 0],
                    R[..., 0, 1] + R[..., 1, 0],
                    1 - m00 + m11 - m22,
                    R[..., 1, 2] + R[..., 2, 1],
                ],
                -1,
            ),
            np.stack(
                [
                    R[..., 1, 0] - R[..., 0, 1],
                    R[..., 0, 2] + R[..., 2, 0],
                    R[..., 1, 2] + R[..., 2, 1],
                    1 - m00 - m11 + m22,
                ],
                -1,
            ),
        ],
        axis=-2,
    )
    best = np.argmax(np.einsum('...kk->...k', candidates), axis=-1)
    quat = np.take_along_axis(candidates, best[..., None, None], axis=-2)[..., 0, :]
    quat = quat / np.linalg.norm(quat, axis=-1, keepdims=True)
    return np.where(quat[..., :1] < 0, -quat, quat)


def quat_from_rotvec(rotvec: ArrayLike) -> FloatArray:
    """Unit quaternions (..., 4) of rotation vectors (..., 3) in radians."""
    rotvec = np.asarray(rotvec, dtype=float)
    half = 0.5 * np.linalg.norm(rotvec, axis=-1, keepdims=True)
    return np.concatenate([np.cos(half), 0.5 * np.sinc(half / np.pi) * rotvec], axis=-1)


def rotvec_from_quat(quat: ArrayLike) -> FloatArray:
    """Rotation vectors (..., 3), at most pi long, of unit quaternions (..., 4)."""
    quat = np.asarray(quat, dtype=float)
    quat = np.where(quat[..., :1] < 0, -quat, quat)
    sine = np.linalg.norm(quat[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quat[..., :1])
    return quat[..., 1:] * np.where(sine > _TINY, angle / np.maximum(sine, _TINY), 2.0)


def matrix_from_rotvec(rotvec: ArrayLike) -> FloatArray:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3) in radians."""
    return matrix_from_quat(quat_from_rotvec(rotvec))


def rotvec_from_matrix(R: ArrayLike) -> FloatArray:
    """Rotation vectors (..., 3) of rotation matrices (..., 3, 3); stable up to pi."""
    return rotvec_from_quat(quat_from_matrix(R))


def slerp(a: ArrayLike, b: ArrayLike, t: ArrayLike) -> FloatArray:
    """Unit quaternions (..., 4) on the shorter arc from a (t = 0) to b (t = 1)."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    step = rotvec_from_quat(quat_multiply(quat_conjugate(a), b))
    return quat_multiply(a, quat_from_rotvec(np.asarray(t, dtype=float)[..., None] * step))


def angle_between(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Angles (...) in radians, 0..pi, between rotations given as unit quaternions (..., 4)."""
    difference = quat_multiply(quat_conjugate(a), b)
    return 2 * np.arctan2(np.linalg.norm(difference[..., 1:], axis=-1), np.abs(difference[..., 0]))
