# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Compiled geometry of one rotation at a time, for code that needs hundreds a frame.

`rotations.py` has the same functions for whole arrays and is the reference (a test holds them
together). These take and give C-contiguous float64 arrays and release the GIL.
"""

import math

import numpy as np
from numba import njit

from avatar_ros.types import FloatArray

_compiled = njit(cache=True, nogil=True, error_model='numpy')


@_compiled
def cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Cross product (3,)."""
    return np.array(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )


@_compiled
def length(v: FloatArray) -> float:
    """Euclidean length of a vector (3,)."""
    return math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])


@_compiled
def unit(v: FloatArray) -> FloatArray:
    """The vector (3,) at length one; a vector without length stays as it is."""
    return v / max(length(v), 1e-9)


@_compiled
def rotvec_of(R: FloatArray) -> FloatArray:
    """Rotation vector (3,) of a rotation matrix (3, 3)."""
    v = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    sine2, cosine2 = length(v), R[0, 0] + R[1, 1] + R[2, 2] - 1.0  # both times two
    angle = math.atan2(sine2, cosine2)
    if sine2 > 1e-6:
        return v * (angle / sine2)
    if cosine2 > 0:
        return 0.5 * v
    # Half a turn: the axis is the largest column of R + 1.
    k = 0
    for i in range(1, 3):
        if R[i, i] > R[k, k]:
            k = i
    axis = R[:, k].copy()
    axis[k] += 1.0
    return unit(axis) * angle


@_compiled
def matrix_of(rotvec: FloatArray) -> FloatArray:
    """Rotation matrix (3, 3) of a rotation vector (3,)."""
    angle = length(rotvec)
    R = np.eye(3)
    if angle < 1e-12:
        return R
    x, y, z = rotvec[0] / angle, rotvec[1] / angle, rotvec[2] / angle
    s, c = math.sin(angle), math.cos(angle)
    d = 1.0 - c
    R[0, 0], R[0, 1], R[0, 2] = c + x * x * d, x * y * d - z * s, x * z * d + y * s
    R[1, 0], R[1, 1], R[1, 2] = y * x * d + z * s, c + y * y * d, y * z * d - x * s
    R[2, 0], R[2, 1], R[2, 2] = z * x * d - y * s, z * y * d + x * s, c + z * z * d
    return R


@_compiled
def frame(first: FloatArray, second: FloatArray) -> FloatArray:
    """(3, 3) columns: `first`, the part of `second` across it, their cross product; unit length."""
    x = unit(first)
    y = second - x * (x[0] * second[0] + x[1] * second[1] + x[2] * second[2])
    if length(y) < 1e-6:  # parallel: any axis across will do
        k = 0
        for i in range(1, 3):
            if abs(x[i]) < abs(x[k]):
                k = i
        y = -x * x[k]
        y[k] += 1.0
    y = unit(y)
    z = cross(x, y)
    R = np.empty((3, 3))
    R[:, 0], R[:, 1], R[:, 2] = x, y, z
    return R


@_compiled
def smallest_rotation(a: FloatArray, b: FloatArray) -> FloatArray:
    """(3, 3) turns unit vector a onto unit vector b along the shortest way."""
    axis = cross(a, b)
    sine = length(axis)
    if sine < 1e-9:
        return np.eye(3)
    return matrix_of(axis * (math.atan2(sine, a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) / sine))


@_compiled
def limited(v: FloatArray, limit: float) -> FloatArray:
    """The vector (3,), shortened to at most `limit`."""
    return v * min(1.0, limit / max(length(v), 1e-9))
