# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""One training step's losses: what the pictures say, and what each method adds."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from avatar_ros.avatars.network.body_network import Canonical, Change, Posed, PoseInput
from avatar_ros.avatars.network.limbs import joined
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry.torch_rotations import (
    matrix_from_quat,
    quat_from_rotvec,
    quat_multiply,
    quat_rotate,
)
from avatar_ros.render import Engine
from avatar_ros.training.body.contrast import contrastive_loss
from avatar_ros.training.body.losses import covariances, isometry_loss, skinning_loss
from avatar_ros.training.body.semantics import neighbourhood_loss, semantic_loss, splat_features
from avatar_ros.training.body.state import TrainState
from avatar_ros.training.body.views import TrainView
from avatar_ros.training.metrics import psnr, ssim
from avatar_ros.training.perceptual import Perceptual


@dataclass
class Step:
    """What one iteration computed."""

    terms: dict[str, Tensor] = field(default_factory=dict)
    """Weighted losses; their sum is minimised."""
    posed: Posed | None = None
    """Means of which `retain_grad` was asked, for density control."""
    drawn: Tensor | None = None
    """(H, W, 3), detached."""
    psnr: float = float('nan')

    @property
    def total(self) -> Tensor:
        return torch.stack(list(self.terms.values())).sum()

    def add(self, name: str, weight: float, loss: Tensor) -> None:
        """Add a term, unless it weighs nothing."""
        if weight:
            self.terms[name] = self.terms.get(name, loss.new_zeros(())) + weight * loss


class Objective:
    """The losses of a method, at whatever iteration its state is."""

    def __init__(self, state: TrainState, engine: Engine, perceptual: Perceptual | None) -> None:
        self.state, self.engine, self.perceptual = state, engine, perceptual
        self.config = state.config

    def first_stage(self) -> Step:
        """Only the skinning field learns, from the body model; no picture is looked at."""
        result = Step()
        self._skinning(result)
        return result

    def step(self, view: TrainView, similar: TrainView | None) -> Step:
        """All terms of one picture; `similar` is another instant for the adjustment."""
        state, schedule, at = self.state, self.config.schedule, self.state.iteration
        result = self.first_stage()
        learning = schedule.pose_correction and at >= schedule.pose_from
        pose = state.pose_input(view.row, learning)
        canonical = state.canonical(view.row)
        change, _code = self._change(canonical, pose)
        posed = state.network.pose(canonical, change, pose.motion)
        posed.means.retain_grad()
        result.posed = posed
        weight = 1.0
        chase = self.config.chase
        adjusting = chase is not None and similar is not None and at >= chase.adjust_from
        if chase is not None and adjusting and chase.adjust:
            adjusted_weight = chase.weight if at < chase.adjust_late else chase.weight_late
            weight = 1 - adjusted_weight
            self._adjusted(result, canonical, posed, pose, similar, learning, adjusted_weight)
        drawn, gaussians = self._image_terms(result, canonical, posed, view, weight)
        self._isometry(result, canonical, posed, weight)
        if chase is not None and adjusting and chase.contrast and at % chase.contrast_every == 0:
            self._contrast(result, canonical, posed, pose, similar, learning)
        if self.config.semantic is not None:
            self._semantics(result, gaussians, view)
        result.drawn = drawn.detach()
        result.psnr = float(psnr(result.drawn, view.rgb))
        return result

    def _skinning(self, result: Step) -> None:
        loss, state = self.config.loss, self.state
        weight = loss.skin_early if state.iteration < loss.skin_early_until else loss.skin
        points, truth = state.body.sample(loss.skin_points, state.rng)
        given = torch.as_tensor(points, dtype=torch.float32, device=state.device)
        wanted = torch.as_tensor(truth, dtype=torch.float32, device=state.device)
        wanted = joined(wanted, state.body.skeleton)
        weights = state.network.skinning(state.network.normalise(given))
        result.add('skin', weight, skinning_loss(weights, wanted))

    def _noisy(self, pose: PoseInput) -> PoseInput:
        """The pose with noise on what the encoder sees, not on the skinning."""
        schedule, generator = self.config.schedule, self.state.generator
        if torch.rand((), generator=generator) >= schedule.pose_noise_chance:
            return pose
        noise = torch.randn(pose.rotations.shape, generator=generator).to(pose.rotations)
        return PoseInput(pose.rotations + schedule.pose_noise * noise, pose.motion)

    def _change(self, canonical: Canonical, pose: PoseInput) -> tuple[Change, Tensor | None]:
        state, schedule, at = self.state, self.config.schedule, self.state.iteration
        if at < schedule.nonrigid_from:
            return state.network.no_change(canonical), None
        code = state.network.code(self._noisy(pose))
        geometry = None
        if self.config.network.geometry_network and at >= schedule.geometry_from:
            assert state.bound is not None
            assert state.bound.tables is not None
            geometry = state.network.geometry(canonical, state.bound.tables)
        return state.network.change(state.network.encode(canonical), code, geometry), code

    def _view_noise(self) -> Tensor:
        """A random turn of the direction of view (3DGS-Avatar, ``augm_rots``)."""
        degrees, generator = self.config.schedule.view_noise_deg, self.state.generator
        x, z = (
            (torch.randn(2, generator=generator) * degrees).clamp(-2 * degrees, 2 * degrees)
        ).tolist()
        y = float(torch.rand((), generator=generator)) * degrees
        axes = torch.deg2rad(torch.tensor([[x, 0, 0], [0, y, 0], [0, 0, z]]))
        qx, qy, qz = quat_from_rotvec(axes)
        return matrix_from_quat(quat_multiply(qx, quat_multiply(qy, qz))).to(self.state.device)

    def _image_terms(
        self, result: Step, canonical: Canonical, posed: Posed, view: TrainView, weight: float
    ) -> tuple[Tensor, Gaussians]:
        """Photometric terms of one picture; gives what was drawn."""
        state, loss = self.state, self.config.loss
        means, quats = self._seen_by(posed, view)
        eye = torch.as_tensor(view.camera.position, dtype=torch.float32, device=state.device)
        latent = state.network.latent(view.row)
        colors = state.network.colors(canonical.features, posed, eye, latent, self._view_noise())
        gaussians = Gaussians(
            means, quats, posed.scales, torch.sigmoid(state.gaussians.logits), colors
        )
        rendered = self.engine.rasterize(gaussians, [view.camera])
        drawn, alpha = rendered.colors[0], rendered.alphas[0, ..., 0]
        result.add('rgb', weight * loss.rgb, (drawn - view.rgb).abs().mean())
        result.add('mask', weight * loss.mask, (alpha - view.mask).abs().mean())
        if loss.ssim:
            result.add('ssim', weight * loss.ssim, 1 - ssim(drawn, view.rgb))
        if loss.perceptual and self.perceptual is not None:
            box = view.box
            result.add(
                'perceptual', weight * loss.perceptual, self.perceptual(drawn[box], view.rgb[box])
            )
        return drawn, gaussians

    def _seen_by(self, posed: Posed, view: TrainView) -> tuple[Tensor, Tensor]:
        """Means and quaternions moved against the correction of the camera, if one is learned.

        Engines give no gradients to cameras; moving the world is the same.
        """
        schedule = self.config.schedule
        learning = schedule.pose_correction and schedule.camera_correction
        if not learning or self.state.iteration < schedule.pose_from:
            return posed.means, posed.quats
        correction = self.state.poses.cameras[self.state.camera_rows[view.camera_name]]
        turn = quat_from_rotvec(correction[:3])
        centre = posed.means.detach().mean(0)
        means = quat_rotate(turn.expand(len(posed.means), 4), posed.means - centre)
        return means + centre + correction[3:], quat_multiply(
            turn.expand_as(posed.quats), posed.quats
        )

    def _isometry(self, result: Step, canonical: Canonical, posed: Posed, weight: float) -> None:
        loss, bound = self.config.loss, self.state.bound
        assert bound is not None
        if loss.isopos:
            result.add(
                'isopos',
                weight * loss.isopos,
                isometry_loss(canonical.means, posed.means, bound.neighbours),
            )
        if loss.isocov:
            before = covariances(canonical.quats, torch.exp(canonical.log_scales))
            after = covariances(F.normalize(posed.quats, dim=1), posed.scales)
            result.add(
                'isocov', weight * loss.isocov, isometry_loss(before, after, bound.neighbours)
            )

    def _adjusted(
        self,
        result: Step,
        canonical: Canonical,
        posed: Posed,
        pose: PoseInput,
        similar: TrainView | None,
        learning: bool,
        weight: float,
    ) -> None:
        """CHASE: the same Gaussians carried to a similar pose must look like its picture."""
        state = self.state
        assert similar is not None
        assert state.adjustment is not None
        assert state.bound is not None
        assert state.bound.nodes is not None
        other = state.pose_input(similar.row, learning)
        carried = state.adjustment(
            posed, canonical.means, state.bound.nodes, pose.motion, other.motion
        )
        self._image_terms(result, canonical, carried, similar, weight)
        self._isometry(result, canonical, carried, weight)

    def _contrast(
        self,
        result: Step,
        canonical: Canonical,
        posed: Posed,
        pose: PoseInput,
        similar: TrainView | None,
        learning: bool,
    ) -> None:
        """CHASE: deformed here and carried here must be alike, deformed elsewhere must not."""
        state, chase = self.state, self.config.chase
        assert chase is not None
        assert similar is not None
        assert state.bound is not None
        assert state.adjustment is not None
        assert state.encoder is not None
        assert state.bound.nodes is not None
        count = len(canonical.means)
        rows = torch.randperm(count, generator=state.generator)[: chase.contrast_points]
        rows = rows.to(state.device)
        some = Canonical(
            canonical.means[rows],
            canonical.quats[rows],
            canonical.log_scales[rows],
            canonical.features[rows],
            None,
            None if canonical.shift is None else canonical.shift[rows],
            None if canonical.shares is None else canonical.shares[rows],
        )
        other = state.pose_input(similar.row, learning)
        code = state.network.code(other)
        change = state.network.change(state.network.encode(some), code)
        elsewhere = state.network.pose(some, change, other.motion)
        carried = state.adjustment(
            elsewhere, some.means, state.bound.nodes[rows], other.motion, pose.motion
        )
        loss = contrastive_loss(
            state.encoder,
            posed.means[rows],
            carried.means,
            elsewhere.means,
            chase.contrast_margin,
        )
        result.add('contrast', chase.contrast_weight * chase.contrast_every, loss)

    def _semantics(self, result: Step, gaussians: Gaussians, view: TrainView) -> None:
        """SG-GS: parts must be seen where the annotator says, and be alike among neighbours."""
        state, semantic = self.state, self.config.semantic
        assert semantic is not None
        assert state.bound is not None
        logits = state.gaussians.semantics
        if semantic.semantic and state.iteration % semantic.every == 0:
            g = gaussians
            if not semantic.moves_geometry:
                g = Gaussians(
                    g.means.detach(),
                    g.quats.detach(),
                    g.scales.detach(),
                    g.opacities.detach(),
                    g.colors,
                )
            picture = splat_features(self.engine, g, torch.softmax(logits, dim=1), view.camera)
            result.add(
                'semantic', semantic.semantic * semantic.every, semantic_loss(picture, view.parts)
            )
        if semantic.neighbourhood:
            count = min(semantic.neighbourhood_points, len(logits))
            rows = torch.randperm(len(logits), generator=state.generator)[:count]
            near = state.bound.neighbours[rows.to(state.device)]
            near = near[:, : semantic.neighbourhood_neighbours]
            loss = neighbourhood_loss(logits, near, semantic.neighbourhood_scale)
            result.add('neighbourhood', semantic.neighbourhood, loss)
