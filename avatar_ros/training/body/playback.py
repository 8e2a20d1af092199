# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What a trained network shows in any pose of a capture: for previews, judging and baking."""

from dataclasses import dataclass

import torch
from torch import Tensor

from avatar_ros.avatars.network.body_network import Canonical, Change, Posed, PoseInput
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera
from avatar_ros.render import Engine
from avatar_ros.training.body.state import TrainState


@dataclass
class NetworkPlayer:
    """Draws a `TrainState` without noise, gradients or per-instant latents."""

    state: TrainState
    engine: Engine

    def __post_init__(self) -> None:
        self.state.network.eval()
        with torch.no_grad():
            self.state.rebind()
            canonical = self.state.canonical(0)
            network, bound = self.state.network, self.state.bound
            assert bound is not None
            self.encoded = network.encode(canonical)
            self.geometry: Tensor | None = None
            schedule = self.state.config.schedule
            if bound.tables is not None and self.state.iteration > schedule.geometry_from:
                self.geometry = network.geometry(canonical, bound.tables)

    def change(self, row: int) -> Change:
        """What the networks change in the pose of an instant."""
        return self.change_of(self.state.pose_input(row))

    def change_of(self, pose: PoseInput) -> Change:
        """What the networks change in any pose."""
        state = self.state
        if state.iteration <= state.config.schedule.nonrigid_from:
            return state.network.no_change(state.canonical(0))
        code = state.network.code(pose)
        return state.network.change(self.encoded, code, self.geometry)

    def posed(self, row: int) -> tuple[Canonical, Posed]:
        """The Gaussians in the pose of an instant, in the world of the capture."""
        canonical = self.state.canonical(row)
        motion = self.state.pose_input(row).motion
        return canonical, self.state.network.pose(canonical, self.change(row), motion)

    @torch.no_grad()
    def draw(self, row: int, camera: Camera) -> tuple[Tensor, Tensor]:
        """RGB (H, W, 3) and coverage (H, W) of an instant, on black."""
        canonical, posed = self.posed(row)
        eye = torch.as_tensor(camera.position, dtype=torch.float32, device=self.state.device)
        network = self.state.network
        colors = network.colors(canonical.features, posed, eye, network.latent(None))
        opacities = torch.sigmoid(self.state.gaussians.logits)
        gaussians = Gaussians(posed.means, posed.quats, posed.scales, opacities, colors)
        drawn = self.engine.rasterize(gaussians, [camera])
        return drawn.colors[0], drawn.alphas[0, ..., 0]
