# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""From linear float colours to the bytes of a message."""

import numpy as np
import torch
from numba import njit
from torch import Tensor

from avatar_ros.types import Array, Image


@njit(inline='always')
def _byte(value):  # type: ignore[no-untyped-def]
    # Comparisons written so that NaN gives 0, and so that LLVM makes vectors of them.
    value = value if value > np.float32(0) else np.float32(0)
    value = value if value < np.float32(1) else np.float32(1)
    return np.uint8(np.int32(value * np.float32(255) + np.float32(0.5)))


@njit(cache=True, nogil=True)
def _convert(colors, channels, out):  # type: ignore[no-untyped-def]
    """Flat arrays, so that the common case of three channels is one vectorised loop."""
    if channels == 3:
        for i in range(out.size):
            out[i] = _byte(colors[i])
    else:
        for p in range(out.size // 3):
            for k in range(3):
                out[3 * p + k] = _byte(colors[channels * p + k])


def rgb8_on_device(colors: Tensor) -> Tensor:
    """As `to_rgb8`, left on the device of the colours."""
    unit = colors[..., :3].detach().nan_to_num(0.0, 1.0, 0.0).clamp(0, 1)
    return (unit * 255 + 0.5).to(torch.uint8)


def to_rgb8(colors: Tensor | Array, out: Image | None = None) -> Image:
    """Bytes (..., 3) of colours (..., 3 or 4), clamped to 0..1; a fourth channel is dropped.

    :param out: contiguous array to write into, for example the data of a message.
    """
    if isinstance(colors, Tensor):
        if colors.is_cuda:
            return np.asarray(rgb8_on_device(colors).cpu().numpy())
        colors = colors.detach().numpy()
    colors = np.ascontiguousarray(colors, np.float32)
    if out is None:
        out = np.empty((*colors.shape[:-1], 3), np.uint8)
    if not (out.flags.c_contiguous and out.shape == (*colors.shape[:-1], 3)):
        raise ValueError(
            f'out has shape {out.shape}; expected a contiguous {(*colors.shape[:-1], 3)}.'
        )
    _convert(colors.reshape(-1), colors.shape[-1], out.reshape(-1))
    return out
