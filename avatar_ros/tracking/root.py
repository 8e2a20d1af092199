# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Where a person stands: metres in the camera frame from pixels and metric landmarks."""

import numpy as np

from avatar_ros.geometry import Camera
from avatar_ros.types import Array, FloatArray


def solve_translation(camera: Camera, pixels: Array, points: Array, weights: Array) -> FloatArray:
    """Translation t (3,) such that points + t project onto the pixels, in least squares.

    pixels (N, 2), points (N, 3) in metres with the camera's axes, weights (N,). Linear in t: the
    viewing ray (u, v, 1) of each pixel must be parallel to p + t.

    :raises ValueError: if fewer than two points have weight.
    """
    weights = np.clip(np.asarray(weights, dtype=float), 0.0, None)
    if np.count_nonzero(weights > 1e-3) < 2:
        raise ValueError('a translation needs at least two landmarks with weight; got fewer.')
    rays = camera.rays(pixels)
    rows, right = [], []
    for axis in (0, 1):
        row = np.zeros((len(points), 3))
        row[:, axis] = 1.0
        row[:, 2] = -rays[:, axis]
        rows.append(row)
        right.append(rays[:, axis] * points[:, 2] - points[:, axis])
    w = np.sqrt(np.concatenate([weights, weights]))
    solution = np.linalg.lstsq(
        np.concatenate(rows) * w[:, None], np.concatenate(right) * w, rcond=None
    )[0]
    return np.asarray(solution)
