# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Spherical harmonics up to degree 3, with the signs of gsplat and INRIA's 3DGS.

A colour is ``max(sum_k basis_k(direction) * coefficient_k + 0.5, 0)``, where the direction
points from the camera to the Gaussian, in the axes in which the coefficients were fitted.
"""

import math
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

_C0 = 0.28209479177387814
_C1 = 0.4886025119029199
_C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
_C3 = (
    0.5900435899266435,
    2.890611442640554,
    0.4570457994644658,
    0.3731763325901154,
    1.445305721320277,
)
_F = np.float32


def sh0_from_rgb(rgb: Any) -> Any:
    """Degree-0 coefficients of colours 0..1, any shape; tensors and arrays alike."""
    return (rgb - 0.5) / _C0


def rgb_from_sh0(sh0: Any) -> Any:
    """Colours of degree-0 coefficients, any shape, not clamped."""
    return sh0 * _C0 + 0.5


def sh_basis(directions: Tensor, degree: int) -> Tensor:
    """Basis values (N, (degree + 1) ** 2) in directions (N, 3), which are normalised here."""
    if not 0 <= degree <= 3:
        raise ValueError(f'spherical harmonics of degree {degree}; expected 0, 1, 2 or 3.')
    x, y, z = torch.nn.functional.normalize(directions, dim=-1).unbind(-1)
    values = [torch.full_like(x, _C0)]
    if degree > 0:
        values += [-_C1 * y, _C1 * z, -_C1 * x]
    xx, yy, zz = x * x, y * y, z * z
    if degree > 1:
        values += [
            _C2[0] * x * y,
            -_C2[0] * y * z,
            _C2[1] * (2 * zz - xx - yy),
            -_C2[0] * x * z,
            _C2[2] * (xx - yy),
        ]
    if degree > 2:
        values += [
            -_C3[0] * y * (3 * xx - yy),
            _C3[1] * x * y * z,
            -_C3[2] * y * (4 * zz - xx - yy),
            _C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
            -_C3[2] * x * (4 * zz - xx - yy),
            _C3[4] * z * (xx - yy),
            -_C3[0] * x * (xx - 3 * yy),
        ]
    return torch.stack(values, dim=-1)


def evaluate_sh(coefficients: Tensor, directions: Tensor) -> Tensor:
    """Colours (N, 3) >= 0 of coefficients (N, K, 3) seen along directions (N, 3).

    Directions point from the camera to the Gaussian; their length does not matter.
    """
    degree = math.isqrt(coefficients.shape[1]) - 1
    basis = sh_basis(directions, degree).to(coefficients.dtype)
    return torch.clamp_min((basis[:, :, None] * coefficients).sum(1) + 0.5, 0)


@njit(cache=True, nogil=True, fastmath={'nsz', 'arcp', 'contract', 'afn'}, error_model='numpy')
def evaluate_sh_into(coefficients, means, eye, out):  # type: ignore[no-untyped-def]
    """Write colours (N, 3) of coefficients (N, K, 3) at means (N, 3) seen from `eye` (3,).

    The float32 twin of `evaluate_sh` for live use: no allocation, no lock, no torch.
    """
    terms = coefficients.shape[1]
    for i in range(means.shape[0]):
        x, y, z = means[i, 0] - eye[0], means[i, 1] - eye[1], means[i, 2] - eye[2]
        norm = _F(1) / math.sqrt(max(x * x + y * y + z * z, _F(1e-24)))
        x, y, z = x * norm, y * norm, z * norm
        xx, yy, zz = x * x, y * y, z * z
        for k in range(3):
            value = _F(_C0) * coefficients[i, 0, k] + _F(0.5)
            if terms > 1:
                value += _F(_C1) * (
                    z * coefficients[i, 2, k]
                    - y * coefficients[i, 1, k]
                    - x * coefficients[i, 3, k]
                )
            if terms > 4:
                value += _F(_C2[0]) * (
                    x * y * coefficients[i, 4, k]
                    - y * z * coefficients[i, 5, k]
                    - x * z * coefficients[i, 7, k]
                )
                value += _F(_C2[1]) * (_F(2) * zz - xx - yy) * coefficients[i, 6, k]
                value += _F(_C2[2]) * (xx - yy) * coefficients[i, 8, k]
            if terms > 9:
                value -= _F(_C3[0]) * (
                    y * (_F(3) * xx - yy) * coefficients[i, 9, k]
                    + x * (xx - _F(3) * yy) * coefficients[i, 15, k]
                )
                value += _F(_C3[1]) * x * y * z * coefficients[i, 10, k]
                value -= (
                    _F(_C3[2])
                    * (_F(4) * zz - xx - yy)
                    * (y * coefficients[i, 11, k] + x * coefficients[i, 13, k])
                )
                value += _F(_C3[3]) * z * (_F(2) * zz - _F(3) * (xx + yy)) * coefficients[i, 12, k]
                value += _F(_C3[4]) * z * (xx - yy) * coefficients[i, 14, k]
            out[i, k] = max(value, _F(0))
