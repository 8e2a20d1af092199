# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""How far a body is from the masks: points of the body lie in them, and outlines on the body.

A Chamfer distance in pixels, both ways, on a few hundred points; no rasterizer is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from avatar_ros.geometry import Camera
from avatar_ros.types import Array, FloatArray

_OUTLINE = 64  # points of a mask's outline
_HALF = 2  # distance maps have half the pictures' resolution ...
_STEPS = 4  # ... and count quarters of their pixels, up to 255
_HUBER_PX = 6.0
_BORDER_PX = 3  # an outline at the picture's edge is where the picture ends, not the person


@dataclass(frozen=True)
class CameraMasks:
    """The masks of one camera, ready for `silhouette_loss`."""

    outside: Tensor
    """(T, h, w) uint8: distance to the mask, 0 in it."""
    outline: Tensor
    """(T, 64, 2) pixels."""
    valid: Tensor
    """(T, 64) 1 where there is such a point."""
    seen: Tensor
    """(T,) 1 where there is a mask."""
    size: tuple[int, int]
    """Width and height of the pictures."""


def camera_masks(camera: Camera, masks: Sequence[Array | None]) -> CameraMasks:
    """Prepare the masks (H, W) uint8 of a camera; their lens distortion is removed.

    None or an empty one: nobody is seen.
    """
    width, height = camera.width, camera.height
    shape = (-(-height // _HALF), -(-width // _HALF))
    outside = np.full((len(masks), *shape), 0, np.uint8)
    outline = np.zeros((len(masks), _OUTLINE, 2))
    valid = np.zeros((len(masks), _OUTLINE))
    seen = np.zeros(len(masks))
    K = camera.K.copy()
    K[:2, 2] -= 0.5  # OpenCV has pixel centres at integers
    for t, given in enumerate(masks):
        if given is None or not given.any():
            continue
        mask = cv2.undistort(given, K, camera.distortion) if camera.distortion.size else given
        small = cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_AREA)
        far = cv2.distanceTransform((small < 128).astype(np.uint8), cv2.DIST_L2, 3)
        outside[t] = np.clip(np.round(_STEPS * far), 0, 255)
        lines, _ = cv2.findContours(
            (mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        if not lines:
            continue
        points = np.concatenate([line[:, 0] for line in lines]) + 0.5
        points = points[np.linspace(0, len(points) - 1, _OUTLINE).astype(int)]
        inside = (points > _BORDER_PX) & (points < np.array([width, height]) - _BORDER_PX)
        outline[t], valid[t], seen[t] = points, inside.all(1), 1.0
    return CameraMasks(
        torch.from_numpy(outside), torch.from_numpy(outline), torch.from_numpy(valid),
        torch.from_numpy(seen), (width, height),
    )  # fmt: skip


def silhouette_loss(masks: CameraMasks, instants: Tensor, pixels: Tensor, unit: float) -> Tensor:
    """Mean robust distance of body points at pixels (S, N, 2) from the masks of instants (S,).

    In units of `_HUBER_PX` pixels; `unit` is the number of pixels that count as one.
    """
    seen = masks.seen[instants]
    out = _distance(masks, instants, pixels) / unit
    out = _robust(out).mean(1)
    with torch.no_grad():
        nearest = torch.cdist(masks.outline[instants].float(), pixels.float()).argmin(2)
    there = torch.gather(pixels, 1, nearest[..., None].expand(-1, -1, 2))
    gap = (there - masks.outline[instants]).square().sum(-1).add(1e-9).sqrt() / unit
    valid = masks.valid[instants]
    on = (valid * _robust(gap)).sum(1) / valid.sum(1).clamp_min(1)
    return (seen * (out + on)).sum() / seen.sum().clamp_min(1)


def _robust(x: Tensor) -> Tensor:
    return F.huber_loss(x, torch.zeros_like(x), reduction='none', delta=_HUBER_PX) / _HUBER_PX


def _distance(masks: CameraMasks, instants: Tensor, pixels: Tensor) -> Tensor:
    """Distances (S, N) in pixels from the mask; 0 for what is outside the picture."""
    _, h, w = masks.outside.shape
    x = pixels[..., 0] / _HALF - 0.5
    y = pixels[..., 1] / _HALF - 0.5
    size = torch.tensor(masks.size)
    visible = ((pixels > 0) & (pixels < size)).all(-1)
    left = x.detach().floor().clamp(0, w - 2).long()
    top = y.detach().floor().clamp(0, h - 2).long()
    flat = masks.outside.reshape(-1)
    base = (instants[:, None] * h + top) * w + left
    a, b, c, d = (flat[base + step].to(pixels) for step in (0, 1, w, w + 1))
    u, v = (x - left).clamp(0, 1), (y - top).clamp(0, 1)
    value = (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v
    return value * visible * (_HALF / _STEPS)


def spread_points(vertices: FloatArray, count: int) -> Array:
    """Rows of `count` vertices that lie as far apart as they can (farthest-point sampling)."""
    count = min(count, len(vertices))
    chosen = np.zeros(count, dtype=np.int64)
    gap = np.full(len(vertices), np.inf)
    for k in range(1, count):
        gap = np.minimum(gap, np.square(vertices - vertices[chosen[k - 1]]).sum(1))
        chosen[k] = gap.argmax()
    return chosen
