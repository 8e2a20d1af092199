# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""From linear float colours to the bytes of a message."""

import numpy as np
import torch
from numba import njit
from torch import Tensor

from avatar_ros.types import Array, Image


@njit(cache=True, nogil=True)
def _convert(colors, out):  # type: ignore[no-untyped-def]
    for p in range(colors.shape[0]):
        for k in range(3):
            value = min(max(colors[p, k], np.float32(0)), np.float32(1))
            out[p, k] = np.uint8(value * np.float32(255) + np.float32(0.5))


def to_rgb8(colors: Tensor | Array, out: Image | None = None) -> Image:
    """Bytes (..., 3) of colours (..., 3 or 4), clamped to 0..1; a fourth channel is dropped.

    :param out: contiguous array to write into, for example the data of a message.
    """
    if isinstance(colors, Tensor):
        if colors.is_cuda:
            scaled = colors[..., :3].detach().clamp(0, 1) * 255 + 0.5
            return np.asarray(scaled.to(torch.uint8).cpu().numpy())
        colors = colors.detach().numpy()
    colors = np.ascontiguousarray(colors, np.float32)
    if out is None:
        out = np.empty((*colors.shape[:-1], 3), np.uint8)
    _convert(colors.reshape(-1, colors.shape[-1]), out.reshape(-1, 3))
    return out
