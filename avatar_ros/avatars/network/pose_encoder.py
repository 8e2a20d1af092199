# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Hierarchical pose encoder (LEAP, Mihajlovic et al., CVPR 2021; 3DGS-Avatar, section 3)."""

import torch
from torch import Tensor, nn

from avatar_ros.body.skeletons import Skeleton


class PoseEncoder(nn.Module):
    """A code (joints * features,) of local rotations and joint positions.

    Joint by joint from the root: [rotation 9, joint 3, bone length 1, the parent's code] through
    two layers of its own. The root's rotation is left out: a pose is the same in any direction.
    """

    def __init__(self, skeleton: Skeleton, features: int = 6) -> None:
        super().__init__()
        count = len(skeleton)
        self.joints, self.features = count, features
        self._parents = skeleton.parents
        depth = [0] * count
        for joint in range(1, count):
            depth[joint] = depth[self._parents[joint]] + 1
        self._levels = [[j for j in range(count) if depth[j] == d] for d in range(max(depth) + 1)]
        width = 9 + 3 + 1 + features
        self.everything = nn.Linear(count * 12, features)
        self.hidden = nn.Parameter(torch.empty(count, width, width))
        self.hidden_bias = nn.Parameter(torch.zeros(count, width))
        self.out = nn.Parameter(torch.empty(count, width, features))
        self.out_bias = nn.Parameter(torch.zeros(count, features))
        for weights in (self.hidden, self.out):
            nn.init.uniform_(weights, -(width**-0.5), width**-0.5)

    @property
    def width(self) -> int:
        """Length of the code."""
        return self.joints * self.features

    def forward(self, rotations: Tensor, joints: Tensor) -> Tensor:
        """Code of rotation matrices (J, 3, 3), parent-relative, and rest joints (J, 3).

        Joints are in the normalised coordinates of the canonical box. Row 0 of the rotations is
        not used.
        """
        joints = joints[: self.joints]
        eye = torch.eye(3).to(joints)[None]
        turns = torch.cat([eye, rotations[1 : self.joints]]).flatten(1)
        parents = [max(p, 0) for p in self._parents]
        length = (joints - joints[parents]).norm(dim=1, keepdim=True)
        per_joint = torch.cat([turns, joints, length], dim=1)
        whole = self.everything(torch.cat([turns, joints], dim=1).flatten())
        codes = [whole] * self.joints
        for level in self._levels:
            above = torch.stack([codes[self._parents[j]] if j else whole for j in level])
            x = torch.cat([per_joint[level], above], dim=1)
            x = torch.relu(
                torch.einsum('ji,jio->jo', x, self.hidden[level]) + self.hidden_bias[level]
            )
            x = torch.einsum('ji,jio->jo', x, self.out[level]) + self.out_bias[level]
            for row, joint in enumerate(level):
                codes[joint] = x[row]
        return torch.cat(codes)
