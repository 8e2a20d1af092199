# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The networks that turn canonical Gaussians into a posed person.

3DGS-Avatar (Qian et al., CVPR 2024), the base of CHASE and SG-GS: a non-rigid change in the
canonical pose, then linear blend skinning with a learned field, and a colour that depends on
both. SG-GS adds a 3-D network whose change is learned after the first.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar_ros.avatars.network.config import NetworkConfig
from avatar_ros.avatars.network.hash_grid import HashGrid
from avatar_ros.avatars.network.layers import Mlp
from avatar_ros.avatars.network.limbs import body_joints, shared_out
from avatar_ros.avatars.network.pose_encoder import PoseEncoder
from avatar_ros.avatars.network.skinning_field import SkinningField
from avatar_ros.avatars.network.voxel_unet import VoxelTables, VoxelUNet
from avatar_ros.body.skeletons import Skeleton
from avatar_ros.body.torch_kinematics import JointMotion, skin
from avatar_ros.gaussians.spherical_harmonics import evaluate_sh, sh_basis
from avatar_ros.geometry.torch_rotations import quat_conjugate, quat_multiply, quat_rotate


@dataclass(frozen=True)
class PoseInput:
    """One pose as the networks take it."""

    rotations: Tensor
    """Parent-relative rotation matrices (J, 3, 3); the root's is not used."""
    motion: JointMotion
    """From the canonical pose to this one."""


@dataclass(frozen=True)
class Canonical:
    """Gaussians in the canonical pose; scales are logarithms, as they are learned."""

    means: Tensor
    quats: Tensor
    log_scales: Tensor
    features: Tensor
    """(N, color_features)."""
    semantics: Tensor | None = None
    """Logits (N, parts)."""
    shift: Tensor | None = None
    """(N, 3) metres by which the face moves them in this pose."""
    shares: Tensor | None = None
    """(N, J) of `limbs.shares`, if the skeleton has joints that the networks do not know."""


@dataclass(frozen=True)
class Change:
    """What a pose changes before skinning."""

    means: Tensor
    log_scales: Tensor
    quats: Tensor
    """(N, 4) that multiplies from the left."""
    features: Tensor
    """(N, nonrigid_features) for the colours."""


@dataclass(frozen=True)
class Posed:
    """Gaussians after skinning, without colours."""

    means: Tensor
    quats: Tensor
    scales: Tensor
    turns: Tensor
    """(N, 4) how skinning turned them: views are turned back by it for the colours."""
    features: Tensor


class BodyNetwork(nn.Module):
    """All networks of one avatar."""

    low: Tensor
    high: Tensor
    joints: Tensor

    def __init__(
        self,
        config: NetworkConfig,
        skeleton: Skeleton,
        bounds: Tensor,
        canonical_joints: Tensor,
        instants: int,
    ) -> None:
        """`bounds` (2, 3) is the padded box of the canonical body; each instant has a latent."""
        super().__init__()
        self.config = config
        self.register_buffer('low', bounds[0].clone())
        self.register_buffer('high', bounds[1].clone())
        self.register_buffer('joints', canonical_joints.clone())
        c = config
        self.skeleton = skeleton
        known = body_joints(skeleton)
        self.encoder = PoseEncoder(known, c.pose_features)
        self.grid = HashGrid(
            c.hash_levels, c.hash_features, c.hash_log2_table, c.hash_base, c.hash_finest
        )
        code = self.encoder.width
        self.nonrigid = Mlp(
            self.grid.width, code, c.nonrigid_width, c.nonrigid_layers, 10 + c.nonrigid_features
        )
        self.nonrigid.start_at_zero()
        self.skinning = SkinningField(known, c.skinning_width, c.skinning_layers)
        view = (c.view_degree + 1) ** 2 - 1
        self.color = Mlp(
            c.color_features + view + c.nonrigid_features,
            c.latent_features,
            c.color_width,
            c.color_layers,
            3,
        )
        self.latents = nn.Embedding(instants, c.latent_features)
        if c.geometry_network:
            self.unet = VoxelUNet(3 + c.parts, c.unet_planes, c.unet_features, c.voxel_m)
            self.fusion = Mlp(
                self.grid.width + c.unet_features, code, c.fusion_width, c.fusion_layers, 10
            )
            self.fusion_scale = nn.Parameter(torch.tensor(0.001))

    def normalise(self, points: Tensor) -> Tensor:
        """Points (N, 3) in the canonical box as -1..1."""
        return 2 * (points - self.low) / (self.high - self.low) - 1

    def code(self, pose: PoseInput) -> Tensor:
        """The pose code."""
        code: Tensor = self.encoder(pose.rotations, self.normalise(self.joints))
        return code

    def encode(self, canonical: Canonical) -> Tensor:
        """Hash features of the Gaussians: constant once training is over."""
        features: Tensor = self.grid(self.normalise(canonical.means))
        return features

    def geometry(self, canonical: Canonical, tables: VoxelTables) -> Tensor:
        """Features of the 3-D network: constant once training is over."""
        assert canonical.semantics is not None
        parts = torch.softmax(canonical.semantics, dim=1)
        inputs = torch.cat([self.normalise(canonical.means), parts], dim=1)
        features: Tensor = self.unet(inputs, tables)
        return features

    def change(self, encoded: Tensor, code: Tensor, geometry: Tensor | None = None) -> Change:
        """What the pose changes; `geometry` adds what the 3-D network learned."""
        out = self.nonrigid(encoded, code)
        means, log_scales = out[:, :3], out[:, 3:6]
        quats = torch.cat([1 + out[:, 6:7], out[:, 7:10]], dim=1)
        if geometry is not None:
            more = self.fusion(torch.cat([encoded, geometry], dim=1), code) * self.fusion_scale
            means, log_scales = means + more[:, :3], log_scales + more[:, 3:6]
            quats = quats + more[:, 6:10]
        return Change(means, log_scales, F.normalize(quats, dim=1), out[:, 10:])

    def no_change(self, canonical: Canonical) -> Change:
        """Before the non-rigid network takes part."""
        zeros = torch.zeros_like(canonical.means)
        still = torch.tensor([1.0, 0, 0, 0]).to(zeros).expand(len(zeros), 4)
        features = zeros.new_zeros(len(zeros), self.config.nonrigid_features)
        return Change(zeros, zeros, still, features)

    def pose(self, canonical: Canonical, change: Change, motion: JointMotion) -> Posed:
        """The changed Gaussians, skinned with the field where they are now."""
        means = canonical.means + change.means
        if canonical.shift is not None:
            means = means + canonical.shift
        weights = self.weights(means, canonical.shares)
        moved, turns = skin(means, weights, motion)
        quats = quat_multiply(turns, quat_multiply(change.quats, canonical.quats))
        scales = torch.exp(canonical.log_scales + change.log_scales)
        return Posed(moved, quats, scales, turns, change.features)

    def weights(self, means: Tensor, share: Tensor | None) -> Tensor:
        """Skinning weights (N, J) at canonical points."""
        known: Tensor = self.skinning(self.normalise(means))
        return known if share is None else shared_out(known, share, self.skeleton)

    def colors(
        self,
        features: Tensor,
        posed: Posed,
        camera_position: Tensor,
        latent: Tensor,
        augment: Tensor | None = None,
    ) -> Tensor:
        """RGB (N, 3) seen from a point (3,) in the world of the posed Gaussians.

        The direction of view is turned back into the canonical pose; `augment` (3, 3) turns it
        further (while training, so that colours do not learn a pose's light as a view).
        """
        away = F.normalize(posed.means.detach() - camera_position, dim=1)
        directions = quat_rotate(quat_conjugate(posed.turns), away)
        if augment is not None:
            directions = directions @ augment.T
        if self.config.spherical_harmonics:
            return evaluate_sh(features.unflatten(1, (-1, 3)), directions)
        basis = sh_basis(directions, self.config.view_degree)[:, 1:]
        rows = torch.cat([features, basis, posed.features], dim=1)
        rgb: Tensor = torch.sigmoid(self.color(rows, latent))
        return rgb

    def latent(self, instant: int | None) -> Tensor:
        """The latent of an instant; the last one for a pose that was not in the capture."""
        row = self.latents.num_embeddings - 1 if instant is None else instant
        latent: Tensor = self.latents.weight[row]
        return latent
