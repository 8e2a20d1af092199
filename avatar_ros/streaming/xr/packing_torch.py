# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""`packing` where the pictures are: on a GPU, so that bytes cross the bus and not floats.

The same layout and the same numbers, but for a grey level where sums round otherwise.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_SOLID = 0.5
#: R, G, B -> luma; blue - luma and red - luma scaled to the range of 224 levels (BT.709).
_LUMA = (0.2126, 0.7152, 0.0722)
_BLUE_SCALE, _RED_SCALE = 224 / 1.8556, 224 / 1.5748


@dataclass(frozen=True)
class TorchLayers:
    """All views of a frame, as a rasterizer gives them, on any device."""

    colors: Tensor
    """(n, H, W, 4) float32: RGB on black (premultiplied with alpha), depth in metres."""
    alphas: Tensor
    """(n, H, W) float32 coverage; colours are black where it is 0."""

    def __len__(self) -> int:
        return len(self.alphas)


def solid_depths(layers: TorchLayers) -> tuple[float, float]:
    """Nearest and farthest depth of what is solid; (inf, 0) if nothing is."""
    # Every fourth pixel of every fourth row: a range, not a bound.
    solid = layers.alphas[:, ::4, ::4] > _SOLID
    depth = layers.colors[:, ::4, ::4, 3]
    ends = torch.stack([depth.where(solid, torch.inf).min(), depth.where(solid, 0.0).max()])
    near, far = ends.tolist()
    return near, far


def i420(
    colors: Tensor, alphas: Tensor, near: Tensor, far: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Y (1.5 H, n W), U and V of half that size, of uint8, on the device of the layers.

    Fit for a `GraphedCall`: near and far are tensors too.
    """
    rgb = _unit(colors[..., :3])
    luma = sum((w * rgb[..., k] for k, w in enumerate(_LUMA)), torch.zeros_like(alphas))
    y = _side_by_side(_byte(16 + 219 * luma))
    below = _extras(TorchLayers(colors, alphas), near, far, 16.0, 219.0)
    chroma = []
    for channel, scale in ((2, _BLUE_SCALE), (0, _RED_SCALE)):
        c = _side_by_side(_byte(128 + scale * _halved(rgb[..., channel] - luma)))
        chroma.append(torch.cat([c, c.new_full((c.shape[0] // 2, c.shape[1]), 128)]))
    return torch.cat([y, below]), chroma[0], chroma[1]


def rgb(layers: TorchLayers, near: float, far: float) -> Tensor:
    """(1.5 H, n W, 3) of uint8 for a JPEG encoder."""
    colors = torch.cat(list(_byte(255 * _unit(layers.colors[..., :3]))), dim=1)
    below = _extras(layers, near, far, 0.0, 255.0)
    return torch.cat([colors, below[..., None].expand(-1, -1, 3)])


def _unit(values: Tensor) -> Tensor:
    """Within 0..1; NaN is 0."""
    return values.nan_to_num(0.0, 1.0, 0.0).clamp(0.0, 1.0)


def _byte(levels: Tensor) -> Tensor:
    return (levels + 0.5).to(torch.uint8)


def _side_by_side(planes: Tensor) -> Tensor:
    """(n, h, w) -> (h, n w)."""
    return planes.permute(1, 0, 2).flatten(1)


def _halved(planes: Tensor) -> Tensor:
    """(n, H, W) -> means (n, H / 2, W / 2)."""
    n, height, width = planes.shape
    return planes.reshape(n, height // 2, 2, width // 2, 2).mean((2, 4))


def _extras(
    layers: TorchLayers, near: Tensor | float, far: Tensor | float, offset: float, span: float
) -> Tensor:
    """(H / 2, n W) of uint8: of each view alpha, and beside it inverse depth."""
    solid = (layers.alphas > _SOLID) & (layers.colors[..., 3] > 1e-3)
    weight = layers.alphas.masked_fill(~solid, 0.0)
    weighed = weight / layers.colors[..., 3].masked_fill(~solid, 1.0)
    total = _halved(weight)
    inverse = (_halved(weighed) / total).masked_fill(total == 0, 0.0)
    inverse = (_spread(inverse) - 1 / far) / (1 / near - 1 / far)
    both = torch.cat([_halved(layers.alphas), inverse], dim=2)
    return _side_by_side(_byte(offset + span * _unit(both)))


def _spread(inverse: Tensor) -> Tensor:
    """(n, h, w) with the gaps filled from the nearest in the row, empty rows from the row before.

    The law of `packing`'s loop: a gap's first half (rounded down) takes the value before it, what
    is above the first full row takes that row.
    """
    full = inverse > 0
    width = inverse.shape[2]
    column = torch.arange(width, device=inverse.device).expand_as(full)
    before = column.masked_fill(~full, -1).cummax(2).values
    after = column.masked_fill(~full, width).flip(2).cummin(2).values.flip(2)
    takes_before = (before >= 0) & ((after == width) | (2 * column + 1 < before + 1 + after))
    source = before.where(takes_before, after).clamp(0, width - 1)
    rows = inverse.gather(2, source)
    has = full.any(2)
    row = torch.arange(inverse.shape[1], device=inverse.device).expand_as(has)
    last = row.masked_fill(~has, -1).cummax(1).values
    first = has.int().argmax(1, keepdim=True)
    source = last.where(last >= 0, first)
    return rows.gather(1, source[..., None].expand_as(rows))
