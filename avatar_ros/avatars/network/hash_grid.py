# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Multi-resolution hash encoding (Mueller et al., Instant NGP, SIGGRAPH 2022, section 3).

Needs no tiny-cuda-nn: numba on a CPU (an order of magnitude faster than torch there), torch on
CUDA and in float64. Both give the same features.
"""

import math
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

_PRIMES = (1, 2654435761, 805459861)


class HashGrid(nn.Module):
    """Features (N, levels * features) of points (N, 3) in the cube -1..1.

    A level whose grid fits into the table is stored densely, the others are hashed.
    """

    def __init__(
        self,
        levels: int = 16,
        features: int = 2,
        log2_table: int = 16,
        base: int = 16,
        finest: int = 2048,
    ) -> None:
        super().__init__()
        self.levels, self.features, self.size = levels, features, 1 << log2_table
        growth = math.exp(math.log(finest / base) / max(levels - 1, 1))
        #: Cells along an edge of each level.
        self.resolutions = [int(base * growth**level + 1e-6) for level in range(levels)]
        self.table = nn.Parameter(torch.empty(levels, self.size, features).uniform_(-1e-4, 1e-4))

    @property
    def width(self) -> int:
        """Features of a point."""
        return self.levels * self.features

    def forward(self, points: Tensor) -> Tensor:
        """Trilinear features; points outside the cube are moved to its face."""
        unit = ((points + 1) / 2).clamp(0, 1)
        if unit.device.type == 'cpu' and self.table.dtype == torch.float32:
            features: Tensor = _NumbaEncoding.apply(unit, self.table, tuple(self.resolutions))
            return features
        return torch.cat([self._level(unit, level) for level in range(self.levels)], dim=-1)

    def _level(self, unit: Tensor, level: int) -> Tensor:
        resolution = self.resolutions[level]
        scaled = unit * resolution
        low = scaled.detach().floor().clamp(max=resolution - 1)
        fraction = scaled - low
        result = torch.zeros(len(unit), self.features, dtype=unit.dtype, device=unit.device)
        for corner in range(8):
            bits = [corner & 1, (corner >> 1) & 1, (corner >> 2) & 1]
            cell = low.long() + torch.tensor(bits, device=unit.device)
            weight = torch.ones_like(unit[:, 0])
            for axis, bit in enumerate(bits):
                weight = weight * (fraction[:, axis] if bit else 1 - fraction[:, axis])
            result = result + weight[:, None] * self.table[level][self._slot(cell, resolution)]
        return result

    def _slot(self, cell: Tensor, resolution: int) -> Tensor:
        x, y, z = cell.unbind(-1)
        side = resolution + 1
        if side**3 <= self.size:
            return x + side * (y + side * z)
        mixed = (x * _PRIMES[0]) ^ (y * _PRIMES[1]) ^ (z * _PRIMES[2])
        return mixed % self.size


@njit(inline='always')
def _slot_of(x, y, z, resolution, size):  # type: ignore[no-untyped-def]
    side = resolution + 1
    if side * side * side <= size:
        return x + side * (y + side * z)
    # The table's size is a power of two.
    return (x ^ (y * np.int64(2654435761)) ^ (z * np.int64(805459861))) & (size - 1)


@njit(nogil=True, cache=True, error_model='numpy')
def _encode(unit, table, resolutions, out):  # type: ignore[no-untyped-def]
    """Fill out (N, levels * features)."""
    levels, size, features = table.shape
    one = np.float32(1)
    for level in range(levels):
        resolution = resolutions[level]
        scale = np.float32(resolution)
        for i in range(unit.shape[0]):
            x, y, z = unit[i, 0] * scale, unit[i, 1] * scale, unit[i, 2] * scale
            ix = min(int(x), resolution - 1)
            iy = min(int(y), resolution - 1)
            iz = min(int(z), resolution - 1)
            fx, fy, fz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
            for corner in range(8):
                bx, by, bz = corner & 1, (corner >> 1) & 1, (corner >> 2) & 1
                w = (fx if bx else one - fx) * (fy if by else one - fy) * (fz if bz else one - fz)
                row = table[level, _slot_of(ix + bx, iy + by, iz + bz, resolution, size)]
                for f in range(features):
                    out[i, level * features + f] += w * row[f]


@njit(nogil=True, cache=True, error_model='numpy')
def _encode_vjp(unit, table, resolutions, grad, g_unit, g_table):  # type: ignore[no-untyped-def]
    """Add the gradients of points (N, 3) and table."""
    levels, size, features = table.shape
    one = np.float32(1)
    for level in range(levels):
        resolution = resolutions[level]
        scale = np.float32(resolution)
        for i in range(unit.shape[0]):
            x, y, z = unit[i, 0] * scale, unit[i, 1] * scale, unit[i, 2] * scale
            ix = min(int(x), resolution - 1)
            iy = min(int(y), resolution - 1)
            iz = min(int(z), resolution - 1)
            fx, fy, fz = x - np.float32(ix), y - np.float32(iy), z - np.float32(iz)
            for corner in range(8):
                bx, by, bz = corner & 1, (corner >> 1) & 1, (corner >> 2) & 1
                wx = fx if bx else one - fx
                wy = fy if by else one - fy
                wz = fz if bz else one - fz
                slot = _slot_of(ix + bx, iy + by, iz + bz, resolution, size)
                pull = np.float32(0)
                for f in range(features):
                    g = grad[i, level * features + f]
                    g_table[level, slot, f] += wx * wy * wz * g
                    pull += g * table[level, slot, f]
                pull *= scale
                g_unit[i, 0] += (pull if bx else -pull) * wy * wz
                g_unit[i, 1] += (pull if by else -pull) * wx * wz
                g_unit[i, 2] += (pull if bz else -pull) * wx * wy


class _NumbaEncoding(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, unit: Tensor, table: Tensor, resolutions: tuple[int, ...]
    ) -> Tensor:
        arrays = [t.detach().contiguous().numpy() for t in (unit, table)]
        cells = np.asarray(resolutions, np.int64)
        out = np.zeros((len(unit), table.shape[0] * table.shape[2]), np.float32)
        _encode(*arrays, cells, out)
        ctx.kept = (*arrays, cells)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        unit, table, cells = ctx.kept
        g_unit, g_table = np.zeros_like(unit), np.zeros_like(table)
        _encode_vjp(unit, table, cells, grad.contiguous().numpy(), g_unit, g_table)
        return torch.from_numpy(g_unit), torch.from_numpy(g_table), None
