# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The regularisers of 3DGS-Avatar: skinning, and as-isometric-as-possible deformation."""

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from avatar_ros.geometry.torch_rotations import matrix_from_quat
from avatar_ros.types import FloatArray


def skinning_loss(weights: Tensor, truth: Tensor) -> Tensor:
    """L_skin: squared error of weights (P, J), summed over joints, mean over points."""
    return (weights - truth).square().sum(1).mean()


def covariances(quats: Tensor, scales: Tensor) -> Tensor:
    """The six different entries (N, 6) of R S S R^T for quaternions of unit length."""
    RS = matrix_from_quat(quats) * scales[:, None, :]
    full = RS @ RS.transpose(1, 2)
    return torch.stack(
        [full[:, a, b] for a, b in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))], dim=1
    )


def nearest(points: Tensor | FloatArray, k: int) -> Tensor:
    """Rows (N, k) of the k nearest of each point, the point itself among them."""
    array = points.detach().cpu().numpy() if isinstance(points, Tensor) else points
    _, rows = cKDTree(array).query(array, k=min(k, len(array)))
    return torch.from_numpy(np.asarray(rows, np.int64).reshape(len(array), -1))


def isometry_loss(before: Tensor, after: Tensor, neighbours: Tensor) -> Tensor:
    """L_iso: mean change of the distances between neighbours (N, k), for points or covariances."""

    def distances(values: Tensor) -> Tensor:
        # The point itself is among its neighbours: a root has no gradient at zero.
        squared = (values[neighbours] - values[:, None]).square().sum(-1)
        return torch.sqrt(squared + 1e-20)

    return (distances(before) - distances(after)).abs().mean()
