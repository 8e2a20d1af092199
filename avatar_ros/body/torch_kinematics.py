# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Forward kinematics and skinning with gradients, relative to any canonical pose.

`lbs.py` starts from the T-pose. Networks learn in another canonical pose (legs apart, so that
they do not touch); what moves a point from there is the posed joint times the inverse of the
canonical one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from avatar_ros.body.skeletons import Skeleton
from avatar_ros.geometry.torch_rotations import (
    matrix_from_quat,
    quat_conjugate,
    quat_multiply,
    quat_rotate,
)


@dataclass(frozen=True)
class JointMotion:
    """How the joints carry points from one pose to another; instants may follow the joint axis."""

    A: Tensor
    """Affine maps (J, 3, 4)."""
    turns: Tensor
    """Their rotations (J, 4) wxyz."""

    def then(self, after: 'JointMotion') -> 'JointMotion':
        """This motion, followed by another."""
        R, t = after.A[:, :, :3], after.A[:, :, 3]
        moved = (R @ self.A[:, :, 3:])[..., 0] + t
        A = torch.cat([R @ self.A[:, :, :3], moved[..., None]], dim=-1)
        return JointMotion(A, quat_multiply(after.turns, self.turns))

    def inverse(self) -> 'JointMotion':
        """Back again."""
        turns = quat_conjugate(self.turns)
        shift = -quat_rotate(turns, self.A[:, :, 3])
        return JointMotion(torch.cat([matrix_from_quat(turns), shift[..., None]], dim=-1), turns)


def joint_motion(
    skeleton: Skeleton, rest_joints: Tensor, quats: Tensor, translation: Tensor | None = None
) -> JointMotion:
    """What carries T-pose points to a pose: SMPL eqs. 2-4 with quaternions (J, ..., 4) wxyz.

    Row 0 turns the body about its root joint; `translation` (..., 3) is SMPL's ``transl``.
    """
    rest = rest_joints.reshape(len(skeleton), *[1] * (quats.dim() - 2), 3)
    turns: list[Tensor] = [quats[0]] * len(skeleton)
    places: list[Tensor] = [rest[0].expand_as(quats[0, ..., 1:])] * len(skeleton)
    if translation is not None:
        places[0] = rest[0] + translation
    for level in _levels(skeleton):
        parents = [skeleton.parents[j] for j in level]
        up = torch.stack([turns[p] for p in parents])
        # Row by row: a list as an index would be copied to the GPU at each call.
        bones = torch.stack([rest[j] - rest[p] for j, p in zip(level, parents, strict=True)])
        turned = quat_multiply(up, torch.stack([quats[j] for j in level]))
        placed = torch.stack([places[p] for p in parents]) + quat_rotate(up, bones)
        for row, joint in enumerate(level):
            turns[joint], places[joint] = turned[row], placed[row]
    turn, place = torch.stack(turns), torch.stack(places)
    shift = place - quat_rotate(turn, rest)
    return JointMotion(torch.cat([matrix_from_quat(turn), shift[..., None]], dim=-1), turn)


def _levels(skeleton: Skeleton) -> list[list[int]]:
    """Joints other than the root, by their distance from it."""
    depth = [0] * len(skeleton)
    for joint in range(1, len(skeleton)):
        depth[joint] = depth[skeleton.parents[joint]] + 1
    return [
        [j for j in range(len(skeleton)) if depth[j] == level] for level in range(1, max(depth) + 1)
    ]


def skin(points: Tensor, weights: Tensor, motion: JointMotion) -> tuple[Tensor, Tensor]:
    """Points (N, 3) carried by weights (N, J), and how each was turned (N, 4) wxyz.

    Turns are blended quaternions as in live play (`avatars.skinned`): a blended matrix would
    shear the Gaussians.
    """
    blended = (weights @ motion.A.flatten(1)).unflatten(1, (3, 4))
    moved = (blended[:, :, :3] @ points[:, :, None])[..., 0] + blended[:, :, 3]
    turns = motion.turns
    main = turns[weights.detach().argmax(dim=1)].detach()
    # q and -q are the same rotation: blend on one half of the sphere.
    sign = torch.where(main @ turns.detach().T < 0, -1.0, 1.0).to(weights)
    return moved, torch.nn.functional.normalize((weights * sign) @ turns, dim=-1)
