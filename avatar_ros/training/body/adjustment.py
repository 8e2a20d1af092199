# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""CHASE's Dynamic Avatar Adjustment: what was deformed to one pose, carried on to a similar one.

Sparse control points of the body carry the posed Gaussians (as in SC-GS, Huang et al., CVPR 2024,
with 512 nodes and 3 neighbours), moved by linear blend skinning instead of a network. Gradients
of the similar picture reach the avatar through the Gaussians that were deformed for this one.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn

from avatar_ros.avatars.network.body_network import Posed
from avatar_ros.body.skeletons import Skeleton
from avatar_ros.body.torch_kinematics import JointMotion, skin
from avatar_ros.geometry.torch_rotations import quat_conjugate, quat_multiply
from avatar_ros.training.body.canonical_body import CanonicalBody
from avatar_ros.training.body.config import ChaseConfig
from avatar_ros.types import Array, FloatArray

#: Limbs whose angles tell whether two poses are similar.
_LIMBS = ('hip', 'knee', 'ankle', 'shoulder', 'elbow', 'wrist')


def pose_distances(skeleton: Skeleton, quats: FloatArray) -> FloatArray:
    """(T, T) radians between poses of quaternions (T, J, 4): root turn plus mean limb turn."""
    limbs = [skeleton.index[f'{side}_{joint}'] for side in ('left', 'right') for joint in _LIMBS]

    def angles(joint: int) -> FloatArray:
        dots = np.abs(quats[:, joint] @ quats[:, joint].T).clip(0, 1)
        return np.asarray(2 * np.arccos(dots))

    return angles(0) + np.mean([angles(joint) for joint in limbs], axis=0)


def similar_poses(
    distances: FloatArray, instants: Sequence[int], config: ChaseConfig
) -> dict[int, list[int]]:
    """For each of the instants those others, at most `similar`, that resemble it most.

    `distances` (T, T) is of all instants. Those within `apart` of it in time are left out. If
    none is below the threshold, the nearest one is taken.
    """
    result = {}
    for a in instants:
        others = [b for b in instants if abs(b - a) >= config.apart]
        order = np.argsort(distances[a, others], kind='stable')
        others = [others[k] for k in order]
        near = [b for b in others if distances[a, b] < config.similar_below_rad]
        result[a] = (near or others[:1])[: config.similar]
    return result


def farthest_points(points: Array, count: int) -> Array:
    """Rows of `count` points (N, 3) that are as far from each other as can be."""
    chosen = np.zeros(min(count, len(points)), np.int64)
    distance = np.full(len(points), np.inf)
    for k in range(1, len(chosen)):
        distance = np.minimum(distance, ((points - points[chosen[k - 1]]) ** 2).sum(1))
        chosen[k] = int(distance.argmax())
    return chosen


class Adjustment(nn.Module):
    """Control points on the body that carry posed Gaussians from one pose to another."""

    points: Tensor
    weights: Tensor

    def __init__(self, body: CanonicalBody, config: ChaseConfig) -> None:
        super().__init__()
        vertices = body.vertices.cpu().numpy()
        nodes = farthest_points(vertices, config.nodes)
        rows = torch.from_numpy(nodes)
        self.neighbours = config.node_neighbours
        self.register_buffer('points', body.vertices.cpu()[rows].to(body.vertices.device))
        self.register_buffer('weights', body.weights.cpu()[rows].to(body.vertices.device))
        self._tree = cKDTree(vertices[nodes])
        spacing, _ = self._tree.query(vertices[nodes], k=2)
        start = float(np.log(spacing[:, 1].mean()))
        self.log_radius = nn.Parameter(torch.full((len(nodes),), start).to(body.vertices.device))

    def bind(self, means: Tensor) -> Tensor:
        """Rows (N, k) of the control points nearest to canonical means (N, 3).

        Chosen in the canonical pose, where a hand is not near a hip.
        """
        _, rows = self._tree.query(means.detach().cpu().numpy(), k=self.neighbours)
        return torch.from_numpy(np.asarray(rows, np.int64)).to(means.device)

    def forward(
        self, posed: Posed, means: Tensor, rows: Tensor, start: JointMotion, end: JointMotion
    ) -> Posed:
        """Gaussians deformed to the pose `start`, carried to the pose `end`.

        means (N, 3) are the canonical ones, rows (N, k) those of `bind`.
        """
        first, first_turns = skin_frames(self.points, self.weights, start)
        second, second_turns = skin_frames(self.points, self.weights, end)
        linear = second[:, :, :3] @ torch.linalg.inv(first[:, :, :3])
        shift = second[:, :, 3] - (linear @ first[:, :, 3:])[..., 0]
        turns = quat_multiply(second_turns, quat_conjugate(first_turns))

        distance = (means.detach()[:, None] - self.points[rows]).square().sum(-1)
        radius = torch.exp(self.log_radius)[rows]
        share = torch.softmax(-distance / (2 * radius.square()), dim=1)
        moved = (linear[rows] @ posed.means[:, None, :, None])[..., 0] + shift[rows]
        near = turns[rows]
        sign = torch.where((near * near[:, :1]).sum(-1, keepdim=True) < 0, -1.0, 1.0)
        turn = nn.functional.normalize((share[..., None] * sign * near).sum(1), dim=1)
        return Posed(
            (share[..., None] * moved).sum(1),
            quat_multiply(turn, posed.quats),
            posed.scales,
            quat_multiply(turn, posed.turns),
            posed.features,
        )


def skin_frames(points: Tensor, weights: Tensor, motion: JointMotion) -> tuple[Tensor, Tensor]:
    """Blended affine maps (K, 3, 4) at points (K, 3), and the turns (K, 4) that go with them."""
    _, turns = skin(points, weights, motion)
    return (weights @ motion.A.flatten(1)).unflatten(1, (3, 4)), turns
