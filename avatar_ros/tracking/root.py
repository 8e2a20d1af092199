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


def move_onto_rays(camera: Camera, pixels: Array, world: Array, visibility: Array) -> FloatArray:
    """Landmarks (N, 3) with the same depths that project onto their pixels, as far as visible.

    world (N, 3) in metres about any origin, which is kept; visibility (N,) in 0..1 is the share
    of the way to the viewing ray. Landmarks that agree with their pixels stay where they are.
    """
    world = np.asarray(world, dtype=float)
    try:
        origin = solve_translation(camera, pixels, world, np.asarray(visibility) ** 2)
    except ValueError:
        return world  # hardly anything is seen: there is no depth to put rays at
    depth = world[:, 2] + origin[2]
    if depth.min() < 0.1:
        return world  # as near as that the depths are wrong
    seen = np.column_stack([camera.rays(pixels) * depth[:, None], depth]) - origin
    share = np.clip(np.asarray(visibility, dtype=float), 0.0, 1.0)[:, None]
    return np.asarray(world + share * (seen - world))
