# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Points that keep their distance: Poisson disks of varying radius."""

import numba
import numpy as np


def poisson(
    points: np.ndarray, normals: np.ndarray, part: np.ndarray, radius: np.ndarray
) -> np.ndarray:
    """Which of the candidates to keep, so that none is nearer to another than its radius."""
    heads = np.full(1 << 20, -1, np.int64)
    nexts = np.full(len(points), -1, np.int64)
    order = np.arange(len(points))
    cell = float(np.quantile(radius, 0.3))
    return _darts(points, normals, part, radius, order, cell, heads, nexts)


@numba.njit(cache=True)
def _darts(points, normals, part, radius, order, cell, heads, nexts):
    """Greedy Poisson disks of varying radius; accepted points end up in linked cells."""
    accepted = np.zeros(len(points), np.bool_)
    size = len(heads)
    for i in order:
        r = radius[i]
        base = np.floor(points[i] / cell).astype(np.int64)
        reach = int(np.ceil(r / cell))
        free = True
        for dx in range(-reach, reach + 1):
            for dy in range(-reach, reach + 1):
                for dz in range(-reach, reach + 1):
                    h = (
                        (base[0] + dx) * 73856093
                        ^ (base[1] + dy) * 19349663
                        ^ (base[2] + dz) * 83492791
                    ) % size
                    j = heads[h]
                    while j >= 0 and free:
                        if part[i] == part[j]:
                            d = points[i] - points[j]
                            same = (normals[i] * normals[j]).sum() > 0.2
                            if same and (d * d).sum() < r * r:
                                free = False
                        j = nexts[j]
                    if not free:
                        break
                if not free:
                    break
            if not free:
                break
        if free:
            accepted[i] = True
            h = (base[0] * 73856093 ^ base[1] * 19349663 ^ base[2] * 83492791) % size
            nexts[i] = heads[h]
            heads[h] = i
    return accepted
