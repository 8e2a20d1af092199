# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Forward kinematics and linear blend skinning of arbitrary points (SMPL, eqs. 2-4).

Live code skins the points of an avatar, never a full body mesh. Two engines with the same
results: numba for live use on a CPU, torch for CUDA and for gradients.
"""

import numba
import numpy as np
import torch
from torch import Tensor

from avatar_ros.body.skeletons import Skeleton
from avatar_ros.geometry import matrix_from_quat
from avatar_ros.types import Array, FloatArray


def forward_kinematics(
    skeleton: Skeleton, rest_joints: Array, rotations: Array, T_frame_root: Array | None = None
) -> FloatArray:
    """Global joint transforms (J, 4, 4) of rest joints (J, 3) under quaternions (J, 4) wxyz.

    `T_frame_root` places the root joint; without it the root stays where it rests.
    """
    local = np.zeros((len(skeleton), 4, 4))
    local[:, 3, 3] = 1.0
    local[:, :3, :3] = matrix_from_quat(rotations)
    local[0, :3, 3] = rest_joints[0]
    parents = skeleton.parent_array
    local[1:, :3, 3] = rest_joints[1:] - rest_joints[parents[1:]]
    result = local.copy()
    if T_frame_root is not None:
        result[0] = T_frame_root
        result[0, :3, :3] = T_frame_root[:3, :3] @ local[0, :3, :3]
    for joint in range(1, len(skeleton)):
        result[joint] = result[parents[joint]] @ local[joint]
    return result


def skinning_transforms(T_frame_joint: Array, rest_joints: Array) -> FloatArray:
    """(J, 3, 4): where each joint carries a rest-pose point rigidly attached to it."""
    A = np.array(T_frame_joint[:, :3, :], dtype=float)
    A[:, :, 3] -= np.einsum('jab,jb->ja', A[:, :, :3], rest_joints)
    return A


def top_k_weights(weights: Array, k: int = 4) -> tuple[Array, Array]:
    """The k largest of the skinning weights (N, J): joints (N, k) uint8, weights (N, k) float32.

    The kept weights are scaled to sum to one.
    """
    order = np.argsort(-weights, axis=1, kind='stable')[:, :k]
    kept = np.take_along_axis(weights, order, axis=1)
    kept = kept / kept.sum(axis=1, keepdims=True)
    return order.astype(np.uint8), kept.astype(np.float32)


def skin_points_torch(
    points: Tensor, joints: Tensor, weights: Tensor, A: Tensor
) -> tuple[Tensor, Tensor]:
    """Skinned points (N, 3) and the blended matrices (N, 3, 4) that moved them.

    points (N, 3), joints (N, k) integer, weights (N, k), A (J, 3, 4). Differentiable in points,
    weights and A.
    """
    blended = torch.einsum('nk,nkab->nab', weights, A[joints.long()])
    return (blended[:, :, :3] @ points[:, :, None])[..., 0] + blended[:, :, 3], blended


@numba.njit(fastmath=True, nogil=True, cache=True, error_model='numpy')
def skin_points_numba(
    points: Array, joints: Array, weights: Array, A: Array, out: Array, blended: Array
) -> None:
    """The same in place on float32 arrays: fills `out` (N, 3) and `blended` (N, 3, 4)."""
    for i in range(points.shape[0]):
        for r in range(3):
            m0 = m1 = m2 = m3 = np.float32(0)
            for k in range(joints.shape[1]):
                w = weights[i, k]
                row = A[joints[i, k], r]
                m0 += w * row[0]
                m1 += w * row[1]
                m2 += w * row[2]
                m3 += w * row[3]
            blended[i, r, 0] = m0
            blended[i, r, 1] = m1
            blended[i, r, 2] = m2
            blended[i, r, 3] = m3
            out[i, r] = m0 * points[i, 0] + m1 * points[i, 1] + m2 * points[i, 2] + m3
