# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A sparse 3-D U-Net over points (Graham et al., CVPR 2018), in plain torch.

Submanifold convolutions as one gather and one matrix product each: what spconv does with CUDA
kernels, on any device. The tables of neighbours depend on the points alone and are made once for
as long as they stay.
"""

from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor, nn

_REACH = tuple(product((-1, 0, 1), repeat=3))
_SIDE = 1 << 20


@dataclass(frozen=True)
class _Level:
    neighbours: Tensor
    """(V, 27) rows of the voxels around each; V where there is none."""
    parent: Tensor
    """(V,) row of the voxel of the next coarser level that holds it."""
    octant: Tensor
    """(V,) which of its eight it is."""
    children: Tensor
    """(V_coarser, 8) rows; V where there is none."""


@dataclass(frozen=True)
class VoxelTables:
    """Which voxel every point lies in, and who neighbours whom at every level."""

    voxel_of_point: Tensor
    points_in_voxel: Tensor
    levels: tuple[_Level, ...]

    @classmethod
    def of(cls, points: Tensor, voxel_m: float, levels: int) -> 'VoxelTables':
        """Tables of points (N, 3) in metres, within 2 m of the origin's corner as in SG-GS."""
        cells = ((points.detach() + 2) / voxel_m).floor().long().clamp(0, _SIDE // 2)
        keys, inverse = torch.unique(_key(cells), return_inverse=True)
        counts = torch.bincount(inverse, minlength=len(keys))
        built = []
        for _ in range(levels):
            own = _cells(keys)
            neighbours = torch.stack(
                [_find(keys, _key(own + torch.tensor(step).to(own))) for step in _REACH], dim=1
            )
            coarse_keys, parent = torch.unique(_key(own >> 1), return_inverse=True)
            octant = ((own & 1) * torch.tensor([1, 2, 4]).to(own)).sum(1)
            children = torch.full((len(coarse_keys), 8), len(keys), device=keys.device)
            children[parent, octant] = torch.arange(len(keys), device=keys.device)
            built.append(_Level(neighbours, parent, octant, children))
            keys = coarse_keys
        return cls(inverse, counts, tuple(built))


def _key(cells: Tensor) -> Tensor:
    # One voxel of margin, so that a neighbour at -1 has a key of its own.
    x, y, z = (cells + 1).unbind(-1)
    return (x * _SIDE + y) * _SIDE + z


def _cells(keys: Tensor) -> Tensor:
    return torch.stack([keys // _SIDE**2, keys // _SIDE % _SIDE, keys % _SIDE], dim=-1) - 1


def _find(keys: Tensor, wanted: Tensor) -> Tensor:
    """Rows of the wanted keys among sorted ones; len(keys) where there is none."""
    rows = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[rows] == wanted, rows, len(keys))


class _Convolution(nn.Module):
    """BN, ReLU and a convolution over a table of neighbours."""

    def __init__(self, cells: int, inputs: int, outputs: int, normalise: bool = True) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm1d(inputs) if normalise else None
        self.weight = nn.Parameter(torch.empty(cells * inputs, outputs))
        nn.init.normal_(self.weight, std=(2.0 / (cells * inputs)) ** 0.5)

    def forward(self, features: Tensor, table: Tensor) -> Tensor:
        if self.normalise is not None:
            features = torch.relu(self.normalise(features))
        padded = torch.cat([features, torch.zeros_like(features[:1])])
        return padded[table].flatten(1) @ self.weight


class _Upwards(nn.Module):
    """The transpose of a convolution of size and stride 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm1d(inputs)
        self.weight = nn.Parameter(torch.empty(inputs, 8 * outputs))
        nn.init.normal_(self.weight, std=(2.0 / inputs) ** 0.5)

    def forward(self, features: Tensor, level: _Level) -> Tensor:
        spread = (torch.relu(self.normalise(features)) @ self.weight).unflatten(1, (8, -1))
        return spread[level.parent, level.octant]


class _Residual(nn.Module):
    """Two submanifold convolutions beside a (projected) identity."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, outputs, bias=False) if inputs != outputs else None
        self.first = _Convolution(len(_REACH), inputs, outputs)
        self.second = _Convolution(len(_REACH), outputs, outputs)

    def forward(self, features: Tensor, table: Tensor) -> Tensor:
        straight = features if self.project is None else self.project(features)
        return straight + self.second(self.first(features, table), table)


class VoxelUNet(nn.Module):
    """Features (N, outputs) of points from per-point inputs (N, inputs).

    One residual block a level, as in SG-GS; points of one voxel are averaged on the way in and
    share the result.
    """

    def __init__(self, inputs: int, planes: tuple[int, ...], outputs: int, voxel_m: float) -> None:
        super().__init__()
        self.voxel_m, self.levels = voxel_m, len(planes)
        self.enter = _Convolution(len(_REACH), inputs, planes[0], normalise=False)
        pairs = list(pairwise(planes))
        self.before = nn.ModuleList(_Residual(p, p) for p in planes)
        self.down = nn.ModuleList(_Convolution(8, a, b) for a, b in pairs)
        self.up = nn.ModuleList(_Upwards(b, a) for a, b in pairs)
        self.after = nn.ModuleList(_Residual(2 * a, a) for a, _ in pairs)
        self.normalise = nn.BatchNorm1d(planes[0])
        self.leave = nn.Linear(planes[0], outputs)

    def tables(self, points: Tensor) -> VoxelTables:
        """To be kept for as long as the points stay in their voxels."""
        return VoxelTables.of(points, self.voxel_m, self.levels)

    def forward(self, inputs: Tensor, tables: VoxelTables) -> Tensor:
        """Features of the points that the tables were made of."""
        count = tables.points_in_voxel
        voxels = torch.zeros(len(count), inputs.shape[1]).to(inputs)
        voxels = voxels.index_add(0, tables.voxel_of_point, inputs) / count[:, None]
        x = self.enter(voxels, tables.levels[0].neighbours)
        skips = []
        for i, down in enumerate(self.down):
            x = self.before[i](x, tables.levels[i].neighbours)
            skips.append(x)
            x = down(x, tables.levels[i].children)
        x = self.before[-1](x, tables.levels[-1].neighbours)
        for i in reversed(range(len(self.up))):
            x = torch.cat([skips[i], self.up[i](x, tables.levels[i])], dim=1)
            x = self.after[i](x, tables.levels[i].neighbours)
        return self.leave(torch.relu(self.normalise(x)))[tables.voxel_of_point]
