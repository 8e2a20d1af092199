# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""How near a picture is to another. The perceptual one is in `perceptual.py`."""

import torch
from torch import Tensor
from torch.nn import functional as F


def psnr(image: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of pictures in 0..1, over all their pixels."""
    return -10 * torch.log10((image - truth).square().mean().clamp_min(1e-10))


def ssim(image: Tensor, truth: Tensor, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Mean structural similarity (Wang et al. 2004) of pictures (H, W, C) in 0..1.

    Differentiable; Gaussian window, zero-padded as usual in this literature.
    """
    x = torch.arange(window, dtype=image.dtype, device=image.device) - window // 2
    g = torch.exp(-(x**2) / (2 * sigma**2))
    g = g / g.sum()
    channels = image.shape[-1]
    across = g[None, None, None, :].expand(channels, 1, 1, window)
    down = across.transpose(2, 3)

    def blur(t: Tensor) -> Tensor:
        half = window // 2
        t = F.conv2d(t, across, padding=(0, half), groups=channels)
        return F.conv2d(t, down, padding=(half, 0), groups=channels)

    a, b = (t.permute(2, 0, 1)[None] for t in (image, truth))
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    both = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similar = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    return (similar / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean()
