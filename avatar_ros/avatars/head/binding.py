# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Gaussians on the texels of a head's UV map, sorted by part."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from avatar_ros.body.flame import PARTS, HeadModel
from avatar_ros.types import Array, FloatArray

#: Standard deviation of a new Gaussian over the distance to the next, along and across the skin.
_SPREAD, _THICKNESS = 0.65, 0.25


@dataclass(frozen=True)
class Binding:
    """Which triangle each of N Gaussians sits on."""

    face: Array
    """(N,) int32."""
    bary: Array
    """(N, 3) float32 barycentric place in the triangle."""
    part: Array
    """(N,) uint8 rows of `PARTS`, ascending."""
    log_scale: Array
    """(N, 3) float32: logarithm of its first standard deviations over the triangle's size."""

    def __len__(self) -> int:
        return len(self.face)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Rows of every part; empty where a part has none."""
        edges = np.searchsorted(self.part, np.arange(len(PARTS) + 1))
        return tuple(slice(int(a), int(b)) for a, b in pairwise(edges))


def bind(head: HeadModel, grid: int) -> Binding:
    """One Gaussian for every texel (of grid x grid) whose middle lies in a triangle.

    :raises ValueError: if the grid is so coarse that hardly any does.
    """
    owner = np.full((grid, grid), -1, np.int32)
    place = np.zeros((grid, grid, 3))
    corners = head.uv[head.uv_faces] * grid - 0.5
    for f, (a, b, c) in enumerate(corners):
        low = np.floor(np.minimum(np.minimum(a, b), c)).astype(int).clip(0)
        high = np.ceil(np.maximum(np.maximum(a, b), c)).astype(int).clip(max=grid - 1)
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if abs(area) < 1e-12 or (low > high).any():
            continue
        y, x = np.mgrid[low[1] : high[1] + 1, low[0] : high[0] + 1]
        w1 = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        w2 = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        inside = (w1 >= 0) & (w2 >= 0) & (w1 + w2 <= 1)
        owner[y[inside], x[inside]] = f
        place[y[inside], x[inside]] = np.stack([1 - w1 - w2, w1, w2], -1)[inside]
    rows, columns = np.nonzero(owner >= 0)
    face, bary = owner[rows, columns], place[rows, columns]
    if len(face) < 100:
        raise ValueError(f'a UV grid of {grid} gives {len(face)} Gaussians; expected 100 or more.')
    order = np.argsort(head.part[face], kind='stable')
    face, bary = face[order], bary[order]
    return Binding(
        face.astype(np.int32),
        bary.astype(np.float32),
        head.part[face],
        _first_scales(head, face).astype(np.float32),
    )


def _first_scales(head: HeadModel, face: Array) -> FloatArray:
    """(N, 3): as wide as the texels lie apart on the skin, and flat."""
    v0, v1, v2 = (head.model.template[head.model.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(v1 - v0, v2 - v0), axis=1) / 2
    base = np.linalg.norm(v1 - v0, axis=1)
    size = (base + 2 * area / np.maximum(base, 1e-9)) / 2
    apart = np.sqrt(area / np.maximum(np.bincount(face, minlength=len(area)), 1))
    relative = (apart / np.maximum(size, 1e-9))[face]
    spread = np.log(np.maximum(relative, 1e-3)[:, None])
    return np.asarray(spread + np.log([_SPREAD, _THICKNESS, _SPREAD]))
