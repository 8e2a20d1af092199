# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Learned skinning weights with a hierarchical softmax (SNARF; 3DGS-Avatar, section 3.2)."""

import torch
from torch import Tensor, nn

from avatar_ros.avatars.network.layers import Mlp
from avatar_ros.body.skeletons import Skeleton


class HierarchicalSoftmax(nn.Module):
    """Logits (N, logits) to weights (N, J) that sum to one, splitting down the kinematic tree.

    Each joint keeps a part of what reaches it and hands on the rest. To an only child: the
    sigmoid of the child's logit. To several: a sigmoid gate, shared out by a softmax over their
    logits. The root's own logit is its gate; every other joint that branches has one more behind
    the J, so SMPL has 25: the last one is the gate from spine3 to neck and collars.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self.joints = len(skeleton)
        children: list[list[int]] = [[] for _ in skeleton.joints]
        for joint in range(1, self.joints):
            children[skeleton.parents[joint]].append(joint)
        self.logits = self.joints
        self._splits: list[tuple[int, list[int], int]] = []
        for joint, below in enumerate(children):
            if not below:
                continue
            gate = joint if joint == 0 else below[0]
            if joint and len(below) > 1:
                gate = self.logits
                self.logits += 1
            self._splits.append((joint, below, gate))

    def forward(self, logits: Tensor) -> Tensor:
        """Weights (N, J)."""
        gates = torch.sigmoid(logits)
        arriving: list[Tensor] = [torch.ones_like(logits[:, 0])] * self.joints
        staying: list[Tensor] = list(arriving)
        for joint, below, gate in self._splits:
            passed = arriving[joint] * gates[:, gate]
            staying[joint] = arriving[joint] - passed
            if len(below) == 1:
                arriving[below[0]] = staying[below[0]] = passed
                continue
            shares = torch.softmax(logits[:, below], dim=1)
            for column, child in enumerate(below):
                arriving[child] = staying[child] = passed * shares[:, column]
        return torch.stack(staying, dim=1)


class SkinningField(nn.Module):
    """Skinning weights (N, J) of normalised canonical points (N, 3)."""

    def __init__(self, skeleton: Skeleton, width: int = 128, layers: int = 4) -> None:
        super().__init__()
        self.softmax = HierarchicalSoftmax(skeleton)
        self.mlp = Mlp(3, 0, width, layers, self.softmax.logits)

    def forward(self, points: Tensor) -> Tensor:
        """Weights that sum to one."""
        weights: Tensor = self.softmax(self.mlp(points))
        return weights
