# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The optimisation: one picture a step, density control, rates, and a guard against NaN."""

import logging
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from avatar_ros.geometry.torch_rotations import quat_from_rotvec
from avatar_ros.render import Engine
from avatar_ros.training.body.adjustment import pose_distances, similar_poses
from avatar_ros.training.body.objective import Objective, Step
from avatar_ros.training.body.semantics import contrast_of_parts
from avatar_ros.training.body.state import TrainState
from avatar_ros.training.body.views import TrainView, TrainViews
from avatar_ros.training.perceptual import Perceptual

logger = logging.getLogger(__name__)

#: Steps between new tables of neighbours while nothing else changes them.
_REBIND_EVERY = 200
_PARTS_TO_DENSIFY = ('head', 'torso', 'hips')
_MAX_BAD_STEPS = 20


class TrainingDivergedError(RuntimeError):
    """Losses stay NaN or infinite."""


class Trainer:
    """Steps a `TrainState` over the pictures of the training split."""

    def __init__(
        self,
        state: TrainState,
        views: TrainViews,
        engine: Engine,
        perceptual: Perceptual | None = None,
    ) -> None:
        self.state, self.views = state, views
        self.config = state.config
        self.objective = Objective(state, engine, perceptual)
        self.bad_steps = 0
        self.skipped_steps = 0
        self._epoch = -1
        self._order: list[int] = []
        self._similar: dict[int, list[int]] = {}
        if self.config.chase is not None:
            quats = quat_from_rotvec(torch.from_numpy(np.asarray(state.capture.poses.rotvecs)))
            distances = pose_distances(state.body.skeleton, quats.numpy())
            self._similar = similar_poses(distances, views.rows, self.config.chase)

    def remaining(self) -> Iterator[Step]:
        """The steps that are left, each done when it is given."""
        while self.state.iteration < self.config.schedule.iterations:
            yield self.step()

    def step(self) -> Step:
        """One iteration.

        :raises TrainingDivergedError: if the losses of many steps in a row are not finite.
        """
        state = self.state
        if state.bound is None:
            state.rebind()
        if state.iteration < self.config.schedule.gaussians_from:
            view, result = None, self.objective.first_stage()
        else:
            index = self._next_index()
            view = self.views[index]
            result = self.objective.step(view, self._similar_view(index, view))
        if self._descend(result) and view is not None:
            self._note_gradients(result, view)
        state.scheduler.step()
        state.iteration += 1
        self._control_density()
        return result

    def _next_index(self) -> int:
        """Every picture once an epoch, in an order that depends on seed and epoch alone."""
        epoch, place = divmod(self.state.iteration, len(self.views))
        if epoch != self._epoch:
            rng = np.random.default_rng([self.config.seed, epoch])
            self._order = rng.permutation(len(self.views)).tolist()
            self._epoch = epoch
        return self._order[place]

    def _similar_view(self, index: int, view: TrainView) -> TrainView | None:
        choices = self._similar.get(view.row)
        if not choices:
            return None
        pick = int(torch.randint(len(choices), (), generator=self.state.generator))
        return self.views.same_camera(index, choices[pick])

    def _descend(self, result: Step) -> bool:
        """Follow the gradients, unless one is not finite."""
        state, schedule = self.state, self.config.schedule
        state.optimizer.zero_grad(set_to_none=True)
        state.gaussians.optimizer.zero_grad(set_to_none=True)
        total = result.total
        if torch.isfinite(total):
            total.backward()
        networks = [p for group in state.optimizer.param_groups for p in group['params']]
        norm = torch.nn.utils.clip_grad_norm_(networks, schedule.gradient_clip)
        gradients = [p.grad for p in state.gaussians.params.values() if p.grad is not None]
        finite = bool(torch.isfinite(total)) and bool(torch.isfinite(norm))
        finite = finite and all(bool(torch.isfinite(g).all()) for g in gradients)
        if not finite:
            self._bad_step(result)
            return False
        self.bad_steps = 0
        state.optimizer.step()
        if state.iteration >= schedule.gaussians_from:
            state.gaussians.set_rate(state.iteration)
            state.gaussians.optimizer.step()
        return True

    def _bad_step(self, result: Step) -> None:
        self.bad_steps += 1
        self.skipped_steps += 1
        worst = [name for name, term in result.terms.items() if not torch.isfinite(term)]
        logger.warning(
            'iteration %d: %s not finite; the step is skipped',
            self.state.iteration,
            ', '.join(worst) or 'gradients are',
        )
        if self.bad_steps >= _MAX_BAD_STEPS:
            raise TrainingDivergedError(
                f'{self.bad_steps} steps in a row are not finite '
                f'({", ".join(worst) or "gradients"}). Resume from the last checkpoint with '
                'lower learning rates, and check the poses of the capture.'
            )

    def _note_gradients(self, result: Step, view: TrainView) -> None:
        if result.posed is None or result.posed.means.grad is None:
            return
        camera, device = view.camera, self.state.device
        self.state.gaussians.note_gradient(
            result.posed.means.grad,
            result.posed.means.detach(),
            torch.as_tensor(camera.T_camera_world, dtype=torch.float32, device=device),
            float(camera.K[0, 0]),
            camera.width,
        )

    def _control_density(self) -> None:
        """3DGS's density control at its times, SG-GS's at its own."""
        state, c = self.state, self.config.gaussians
        at, start = state.iteration, self.config.schedule.gaussians_from
        changed = at % _REBIND_EVERY == 0
        if max(c.densify_from, start) < at <= c.densify_until and at % c.densify_every == 0:
            added, dropped = state.gaussians.densify(state.generator)
            logger.debug(
                'iteration %d: %d Gaussians (+%d, -%d)', at, len(state.gaussians), added, dropped
            )
            changed = True
        semantic = self.config.semantic
        if semantic is not None and semantic.densify and at in semantic.densify_at:
            self._densify_parts(semantic.densify_share)
            changed = True
        every = c.reset_opacity_every
        if every and start < at < c.densify_until and (at - start) % every == 0:
            state.gaussians.reset_opacity()
        if changed:
            state.bound = None

    def _densify_parts(self, share: float) -> None:
        """SG-GS: clone the Gaussians that contrast most in head, torso and hips."""
        state = self.state
        g = state.gaussians
        with torch.no_grad():
            rgb = _mean_colors(state)
            rows = contrast_of_parts(
                g.means.detach(),
                rgb,
                torch.sigmoid(g.logits.detach()),
                g.semantics.detach().argmax(1),
                _PARTS_TO_DENSIFY,
                share,
            )
        room = max(self.config.gaussians.at_most - len(g), 0)
        g.clone(rows[:room].to(state.device))
        g.reset_statistics()


def _mean_colors(state: TrainState) -> Tensor:
    """RGB (N, 3) of the canonical Gaussians, seen from the front."""
    from avatar_ros.avatars.network.body_network import Posed

    canonical = state.canonical(0)
    still = torch.zeros_like(canonical.quats)
    still[:, 0] = 1
    change = state.network.no_change(canonical)
    posed = Posed(canonical.means, canonical.quats, canonical.log_scales, still, change.features)
    eye = canonical.means.new_tensor([0.0, 0.0, 3.0])
    return state.network.colors(canonical.features, posed, eye, state.network.latent(None))
