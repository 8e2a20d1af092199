# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""SG-GS: the Semantic Human-body Annotator and the losses that use its maps."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional as F

from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera, transform_points
from avatar_ros.render import Engine
from avatar_ros.training.capture import PARTS
from avatar_ros.types import Array, FloatArray

#: Vertices that lie so much deeper than the nearest one around a pixel are hidden, in metres.
_BEHIND_M = 0.03
_CANDIDATES, _VOTES = 12, 3


def annotate(vertices: FloatArray, labels: Array, camera: Camera, mask: Array) -> Array:
    """Part map (H, W) uint8 of a picture: 0 outside the mask, else part + 1 (SHA, step 3).

    Every pixel of the mask (H, W) takes the majority label of the nearest three visible ones
    among the projected vertices (V, 3) of the posed body.
    """
    result = np.zeros(mask.shape, np.uint8)
    rows, columns = np.nonzero(mask)
    seen = transform_points(camera.T_camera_world, vertices)
    in_front = seen[:, 2] > 0.01
    if not len(rows) or not in_front.any():
        return result
    uv = seen[in_front] @ camera.K.T
    uv = uv[:, :2] / uv[:, 2:]
    depth, label = seen[in_front, 2], labels[in_front]
    pixels = np.stack([columns + 0.5, rows + 0.5], axis=1)
    _, near = cKDTree(uv).query(pixels, k=min(_CANDIDATES, len(uv)))
    near = near.reshape(len(pixels), -1)
    visible = depth[near] <= depth[near].min(1, keepdims=True) + _BEHIND_M
    first = visible & (np.cumsum(visible, axis=1) <= _VOTES)
    # The nearer one breaks a tie.
    weight = first * (1 - 1e-3 * np.arange(near.shape[1]))
    votes = np.stack(
        [(weight * (label[near] == part)).sum(1) for part in range(len(PARTS))], axis=1
    )
    result[rows, columns] = votes.argmax(1) + 1
    return result


def splat_features(
    engine: Engine, gaussians: Gaussians, features: Tensor, camera: Camera
) -> Tensor:
    """Picture (H, W, D) of features (N, D), blended as colours are, three channels a pass."""
    count = features.shape[1]
    passes = -(-count // 3)
    padded = F.pad(features, (0, 3 * passes - count))
    sets = padded.unflatten(1, (passes, 3)).permute(1, 0, 2).contiguous()
    drawn = engine.rasterize(
        Gaussians(gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, sets),
        [camera] * passes,
    )
    return torch.cat(list(drawn.colors), dim=-1)[..., :count]


def semantic_loss(picture: Tensor, parts: Tensor) -> Tensor:
    """L_semantic: binary cross entropy of splatted probabilities (H, W, P) inside the mask.

    `parts` (H, W) holds part + 1, 0 outside.
    """
    inside = parts > 0
    truth = F.one_hot(parts[inside].long() - 1, picture.shape[-1]).to(picture)
    return F.binary_cross_entropy(picture[inside].clamp(1e-4, 1 - 1e-4), truth)


def neighbourhood_loss(logits: Tensor, neighbours: Tensor, scale: float = 2.0) -> Tensor:
    """L_neighborhood: KL(p_i || p_j) to the neighbours (M, k), as in Gaussian Grouping.

    `neighbours` are rows of the logits (N, P); the first of each is the Gaussian itself. Both
    sides get gradients.
    """
    log_p = F.log_softmax(logits, dim=1)
    own, others = log_p[neighbours[:, :1]], log_p[neighbours]
    divergence = (own.exp() * (own - others)).sum(-1)
    return scale * divergence.mean() / logits.shape[1]


def contrast_of_parts(
    means: Tensor,
    rgb: Tensor,
    opacities: Tensor,
    parts: Tensor,
    wanted: Sequence[str],
    share: float,
) -> Tensor:
    """Rows of the Gaussians that differ most from their neighbours, a share of each wanted part.

    SG-GS's density regularisation, as it was meant: the score of a Gaussian is the difference
    from its 3 nearest of the same part in colour / sqrt(3), opacity, and 0.01 of the position.
    """
    chosen = []
    for name in wanted:
        rows = torch.nonzero(parts == PARTS.index(name))[:, 0]
        if len(rows) < 8:
            continue
        points = means[rows].detach()
        _, near = cKDTree(points.cpu().numpy()).query(points.cpu().numpy(), k=4)
        near = torch.from_numpy(np.asarray(near[:, 1:], np.int64)).to(rows.device)
        score = sum(
            weight * (values[rows][near] - values[rows][:, None]).norm(dim=-1).sum(1)
            for weight, values in ((3**-0.5, rgb), (1.0, opacities[:, None]), (0.01, means))
        )
        assert isinstance(score, Tensor)
        chosen.append(rows[score.topk(max(1, round(share * len(rows)))).indices])
    return torch.cat(chosen) if chosen else torch.zeros(0, dtype=torch.long)
