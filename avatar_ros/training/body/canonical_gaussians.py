# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The Gaussians that are learned, with their optimiser and density control (3DGS, section 5)."""

import math

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn

from avatar_ros.geometry.torch_rotations import quat_rotate
from avatar_ros.training.body.canonical_body import CanonicalBody
from avatar_ros.training.body.config import TrainConfig

#: Metres: the extent of the scene in 3DGS-Avatar, which scales learning rates and "large".
EXTENT = 3.469


class CanonicalGaussians:
    """Parameters `means, quats, log_scales, logits, features` (and `semantics`), all (N, ...)."""

    def __init__(self, params: dict[str, Tensor], config: TrainConfig) -> None:
        self.config = config.gaussians
        rates = {
            'means': self.config.position_lr * EXTENT,
            'quats': self.config.rotation_lr,
            'log_scales': self.config.scale_lr,
            'logits': self.config.opacity_lr,
            'features': self.config.feature_lr,
            'semantics': config.semantic.lr if config.semantic else 0.0,
        }
        self.params = {name: nn.Parameter(value) for name, value in params.items()}
        self.optimizer = torch.optim.Adam(
            [
                {'params': [value], 'lr': rates[name], 'name': name}
                for name, value in self.params.items()
            ],
            eps=1e-15,
            fused=True,
        )
        self.reset_statistics()

    def __len__(self) -> int:
        return len(self.params['means'])

    def __getattr__(self, name: str) -> Tensor:
        try:
            return self.__dict__['params'][name]
        except KeyError:
            raise AttributeError(name) from None

    def reset_statistics(self) -> None:
        """Forget the gradients seen so far."""
        self._gradient = torch.zeros(len(self), device=self.params['means'].device)
        self._seen = torch.zeros_like(self._gradient)

    def set_rate(self, iteration: int) -> None:
        """Positions' learning rate falls exponentially."""
        c = self.config
        t = min(iteration / max(c.position_lr_steps, 1), 1.0)
        rate = math.exp((1 - t) * math.log(c.position_lr) + t * math.log(c.position_lr_end))
        self.optimizer.param_groups[0]['lr'] = rate * EXTENT

    def note_gradient(
        self, gradient: Tensor, means: Tensor, T_camera_world: Tensor, focal: float, width: int
    ) -> None:
        """Add one view's positional gradients, measured across the view as 3DGS does.

        gradient (N, 3) is that of the posed means (N, 3) in the world; a pixel there is depth /
        focal metres, and 3DGS counts in halves of the image's width.
        """
        rotation, shift = T_camera_world[:3, :3], T_camera_world[:3, 3]
        depth = (means @ rotation[2] + shift[2]).clamp_min(0.01)
        across = (gradient @ rotation.T)[:, :2].norm(dim=1) * depth / focal * (width / 2)
        seen = across > 0
        self._gradient += across
        self._seen += seen

    def densify(self, generator: torch.Generator) -> tuple[int, int]:
        """Clone small and split large Gaussians that pull hard; drop faint ones.

        Gives how many were added and dropped.
        """
        c = self.config
        before = len(self)
        pull = self._gradient / self._seen.clamp_min(1)
        room = max(c.at_most - before, 0)
        chosen = pull >= c.densify_gradient
        if int(chosen.sum()) > room:
            # Keep the strongest for which there is room.
            floor = torch.topk(pull, room).values.min() if room else torch.inf
            chosen &= pull >= floor
        size = self.log_scales.detach().exp().amax(1)
        large = size > c.percent_dense * EXTENT
        self.clone(torch.nonzero(chosen & ~large)[:, 0])
        self._split(torch.nonzero(chosen & large)[:, 0], generator)
        added = len(self) - before
        keep = torch.sigmoid(self.logits.detach()) >= c.prune_opacity
        dropped = int((~keep).sum())
        self._rows(torch.nonzero(keep)[:, 0])
        self.reset_statistics()
        return added, dropped

    def clone(self, rows: Tensor) -> None:
        """Add a copy of these rows; the optimiser moves the two apart."""
        self._append({name: value.detach()[rows] for name, value in self.params.items()})

    def _split(self, rows: Tensor, generator: torch.Generator) -> None:
        """Replace rows by two each, drawn from them and 1.6 times smaller."""
        if not len(rows):
            return
        new = {
            name: value.detach()[rows].repeat(2, *[1] * (value.dim() - 1))
            for name, value in self.params.items()
        }
        scales = new['log_scales'].exp()
        noise = torch.randn(scales.shape, generator=generator).to(scales) * scales
        unit = nn.functional.normalize(new['quats'], dim=1)
        new['means'] = new['means'] + quat_rotate(unit, noise)
        new['log_scales'] = new['log_scales'] - math.log(1.6)
        keep = torch.ones(len(self), dtype=torch.bool, device=rows.device)
        keep[rows] = False
        self._append(new)
        added = torch.ones(2 * len(rows), dtype=torch.bool, device=rows.device)
        self._rows(torch.nonzero(torch.cat([keep, added]))[:, 0])

    def reset_opacity(self) -> None:
        """Make everything nearly transparent, so that what is not needed fades away."""
        ceiling = math.log(0.01 / 0.99)
        self._replace('logits', self.logits.detach().clamp(max=ceiling), fresh=True)

    def _append(self, new: dict[str, Tensor]) -> None:
        for name, value in new.items():
            state = self.optimizer.state.get(self.params[name], {})
            moments = {
                key: torch.cat([state[key], torch.zeros_like(value)])
                for key in ('exp_avg', 'exp_avg_sq')
                if key in state
            }
            self._replace(name, torch.cat([self.params[name].detach(), value]), moments)

    def _rows(self, rows: Tensor) -> None:
        for name, value in self.params.items():
            state = self.optimizer.state.get(value, {})
            moments = {k: state[k][rows] for k in ('exp_avg', 'exp_avg_sq') if k in state}
            self._replace(name, value.detach()[rows], moments)

    def _replace(
        self,
        name: str,
        value: Tensor,
        moments: dict[str, Tensor] | None = None,
        fresh: bool = False,
    ) -> None:
        """Swap a parameter and its place in the optimiser."""
        old, new = self.params[name], nn.Parameter(value.contiguous())
        state = self.optimizer.state.pop(old, None)
        if state is not None:
            if fresh:
                moments = {k: torch.zeros_like(value) for k in ('exp_avg', 'exp_avg_sq')}
            self.optimizer.state[new] = {**state, **(moments or {})}
        for group in self.optimizer.param_groups:
            if group['name'] == name:
                group['params'] = [new]
        self.params[name] = new

    def state_dict(self) -> dict[str, object]:
        """Everything that a resumed run needs."""
        return {
            'params': {name: value.detach() for name, value in self.params.items()},
            'optimizer': self.optimizer.state_dict(),
            'gradient': self._gradient,
            'seen': self._seen,
        }

    def load_state_dict(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Continue where `state_dict` was taken."""
        for name, value in state['params'].items():
            self._replace(name, value.to(self.means.device))
        self.optimizer.load_state_dict(state['optimizer'])
        self._gradient = state['gradient']  # type: ignore[assignment]
        self._seen = state['seen']  # type: ignore[assignment]


def initial_gaussians(
    body: CanonicalBody, config: TrainConfig, rng: np.random.Generator
) -> CanonicalGaussians:
    """Gaussians on the canonical mesh: round, as large as the distance to their neighbours."""
    c = config.gaussians
    points, weights = body.sample(c.initial, rng)
    distance, _ = cKDTree(points).query(points, k=min(4, len(points)))
    spacing = np.maximum(np.sqrt((distance[:, 1:] ** 2).mean(1)), 1e-4)
    device = body.vertices.device

    def ready(values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values, np.float32), device=device)

    count = len(points)
    features = np.zeros((count, config.network.color_features))
    if not config.network.spherical_harmonics:
        features += 0.01 * rng.standard_normal(features.shape)
    params = {
        'means': ready(points),
        'quats': ready(np.tile([1.0, 0, 0, 0], (count, 1))),
        'log_scales': ready(np.repeat(np.log(spacing)[:, None], 3, axis=1)),
        'logits': ready(np.full(count, math.log(c.opacity / (1 - c.opacity)))),
        'features': ready(features),
    }
    if config.semantic is not None:
        from avatar_ros.training.parts import part_of_point

        label = part_of_point(weights, body.skeleton)
        params['semantics'] = ready(config.semantic.start * np.eye(config.network.parts)[label])
    return CanonicalGaussians(params, config)
