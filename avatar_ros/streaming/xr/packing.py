# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""From what a rasterizer gives to the picture that goes to clients, in one pass over its buffers.

Layout in ``docs/xr_protocol.md``: colours beside each other, below them alpha and inverse depth
at half the size. H.264 gets I420 planes (BT.709, limited range), JPEG gets RGB.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from torch import Tensor

from avatar_ros.cuda_graph import GraphedCall
from avatar_ros.streaming.xr import packing_torch
from avatar_ros.streaming.xr.packing_torch import TorchLayers
from avatar_ros.types import Array

F = np.float32
#: Coverage above which a pixel has a depth of its own.
_SOLID = F(0.5)


@dataclass(frozen=True)
class Layers:
    """One view, as a rasterizer gives it."""

    colors: Array
    """(H, W, 4) float32: RGB on black (premultiplied with alpha), depth in metres."""
    alphas: Array
    """(H, W) float32 coverage; colours are black where it is 0."""


#: The views of one frame, where the rasterizer left them.
Views = Sequence[Layers] | TorchLayers


def packed_size(width: int, height: int, views: int) -> tuple[int, int]:
    """(width, height) of the packed picture."""
    return width * views, height + height // 2


@njit(inline='always')
def _unit(value):  # type: ignore[no-untyped-def]
    # Comparisons written so that NaN gives 0, and so that LLVM makes vectors of them.
    value = value if value > F(0) else F(0)
    return value if value < F(1) else F(1)


@njit(cache=True, nogil=True, fastmath={'contract', 'reassoc', 'nsz'})
def _luma(pixels, y, blue, red):  # type: ignore[no-untyped-def]
    """A row of luma from RGBD pixels (4 n,); blue - luma and red - luma are added up."""
    for k in range(y.size):
        r, g, b = _unit(pixels[4 * k]), _unit(pixels[4 * k + 1]), _unit(pixels[4 * k + 2])
        luma = F(0.2126) * r + F(0.7152) * g + F(0.0722) * b
        y[k] = np.uint8(np.int32(F(16.5) + F(219) * luma))
        blue[k] += b - luma
        red[k] += r - luma


@njit(cache=True, nogil=True)
def _chroma(difference, scale, out):  # type: ignore[no-untyped-def]
    """A row of chroma from the sums of two rows' differences (2 n,)."""
    for k in range(out.size):
        out[k] = np.uint8(np.int32(F(128.5) + scale * (difference[2 * k] + difference[2 * k + 1])))


@njit(cache=True, nogil=True, error_model='numpy')
def _halve(colors, alphas, alpha, inverse):  # type: ignore[no-untyped-def]
    """Mean coverage (h, w), and mean 1/depth where something solid is, else 0."""
    for row in range(alpha.shape[0]):
        for column in range(alpha.shape[1]):
            total = weight = sum_inverse = F(0)
            for dy in range(2):
                for dx in range(2):
                    a = alphas[2 * row + dy, 2 * column + dx]
                    z = colors[2 * row + dy, 2 * column + dx, 3]
                    total += a
                    if a > _SOLID and z > F(1e-3):
                        weight += a
                        sum_inverse += a / z
            alpha[row, column] = total * F(0.25)
            inverse[row, column] = sum_inverse / weight if weight > F(0) else F(0)


@njit(cache=True, nogil=True)
def _span(above, below):  # type: ignore[no-untyped-def]
    """First and one past the last column of two rows of alpha (w,) that hold something; even."""
    # Two pixels at a time, as the bits that they are: most of a picture is searched here.
    above, below = above.view(np.uint64), below.view(np.uint64)
    begin, end = 0, above.size
    while begin < end and not above[begin] | below[begin]:
        begin += 1
    while begin < end and not above[end - 1] | below[end - 1]:
        end -= 1
    return 2 * begin, 2 * end


@njit(cache=True, nogil=True)
def _to_i420(colors, alphas, y, u, v, alpha, inverse, blue, red):  # type: ignore[no-untyped-def]
    """One view's colours as I420, and its `_halve`, from one reading of the renderer's buffers.

    Beside the avatar colours are not read: they are most of the bytes, and black.
    `blue` and `red` are scratch rows (w,).
    """
    for row in range(0, alphas.shape[0], 2):
        pair, half = slice(row, row + 2), slice(row >> 1, (row >> 1) + 1)
        y[pair] = 16
        u[half] = v[half] = 128
        alpha[half] = inverse[half] = F(0)
        begin, end = _span(alphas[row], alphas[row + 1])
        if begin >= end:
            continue
        blue[begin:end] = red[begin:end] = F(0)
        for k in range(row, row + 2):
            pixels = colors[k, begin:end].reshape(-1)
            _luma(pixels, y[k, begin:end], blue[begin:end], red[begin:end])
        left, right = begin >> 1, end >> 1
        # A quarter of the sum of four; 224 / 1.8556 and 224 / 1.5748 as in BT.709.
        _chroma(blue[begin:end], F(0.25 * 224 / 1.8556), u[row >> 1, left:right])
        _chroma(red[begin:end], F(0.25 * 224 / 1.5748), v[row >> 1, left:right])
        _halve(
            colors[pair, begin:end], alphas[pair, begin:end],
            alpha[half, left:right], inverse[half, left:right],
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _spread_depth(inverse):  # type: ignore[no-untyped-def]
    """Fill pixels without a depth from the nearest in their row, empty rows from the row before.

    So that the surface goes on a little beyond the outline, where a mesh would otherwise fall
    back to the far plane.
    """
    height, width = inverse.shape
    first_full = -1
    for row in range(height):
        last = -1
        for column in range(width):
            value = inverse[row, column]
            if value > F(0):
                begin = last + 1
                if begin < column:
                    middle = begin if last < 0 else (begin + column) // 2
                    for k in range(begin, middle):
                        inverse[row, k] = inverse[row, last]
                    for k in range(middle, column):
                        inverse[row, k] = value
                last = column
        if last >= 0:
            for k in range(last + 1, width):
                inverse[row, k] = inverse[row, last]
            if first_full < 0:
                first_full = row
                for above in range(row):
                    inverse[above] = inverse[row]
        elif first_full >= 0:
            inverse[row] = inverse[row - 1]


@njit(cache=True, nogil=True)
def _grey(values, low, high, offset, span, out):  # type: ignore[no-untyped-def]
    scale = span / (high - low)
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            level = (values[row, column] - low) * scale
            level = min(level, span) if level > F(0) else F(0)
            out[row, column] = np.uint8(np.int32(offset + level + F(0.5)))


class Packer:
    """Buffers for pictures of one size."""

    def __init__(self, width: int, height: int, views: int) -> None:
        if width % 4 or height % 4 or width <= 0 or height <= 0:
            raise ValueError(f'a view has {width}x{height} pixels; expected multiples of 4')
        self.width, self.height, self.views = width, height, views
        half = height // 2, width // 2
        self._alpha = np.empty(half, F)
        self._inverse = np.empty(half, F)
        self._rows = np.empty(width, F), np.empty(width, F)
        self._on_device = GraphedCall(packing_torch.i420)

    def i420(
        self, layers: Views, near: float, far: float, planes: tuple[Array, Array, Array]
    ) -> None:
        """Write Y (1.5 h, n w), U and V of half that size; their rows may be padded."""
        if isinstance(layers, TorchLayers):
            ends = layers.alphas.new_tensor([near, far])
            packed = self._on_device(layers.colors, layers.alphas, ends[0], ends[1])
            for plane, values in zip(planes, packed, strict=True):
                plane[:] = values.cpu().numpy()
            return
        y, u, v = planes
        for k, layer in enumerate(layers):
            colors, alphas = map(np.ascontiguousarray, (layer.colors, layer.alphas))
            own, half = (slice(k * w, (k + 1) * w) for w in (self.width, self.width // 2))
            _to_i420(
                colors, alphas, y[:, own], u[:, half], v[:, half],
                self._alpha, self._inverse, *self._rows,
            )  # fmt: skip
            self._extras(k, near, far, F(16), F(219), y)
        u[self.height // 2 :] = 128
        v[self.height // 2 :] = 128

    def rgb(self, layers: Views, near: float, far: float) -> Array | Tensor:
        """(1.5 h, n w, 3) of uint8 for a JPEG encoder, where the layers are."""
        if isinstance(layers, TorchLayers):
            return packing_torch.rgb(layers, near, far)
        width, height = packed_size(self.width, self.height, self.views)
        out = np.empty((height, width, 3), np.uint8)
        grey = np.empty((height, width), np.uint8)
        for k, layer in enumerate(layers):
            left = k * self.width
            colors = np.clip(np.nan_to_num(layer.colors[..., :3]), 0, 1)
            out[: self.height, left : left + self.width] = colors * 255 + 0.5
            _halve(layer.colors, layer.alphas, self._alpha, self._inverse)
            self._extras(k, near, far, F(0), F(255), grey)
        out[self.height :] = grey[self.height :, :, None]
        return out

    def _extras(self, k: int, near: float, far: float, offset: F, span: F, out: Array) -> None:
        """Alpha and depth of view k as they were halved last."""
        _spread_depth(self._inverse)
        left, half = k * self.width, self.width // 2
        below = out[self.height : self.height + self.height // 2]
        _grey(self._alpha, F(0), F(1), offset, span, below[:, left : left + half])
        _grey(
            self._inverse, F(1 / far), F(1 / near), offset, span,
            below[:, left + half : left + self.width],
        )  # fmt: skip


def depth_range(layers: Views) -> tuple[float, float]:
    """Nearest and farthest depth of what is solid in any view, a little wider; 1, 2 if nothing."""
    if isinstance(layers, TorchLayers):
        low, high = packing_torch.solid_depths(layers)
    else:
        ranges = [_depths(layer.colors, layer.alphas) for layer in layers]
        low, high = min(near for near, _ in ranges), max(far for _, far in ranges)
    if not low < np.inf:
        return 1.0, 2.0
    return max(low * 0.98, 0.01), max(high * 1.02, low + 0.02)


@njit(cache=True, nogil=True)
def _depths(colors, alphas):  # type: ignore[no-untyped-def]
    low, high = np.inf, 0.0
    # Every fourth pixel of every fourth row: a range, not a bound.
    for row in range(0, alphas.shape[0], 4):
        for column in range(0, alphas.shape[1], 4):
            if alphas[row, column] > _SOLID:
                low = min(low, colors[row, column, 3])
                high = max(high, colors[row, column, 3])
    return low, high
