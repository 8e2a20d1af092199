# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A sparse 3-D U-Net over points (Graham et al., CVPR 2018).

Submanifold convolutions are one gather and one matrix product each, in plain torch on any
device. Where spconv is installed and the points are on CUDA, its kernels do the same (set
`VoxelUNet.engine` to insist on one). The tables of neighbours depend on the points alone and are
made once for as long as they stay.
"""

from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import pairwise, product
from typing import Any, Literal

import torch
from torch import Tensor, nn

SparseEngine = Literal['auto', 'torch', 'spconv']

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
    cells: Tensor
    """(V, 3) integer coordinates of the voxels."""
    spconv_pairs: dict[str, Any] = field(default_factory=dict)
    """Where spconv keeps its own tables of neighbours."""


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
            built.append(_Level(neighbours, parent, octant, children, own))
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


def _gathered(features: Tensor, table: Tensor, weight: Tensor) -> Tensor:
    """A convolution over a table of neighbours; weight is (cells x inputs, outputs)."""
    padded = torch.cat([features, torch.zeros_like(features[:1])])
    return padded[table].flatten(1) @ weight


def _by_spconv(features: Tensor, level: _Level, weight: Tensor) -> Tensor:
    """The same over the 27 voxels around each, by spconv 2 (Apache-2.0)."""
    import spconv.pytorch as spconv

    inputs, outputs = features.shape[1], weight.shape[1]
    # Its tables serve a whole level; the smallest box saves it from a grid of 4 m by millimetres.
    corner = level.cells.min(0).values
    own = (level.cells - corner).int()
    shape = [int(side) + 1 for side in own.max(0).values]
    batch = torch.zeros_like(own[:, :1])
    x = spconv.SparseConvTensor(
        features, torch.cat([batch, own], 1).contiguous(), shape, 1, indice_dict=level.spconv_pairs
    )
    layer = spconv.SubMConv3d(inputs, outputs, 3, bias=False, indice_key='level')
    kernel = weight.unflatten(0, (3, 3, 3, inputs)).permute(4, 0, 1, 2, 3).contiguous()
    return torch.func.functional_call(layer, {'weight': kernel}, (x,)).features


class _Convolution(nn.Module):
    """BN, ReLU and a convolution."""

    def __init__(self, cells: int, inputs: int, outputs: int, normalise: bool = True) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm1d(inputs) if normalise else None
        self.weight = nn.Parameter(torch.empty(cells * inputs, outputs))
        nn.init.normal_(self.weight, std=(2.0 / (cells * inputs)) ** 0.5)

    def activated(self, features: Tensor) -> Tensor:
        if self.normalise is None:
            return features
        return torch.relu(self.normalise(features))


class _Submanifold(_Convolution):
    """Over the 27 voxels around each; outputs where there are inputs."""

    def __init__(self, inputs: int, outputs: int, normalise: bool = True) -> None:
        super().__init__(len(_REACH), inputs, outputs, normalise)

    def forward(self, features: Tensor, level: _Level, engine: str) -> Tensor:
        features = self.activated(features)
        if engine == 'spconv':
            return _by_spconv(features, level, self.weight)
        return _gathered(features, level.neighbours, self.weight)


class _Downwards(_Convolution):
    """Size and stride 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(8, inputs, outputs)

    def forward(self, features: Tensor, level: _Level) -> Tensor:
        return _gathered(self.activated(features), level.children, self.weight)


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
        self.first = _Submanifold(inputs, outputs)
        self.second = _Submanifold(outputs, outputs)

    def forward(self, features: Tensor, level: _Level, engine: str) -> Tensor:
        straight = features if self.project is None else self.project(features)
        return straight + self.second(self.first(features, level, engine), level, engine)


class VoxelUNet(nn.Module):
    """Features (N, outputs) of points from per-point inputs (N, inputs).

    One residual block a level, as in SG-GS; points of one voxel are averaged on the way in and
    share the result.
    """

    engine: SparseEngine = 'auto'
    """Who convolves; ``auto``: spconv on CUDA where it is installed, torch otherwise."""

    def __init__(self, inputs: int, planes: tuple[int, ...], outputs: int, voxel_m: float) -> None:
        super().__init__()
        self.voxel_m, self.levels = voxel_m, len(planes)
        self.enter = _Submanifold(inputs, planes[0], normalise=False)
        pairs = list(pairwise(planes))
        self.before = nn.ModuleList(_Residual(p, p) for p in planes)
        self.down = nn.ModuleList(_Downwards(a, b) for a, b in pairs)
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
        engine = self._chosen(inputs)
        x = self.enter(voxels, tables.levels[0], engine)
        skips = []
        for i, down in enumerate(self.down):
            x = self.before[i](x, tables.levels[i], engine)
            skips.append(x)
            x = down(x, tables.levels[i])
        x = self.before[-1](x, tables.levels[-1], engine)
        for i in reversed(range(len(self.up))):
            x = torch.cat([skips[i], self.up[i](x, tables.levels[i])], dim=1)
            x = self.after[i](x, tables.levels[i], engine)
        return self.leave(torch.relu(self.normalise(x)))[tables.voxel_of_point]

    def _chosen(self, features: Tensor) -> str:
        if self.engine != 'auto':
            return self.engine
        return 'spconv' if features.is_cuda and find_spec('spconv') else 'torch'
