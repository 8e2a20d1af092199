# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The joints that the networks know: those of the body, without fingers, jaw and eyes.

A network that has to find thirty finger joints by coordinates fails at the body too, and clothes
do not follow them. So the learned field carries the body's joints, and what it gives to a hand or
the head is shared out among their joints as the body model does.
"""

import torch
from torch import Tensor

from avatar_ros.body.skeletons import SMPL, SMPLX, Skeleton

_BODY_JOINTS = {SMPL.name: 24, SMPLX.name: 22}


def body_joints(skeleton: Skeleton) -> Skeleton:
    """The skeleton that networks are made for: all 24 joints of SMPL, the first 22 of SMPL-X.

    :raises ValueError: if the skeleton has no body.
    """
    if skeleton.name not in _BODY_JOINTS:
        raise ValueError(
            f'no body networks for skeleton {skeleton.name!r}; expected smpl or smplx.'
        )
    count = _BODY_JOINTS[skeleton.name]
    return Skeleton(skeleton.name, skeleton.joints[:count], skeleton.parents[:count])


def owners(skeleton: Skeleton) -> list[int]:
    """For each joint (J,) the body joint that it hangs on; itself for a body joint."""
    count = _BODY_JOINTS[skeleton.name]
    result: list[int] = []
    for joint in range(len(skeleton)):
        result.append(joint if joint < count else result[skeleton.parents[joint]])
    return result


def joined(weights: Tensor, skeleton: Skeleton) -> Tensor:
    """Weights (N, J) with those of fingers, jaw and eyes added to the joint they hang on."""
    result = weights.new_zeros(len(weights), _BODY_JOINTS[skeleton.name])
    rows = torch.tensor(owners(skeleton), device=weights.device)
    return result.index_add(1, rows, weights)


def shares(weights: Tensor, skeleton: Skeleton) -> Tensor:
    """How the body model shares out (N, J) what a body joint carries; a group sums to one."""
    rows = torch.tensor(owners(skeleton), device=weights.device)
    total = joined(weights, skeleton)[:, rows]
    own = torch.arange(len(rows), device=weights.device) == rows
    nobody = total < 1e-3
    return torch.where(nobody, own.to(weights), weights / total.clamp_min(1e-3))


def shared_out(body_weights: Tensor, share: Tensor, skeleton: Skeleton) -> Tensor:
    """Weights (N, J) of all joints from those (N, B) of the body and the shares (N, J)."""
    return body_weights[:, torch.tensor(owners(skeleton), device=share.device)] * share
