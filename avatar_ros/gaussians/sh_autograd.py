# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Spherical harmonics as one differentiable torch operation on the CPU.

The same as `evaluate_sh`, which autograd would record as thirty operations: those cost as
much as rasterizing.
"""

import math
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from avatar_ros.gaussians.spherical_harmonics import _C0, _C1, _C2, _C3, evaluate_sh_into

_F = np.float32


@njit(inline='always')
def _basis_and_derivatives(x, y, z, terms, table):  # type: ignore[no-untyped-def]
    """Columns of table (16, 4): value, and derivatives by x, y, z of each polynomial."""
    table[0, 0] = _F(_C0)
    if terms > 1:
        c = _F(_C1)
        table[1, 0], table[1, 2] = -c * y, -c
        table[2, 0], table[2, 3] = c * z, c
        table[3, 0], table[3, 1] = -c * x, -c
    xx, yy, zz = x * x, y * y, z * z
    if terms > 4:
        a, b, c = _F(_C2[0]), _F(_C2[1]), _F(_C2[2])
        table[4, 0], table[4, 1], table[4, 2] = a * x * y, a * y, a * x
        table[5, 0], table[5, 2], table[5, 3] = -a * y * z, -a * z, -a * y
        table[6, 0] = b * (_F(2) * zz - xx - yy)
        table[6, 1], table[6, 2], table[6, 3] = _F(-2) * b * x, _F(-2) * b * y, _F(4) * b * z
        table[7, 0], table[7, 1], table[7, 3] = -a * x * z, -a * z, -a * x
        table[8, 0], table[8, 1], table[8, 2] = c * (xx - yy), _F(2) * c * x, _F(-2) * c * y
    if terms > 9:
        a, b, c = _F(_C3[0]), _F(_C3[1]), _F(_C3[2])
        d, e = _F(_C3[3]), _F(_C3[4])
        table[9, 0] = -a * y * (_F(3) * xx - yy)
        table[9, 1], table[9, 2] = _F(-6) * a * x * y, _F(-3) * a * (xx - yy)
        table[10, 0] = b * x * y * z
        table[10, 1], table[10, 2], table[10, 3] = b * y * z, b * x * z, b * x * y
        table[11, 0] = -c * y * (_F(4) * zz - xx - yy)
        table[11, 1], table[11, 2] = _F(2) * c * x * y, -c * (_F(4) * zz - xx - _F(3) * yy)
        table[11, 3] = _F(-8) * c * y * z
        table[12, 0] = d * z * (_F(2) * zz - _F(3) * (xx + yy))
        table[12, 1], table[12, 2] = _F(-6) * d * x * z, _F(-6) * d * y * z
        table[12, 3] = d * (_F(6) * zz - _F(3) * (xx + yy))
        table[13, 0] = -c * x * (_F(4) * zz - xx - yy)
        table[13, 1], table[13, 2] = -c * (_F(4) * zz - _F(3) * xx - yy), _F(2) * c * x * y
        table[13, 3] = _F(-8) * c * x * z
        table[14, 0] = e * z * (xx - yy)
        table[14, 1], table[14, 2] = _F(2) * e * x * z, _F(-2) * e * y * z
        table[14, 3] = e * (xx - yy)
        table[15, 0] = -a * x * (xx - _F(3) * yy)
        table[15, 1], table[15, 2] = _F(-3) * a * (xx - yy), _F(6) * a * x * y


@njit(cache=True, nogil=True, error_model='numpy')
def _sh_vjp(coefficients, means, eye, colors, g_colors, g_coefficients, g_means):  # type: ignore[no-untyped-def]
    """Add the gradients of one camera's colours."""
    terms = coefficients.shape[1]
    table = np.zeros((16, 4), np.float32)
    for i in range(means.shape[0]):
        red = g_colors[i, 0] if colors[i, 0] > _F(0) else _F(0)
        green = g_colors[i, 1] if colors[i, 1] > _F(0) else _F(0)
        blue = g_colors[i, 2] if colors[i, 2] > _F(0) else _F(0)
        # Also keeps a Gaussian that was left out, because it is not finite, at gradient 0.
        if (red == _F(0)) & (green == _F(0)) & (blue == _F(0)):
            continue
        x, y, z = means[i, 0] - eye[0], means[i, 1] - eye[1], means[i, 2] - eye[2]
        norm = _F(1) / math.sqrt(max(x * x + y * y + z * z, _F(1e-24)))
        x, y, z = x * norm, y * norm, z * norm
        _basis_and_derivatives(x, y, z, terms, table)
        dx = dy = dz = _F(0)
        for k in range(terms):
            g_coefficients[i, k, 0] += table[k, 0] * red
            g_coefficients[i, k, 1] += table[k, 0] * green
            g_coefficients[i, k, 2] += table[k, 0] * blue
            pull = red * coefficients[i, k, 0] + green * coefficients[i, k, 1]
            pull += blue * coefficients[i, k, 2]
            dx += pull * table[k, 1]
            dy += pull * table[k, 2]
            dz += pull * table[k, 3]
        # Only the part across the viewing ray turns the direction.
        radial = dx * x + dy * y + dz * z
        g_means[i, 0] += (dx - radial * x) * norm
        g_means[i, 1] += (dy - radial * y) * norm
        g_means[i, 2] += (dz - radial * z) * norm


class _ShColors(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, coefficients: Tensor, means: Tensor, eyes: Tensor
    ) -> Tensor:
        arrays = [
            t.detach().to(torch.float32).contiguous().numpy() for t in (coefficients, means, eyes)
        ]
        colors = np.empty((len(eyes), len(means), 3), np.float32)
        for c in range(len(eyes)):
            evaluate_sh_into(arrays[0], arrays[1], arrays[2][c], colors[c])
        ctx.arrays = (*arrays, colors)
        ctx.dtypes = (coefficients.dtype, means.dtype)
        return torch.from_numpy(colors)

    @staticmethod
    def backward(ctx: Any, g_colors: Tensor) -> Any:  # type: ignore[override]
        coefficients, means, eyes, colors = ctx.arrays
        g_coefficients, g_means = np.zeros_like(coefficients), np.zeros_like(means)
        g = g_colors.to(torch.float32).contiguous().numpy()
        for c, eye in enumerate(eyes):
            _sh_vjp(coefficients, means, eye, colors[c], g[c], g_coefficients, g_means)
        gradients = (torch.from_numpy(g_coefficients), torch.from_numpy(g_means))
        return *(g.to(dtype) for g, dtype in zip(gradients, ctx.dtypes, strict=True)), None


def sh_colors(coefficients: Tensor, means: Tensor, eyes: Tensor) -> Tensor:
    """Colours (C, N, 3) of coefficients (N, K, 3) at means (N, 3) from eyes (C, 3), on the CPU.

    float32, with gradients to coefficients and means.
    """
    colors: Tensor = _ShColors.apply(coefficients, means, eyes)
    return colors
