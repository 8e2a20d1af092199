# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Rigid transforms as 4x4 matrices."""

import numpy as np
from numpy.typing import ArrayLike

from avatar_ros.types import Array


def rigid(R: ArrayLike, t: ArrayLike) -> Array:
    """4x4 transform (..., 4, 4) from rotation matrices (..., 3, 3) and translations (..., 3)."""
    R, t = np.asarray(R, dtype=float), np.asarray(t, dtype=float)
    T = np.zeros((*np.broadcast_shapes(R.shape[:-2], t.shape[:-1]), 4, 4))
    T[..., :3, :3] = R
    T[..., :3, 3] = t
    T[..., 3, 3] = 1.0
    return T


def invert_rigid(T: ArrayLike) -> Array:
    """Inverse (..., 4, 4) of rigid transforms, without a general matrix inversion."""
    T = np.asarray(T, dtype=float)
    R_inv = np.swapaxes(T[..., :3, :3], -1, -2)
    return rigid(R_inv, -np.einsum('...ij,...j->...i', R_inv, T[..., :3, 3]))


def transform_points(T_b_a: ArrayLike, points_a: ArrayLike) -> Array:
    """Express points given in frame a in frame b: (..., 4, 4), (..., N, 3) -> (..., N, 3)."""
    T = np.asarray(T_b_a, dtype=float)
    return np.asarray(points_a) @ np.swapaxes(T[..., :3, :3], -1, -2) + T[..., None, :3, 3]
