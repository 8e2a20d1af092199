# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""HeadGAP's eq. 8, term by term."""

import torch
from torch import Tensor

from avatar_ros.avatars.head.gapnet import LocalGaussians
from avatar_ros.training.head.config import HeadLoss
from avatar_ros.training.metrics import ssim
from avatar_ros.training.perceptual import Perceptual


def reconstruction(
    image: Tensor, truth: Tensor, weights: HeadLoss, perceptual: Perceptual | None
) -> Tensor:
    """L_rec of pictures (H, W, 3) in 0..1."""
    loss = weights.l1 * (image - truth).abs().mean()
    loss = loss + weights.ssim * (1 - ssim(image, truth))
    if perceptual is not None and weights.perceptual:
        loss = loss + weights.perceptual * perceptual(image, truth)
    return loss


def too_large(local: LocalGaussians, weights: HeadLoss) -> Tensor:
    """Mean over Gaussians of how far scales and positions leave what is free of charge.

    As GaussianAvatars writes it, the norm of max(s, 0.6) has no gradient below 0.6; the constant
    that it leaves is taken off, so that a loss of zero means that nothing is wrong.
    """
    scale = (local.scales - weights.scale_free).clamp_min(0).square().sum(-1)
    place = (local.means.abs() - weights.position_free).clamp_min(0).square().sum(-1)
    # The root has no gradient at zero.
    return weights.scale * (scale + 1e-12).sqrt().mean() + weights.position * (
        (place + 1e-12).sqrt().mean()
    )


def as_rigid_as_possible(rest: Tensor, moved: Tensor, edges: Tensor) -> Tensor:
    """ARAP energy (Sorkine 2007) of vertices (V, 3) against those at rest, in units of edges.

    Each vertex's best rotation is found in closed form, and held while gradients are taken.

    :param edges: (E, 2), every edge once.
    """
    both = torch.cat([edges, edges.flip(1)])
    e0 = rest[both[:, 1]] - rest[both[:, 0]]
    e1 = moved[both[:, 1]] - moved[both[:, 0]]
    with torch.no_grad():
        outer = (e0[:, :, None] * e1[:, None, :]).flatten(1)
        covariance = torch.zeros(len(rest), 9, device=rest.device).index_add(0, both[:, 0], outer)
        U, _, Vh = torch.linalg.svd(covariance.unflatten(1, (3, 3)))
        sign = torch.linalg.det(Vh.mT @ U.mT)
        flip = torch.ones(len(rest), 3, device=rest.device)
        flip[:, 2] = sign
        R = (Vh.mT * flip[:, None]) @ U.mT
    change = e1 - (R[both[:, 0]] @ e0[..., None])[..., 0]
    return change.square().sum() / e0.square().sum().clamp_min(1e-12)


def box_of(pixels: Tensor, width: int, height: int, margin: float = 0.25) -> tuple[slice, slice]:
    """Rows and columns of the box about pixels (N, 2), at least 12 wide, inside of the picture."""
    low, high = pixels.min(0).values, pixels.max(0).values
    middle, half = (low + high) / 2, ((high - low) / 2 * (1 + margin)).clamp_min(6)
    x0, y0 = (max(0, int(v)) for v in (middle - half).tolist())
    x1, y1 = (int(v) + 1 for v in (middle + half).tolist())
    x1, y1 = min(width, max(x1, x0 + 12)), min(height, max(y1, y0 + 12))
    return slice(min(y0, y1 - 12), y1), slice(min(x0, x1 - 12), x1)
