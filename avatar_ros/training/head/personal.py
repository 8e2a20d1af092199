# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""From a prior and a few photographs to somebody's head: inversion, then fine-tuning (section 3.4).

Inversion looks for a mixture of the known identities, part by part; fine-tuning lets the networks
give way a little, while sixteen views of the neutral face are held to what they were.
"""

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from avatar_ros.avatars.head.binding import Binding, bind
from avatar_ros.avatars.head.gapnet import GapNet
from avatar_ros.avatars.head.rig import Frames, HeadRig
from avatar_ros.body.flame import PARTS, HeadModel
from avatar_ros.body.skeletons import FLAME
from avatar_ros.geometry import Camera
from avatar_ros.render import Engine
from avatar_ros.training.evaluate import sheet_of
from avatar_ros.training.head.cameras import nersemble_rig
from avatar_ros.training.head.capture import FlameParameters, HeadCapture
from avatar_ros.training.head.config import HeadTrainConfig
from avatar_ros.training.head.loop import Folder, cosine, run_steps
from avatar_ros.training.head.losses import reconstruction
from avatar_ros.training.head.prior import picture_loss
from avatar_ros.training.head.prior_file import Prior
from avatar_ros.training.head.prior_run import compared
from avatar_ros.training.head.scene import Drawn, HeadScene, Person, View, read_views
from avatar_ros.training.perceptual import load_perceptual
from avatar_ros.types import Image

logger = logging.getLogger(__name__)

#: Parts whose networks a few photographs must not change: most of them show no teeth.
_FROZEN = ('teeth', 'lip')


@dataclass(frozen=True)
class Stages:
    """What of the method is used; the ablations of HeadGAP's table 2 leave some out."""

    inversion: bool = True
    finetune: bool = True
    reference: bool = True
    """Reference views hold back the fine-tuning."""
    from_prior: bool = True
    """Without it, networks and features start anew and all is trained on the photographs."""


class Personalisation:
    """One head in the making."""

    def __init__(
        self,
        prior: Prior,
        capture: HeadCapture,
        head: HeadModel,
        engine: Engine,
        config: HeadTrainConfig | None = None,
        stages: Stages | None = None,
    ) -> None:
        self.config = config or prior.config
        self.stages, self.engine, self.head = stages or Stages(), engine, head
        self.prior = prior
        device = engine.device
        sizes = prior.config.network
        self.binding: Binding = bind(head, sizes.grid)
        torch.manual_seed(self.config.seed)
        self.net = GapNet(sizes, self.binding.slices, torch.from_numpy(self.binding.log_scale))
        point = torch.randn(len(self.binding), sizes.point_features)
        known = torch.zeros(1, self.net.parts, sizes.code)
        if self.stages.from_prior:
            try:
                self.net.load_state_dict(prior.net_state())
            except RuntimeError as error:
                raise ValueError(
                    f'the prior does not fit its own config ({error}); train it again.'
                ) from error
            point = torch.from_numpy(np.array(prior.tensors['point']))
            known = torch.from_numpy(np.array(prior.tensors['code']))
        self.net.to(device)
        self.known = known.to(device)
        self.point = nn.Parameter(point.to(device))
        self.mixture = nn.Parameter(torch.zeros(len(known), self.net.parts, 1, device=device))
        self.code = nn.Parameter(self.mixed().detach())
        self.person = Person(capture, head, device)
        self.scene = HeadScene(self.net, HeadRig(head.model, self.binding).to(device), self.binding,
                               engine)  # fmt: skip
        self.views = read_views([self.person], 'train', self.config.image_size)
        if not self.views:
            raise ValueError(f'{capture.name}: has no photographs to learn from.')
        perceptual = load_perceptual() if self.config.loss.perceptual else None
        self.perceptual = None if perceptual is None else perceptual.to(device)
        self.stage, self.step = 'inversion', 0
        self._scheduler: LambdaLR | None = None
        self._references: list[tuple[Camera, Tensor]] = []
        self._neutral = self._neutral_frames()

    def _neutral_frames(self) -> Frames:
        expressions = self.head.model.expression_dirs.shape[2]
        at = FlameParameters.neutral(expressions)
        joints = self.head.model.rest_joints(self.person.shape.double().cpu().numpy())
        at = FlameParameters(at.expression, at.rotvecs, -joints[FLAME.index['neck']])
        with torch.no_grad():
            return self.scene.rig.frames(
                self.person.shape, *self.person.parameters_of(at), self.person.offset
            )

    def mixed(self) -> Tensor:
        """z* (1, parts, C): for each part a convex combination over the identities."""
        return (torch.softmax(self.mixture, dim=0) * self.known).sum(0, keepdim=True)

    def run(
        self, folder: Folder | None, resume: bool = False, progress: bool = True
    ) -> dict[str, list[float]]:
        """All stages that are left; the losses of each."""
        if folder is not None:
            state = folder.start(resume, self.engine.device)
            if state is not None:
                self._load(state)
                logger.info('resumed in %s at step %d', self.stage, self.step)
        schedule, losses = self.config.personal, {}
        if self.stage == 'inversion' and self.stages.inversion and self.stages.from_prior:
            self.optimizer = torch.optim.Adam([self.mixture], lr=schedule.inversion_lr)
            self._take_up_optimizer()
            losses['inversion'] = run_steps(
                'inversion', self._invert, self.step, schedule.inversion, folder, self.state,
                self.preview, progress,
            )  # fmt: skip
        if self.stage == 'inversion':
            with torch.no_grad():
                self.code.copy_(self.mixed())
            self.stage, self.step = 'finetune', 0
        if self.stages.finetune:
            self._remember()
            everything = not self.stages.from_prior
            lr = self.config.prior.lr if everything else schedule.lr
            point_lr = lr if everything else schedule.point_lr
            self.optimizer = torch.optim.Adam(
                [
                    {'params': [*self.net.parameters(), self.code], 'lr': lr},
                    {'params': [self.point], 'lr': point_lr},
                ]
            )
            self._take_up_optimizer()
            total = schedule.finetune + (schedule.inversion if everything else 0)
            if schedule.cosine:
                self._scheduler = LambdaLR(self.optimizer, cosine(total), self.step - 1)
            losses['finetune'] = run_steps(
                'fine-tuning', self._tune, self.step, total, folder, self.state, self.preview,
                progress,
            )  # fmt: skip
        return losses

    def draw(self, view: View, code: Tensor | None = None) -> Drawn:
        """The head as it is now, as a photograph saw it."""
        if code is None:
            code = self.mixed() if self.stage == 'inversion' else self.code
        frames = self.person.frames(self.scene.rig, view.instant)
        return self.scene.draw(self.point, code, frames, view.camera)

    def _invert(self, at: int) -> tuple[float, float]:
        view = self.views[at % len(self.views)]
        loss, error = picture_loss(self.draw(view), view, self.config.loss, self.perceptual)
        self._descend(loss, at)
        return float(loss.detach()), float(error)

    def _tune(self, at: int) -> tuple[float, float]:
        view = self.views[at % len(self.views)]
        freeze = self.stages.from_prior
        loss, error = picture_loss(
            self.draw(view), view, self.config.loss, self.perceptual, mouth=not freeze
        )
        if self._references:
            camera, before = self._references[at % len(self._references)]
            now = self.scene.draw(self.point, self.code, self._neutral, camera)
            # One view a step stands for all of them.
            weight = self.config.personal.reference * len(self._references)
            loss = loss + weight * reconstruction(
                now.image, before, self.config.loss, self.perceptual
            )
        self._descend(loss, at, freeze)
        return float(loss.detach()), float(error)

    def _descend(self, loss: Tensor, at: int, freeze: bool = False) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if freeze:
            self._drop_gradients()
        self.optimizer.step()
        if self._scheduler is not None:
            self._scheduler.step()
        self.step = at + 1

    def _drop_gradients(self) -> None:
        """Teeth and lips stay what the prior knows."""
        for name in _FROZEN:
            part = PARTS.index(name)
            rows = self.binding.slices[part]
            if self.point.grad is not None:
                self.point.grad[rows] = 0
            if self.net.parts == 1:
                continue
            for mlp in (self.net.geometry_net, self.net.appearance_net):
                for parameter in mlp.parameters():
                    if parameter.grad is not None:
                        parameter.grad[part] = 0
            if self.code.grad is not None:
                self.code.grad[:, part] = 0

    def _remember(self) -> None:
        """The neutral face before fine-tuning, from all sides."""
        schedule = self.config.personal
        self._references = []
        if not (self.stages.reference and self.stages.from_prior and schedule.reference_views):
            return
        cameras = nersemble_rig(self.config.image_size)
        places = np.linspace(0, len(cameras) - 1, schedule.reference_views).round().astype(int)
        # From the prior, not from the networks at hand: a resumed run has tuned them already.
        device = self.engine.device
        net = copy.deepcopy(self.net)
        net.load_state_dict(self.prior.net_state())
        point = torch.from_numpy(np.array(self.prior.tensors['point'])).to(device)
        scene = HeadScene(net, self.scene.rig, self.binding, self.engine)
        with torch.no_grad():
            for k in places:
                drawn = scene.draw(point, self.mixed(), self._neutral, cameras[k])
                self._references.append((cameras[k], drawn.image.detach()))

    def state(self) -> Mapping[str, Any]:
        """What a checkpoint holds."""
        return {
            'stage': self.stage,
            'step': self.step,
            'net': self.net.state_dict(),
            'point': self.point.detach(),
            'code': self.code.detach(),
            'mixture': self.mixture.detach(),
            'optimizer': self.optimizer.state_dict(),
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        self.stage, self.step = str(state['stage']), int(state['step'])
        self.net.load_state_dict(state['net'])
        with torch.no_grad():
            for name in ('point', 'code', 'mixture'):
                getattr(self, name).copy_(state[name])
        self._optimizer_state = state['optimizer']

    def _take_up_optimizer(self) -> None:
        before = getattr(self, '_optimizer_state', None)
        if before is not None and self.step:
            self.optimizer.load_state_dict(before)
        self._optimizer_state = None

    def preview(self) -> Image:
        """The photographs and the head."""
        with torch.no_grad():
            return sheet_of([compared(view, self.draw(view).image) for view in self.views[:4]])


def chosen(capture: HeadCapture, cameras: Sequence[str], instant: str | None = None) -> HeadCapture:
    """The capture with these cameras' pictures of one instant (the first by default) to learn from.

    :raises ValueError: if they are not there.
    """
    shots = capture.shots['train']
    if instant is None:
        instant = f'{min(shot.row for shot in shots):05d}'
    kept = [s for s in shots if f'{s.row:05d}' == instant and s.camera_name in cameras]
    if len(kept) != len(cameras):
        raise ValueError(
            f'{capture.name}: cameras {", ".join(cameras)} at {instant}: found '
            f'{", ".join(s.camera_name for s in kept) or "none"}.'
        )
    return HeadCapture(
        capture.name, capture.shape, capture.offset, capture.instants,
        {**capture.shots, 'train': kept},
    )  # fmt: skip
