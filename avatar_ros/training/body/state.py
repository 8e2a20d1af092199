# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Everything that a run learns, and the poses and pictures that it learns from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avatar_ros.avatars.network.body_network import BodyNetwork, Canonical, PoseInput
from avatar_ros.avatars.network.voxel_unet import VoxelTables
from avatar_ros.training.body.adjustment import Adjustment
from avatar_ros.training.body.canonical_body import CanonicalBody
from avatar_ros.training.body.canonical_gaussians import initial_gaussians
from avatar_ros.training.body.config import TrainConfig
from avatar_ros.training.body.contrast import DgcnnEncoder
from avatar_ros.training.body.losses import nearest
from avatar_ros.training.capture import Capture


class LearnedPoses(nn.Module):
    """The capture's poses, corrected while training (3DGS-Avatar, pose correction)."""

    def __init__(self, capture: Capture, cameras: int) -> None:
        super().__init__()
        poses = capture.poses
        self.rotvecs = nn.Parameter(torch.from_numpy(poses.rotvecs.astype(np.float32)))
        self.translations = nn.Parameter(torch.from_numpy(poses.translations.astype(np.float32)))
        #: Rotation vector and shift of each camera against its calibration.
        self.cameras = nn.Parameter(torch.zeros(cameras, 6))


@dataclass
class Bound:
    """What depends on how many Gaussians there are and where: made anew now and then."""

    means: Tensor
    neighbours: Tensor
    nodes: Tensor | None
    tables: VoxelTables | None
    expression_dirs: Tensor | None
    shares: Tensor | None


class TrainState:
    """Networks, Gaussians, poses, optimisers and random numbers of one run."""

    def __init__(self, config: TrainConfig, capture: Capture, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config, self.capture, self.device = config, capture, device
        self.iteration = 0
        self.rng = np.random.default_rng(config.seed)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.body = CanonicalBody(capture.subject, device)
        self.gaussians = initial_gaussians(self.body, config, self.rng)
        self.network = BodyNetwork(
            config.network,
            capture.subject.skeleton,
            self.body.bounds,
            self.body.joints,
            len(capture.poses),
        ).to(device)
        names = sorted({shot.camera_name for shot in capture.shots})
        self.camera_rows = {name: row for row, name in enumerate(names)}
        self.poses = LearnedPoses(capture, len(names)).to(device)
        self.adjustment: Adjustment | None = None
        self.encoder: DgcnnEncoder | None = None
        if config.chase is not None:
            self.adjustment = Adjustment(self.body, config.chase)
            self.encoder = DgcnnEncoder(
                config.chase.contrast_neighbours, config.chase.encoder_width
            ).to(device)
        self.optimizer = self._network_optimizer()
        self.scheduler = torch.optim.lr_scheduler.ExponentialLR(
            self.optimizer, config.schedule.lr_end ** (1 / config.schedule.iterations)
        )
        self.bound: Bound | None = None

    def _network_optimizer(self) -> torch.optim.Optimizer:
        s, network = self.config.schedule, self.network
        skinning = list(network.skinning.parameters())
        unet = list(network.unet.parameters()) if self.config.network.geometry_network else []
        special = {id(p) for p in [*skinning, *unet, network.latents.weight]}
        rest = [p for p in network.parameters() if id(p) not in special]
        groups: list[dict[str, Any]] = [
            {'params': rest, 'lr': s.network_lr},
            {'params': skinning, 'lr': s.skinning_lr},
            {
                'params': [network.latents.weight],
                'lr': s.network_lr,
                'weight_decay': s.latent_decay,
            },
        ]
        if unet:
            groups.append({'params': unet, 'lr': s.unet_lr})
        learned = [self.poses.rotvecs, self.poses.translations]
        if s.camera_correction:
            learned.append(self.poses.cameras)
        if s.pose_correction:
            groups.append({'params': learned, 'lr': s.pose_lr})
        if self.adjustment is not None and self.encoder is not None:
            chase = self.config.chase
            assert chase is not None
            groups.append({'params': list(self.adjustment.parameters()), 'lr': s.network_lr})
            groups.append({'params': list(self.encoder.parameters()), 'lr': chase.encoder_lr})
        return torch.optim.Adam(groups, fused=True)

    def rebind(self, means: Tensor | None = None) -> None:
        """Neighbours, control points and voxels of the Gaussians as they are now.

        A resumed run binds them where they were (`means`), so that it goes on exactly alike.
        """
        means = self.gaussians.means.detach().clone() if means is None else means
        geometry = self.config.network.geometry_network
        self.bound = Bound(
            means=means,
            neighbours=nearest(means, self.config.loss.neighbours).to(self.device),
            nodes=None if self.adjustment is None else self.adjustment.bind(means),
            tables=self.network.unet.tables(means) if geometry else None,
            expression_dirs=self.body.expression_dirs(means),
            shares=self.body.shares(means),
        )

    def canonical(self, row: int) -> Canonical:
        """The Gaussians in the canonical pose, with the face of an instant."""
        assert self.bound is not None
        g, dirs = self.gaussians, self.bound.expression_dirs
        shift = None
        expression = self.capture.poses.expression
        if dirs is not None and expression is not None:
            shift = dirs @ torch.as_tensor(expression[row], dtype=dirs.dtype, device=dirs.device)
        return Canonical(
            g.means,
            nn.functional.normalize(g.quats, dim=1),
            g.log_scales,
            g.features,
            g.params.get('semantics'),
            shift,
            self.bound.shares,
        )

    def pose_input(self, row: int, learning: bool = False) -> PoseInput:
        """The pose of an instant; with gradients to its correction if that is learned."""
        rotvecs, translation = self.poses.rotvecs[row], self.poses.translations[row]
        if not learning:
            rotvecs, translation = rotvecs.detach(), translation.detach()
        return self.body.pose_input(rotvecs, translation)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, all that a resumed run needs to go on as if never stopped."""
        modules = {'network': self.network, 'poses': self.poses}
        if self.adjustment is not None and self.encoder is not None:
            modules |= {'adjustment': self.adjustment, 'encoder': self.encoder}
        return {
            'iteration': self.iteration,
            'gaussians': self.gaussians.state_dict(),
            'modules': {name: module.state_dict() for name, module in modules.items()},
            'optimizer': self.optimizer.state_dict(),
            'scheduler': self.scheduler.state_dict(),
            'generator': self.generator.get_state(),
            'rng': repr(self.rng.bit_generator.state),
            'bound_at': None if self.bound is None else self.bound.means,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, on the same capture and config."""
        import ast

        self.iteration = int(state['iteration'])
        self.gaussians.load_state_dict(state['gaussians'])
        self.network.load_state_dict(state['modules']['network'])
        self.poses.load_state_dict(state['modules']['poses'])
        if self.adjustment is not None and self.encoder is not None:
            self.adjustment.load_state_dict(state['modules']['adjustment'])
            self.encoder.load_state_dict(state['modules']['encoder'])
        self.optimizer.load_state_dict(state['optimizer'])
        self.scheduler.load_state_dict(state['scheduler'])
        self.generator.set_state(state['generator'])
        self.rng.bit_generator.state = ast.literal_eval(state['rng'])
        self.bound = None
        if state.get('bound_at') is not None:
            self.rebind(state['bound_at'])
