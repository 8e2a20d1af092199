# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What is learned over many identities: f, z, GAPNet and the screen-space network (section 3.3)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from avatar_ros.avatars.head.binding import Binding
from avatar_ros.avatars.head.gapnet import GapNet
from avatar_ros.avatars.head.rig import HeadRig
from avatar_ros.body.flame import HeadModel
from avatar_ros.render import Engine
from avatar_ros.training.head.config import HeadLoss, HeadTrainConfig
from avatar_ros.training.head.losses import (
    as_rigid_as_possible,
    box_of,
    reconstruction,
    too_large,
)
from avatar_ros.training.head.scene import Drawn, HeadScene, Person, View, project
from avatar_ros.training.perceptual import Perceptual


def picture_loss(
    drawn: Drawn, view: View, weights: HeadLoss, perceptual: Perceptual | None, mouth: bool = True
) -> tuple[Tensor, Tensor]:
    """Eq. 8 without what regularises the mesh, and the mean squared error of the picture."""
    truth, mask = view.tensors(drawn.image.device)
    loss = reconstruction(drawn.image, truth, weights, perceptual)
    if drawn.image is not drawn.splatted:
        loss = loss + reconstruction(drawn.splatted, truth, weights, perceptual)
    if mouth and weights.mouth:
        camera = view.camera
        box = box_of(project(drawn.lips, camera), camera.width, camera.height)
        loss = loss + weights.mouth * _share(box, truth) * reconstruction(
            drawn.image[box], truth[box], weights, None
        )
    loss = loss + weights.mask * (drawn.alpha - mask).abs().mean()
    loss = loss + too_large(drawn.local, weights)
    return loss, (drawn.image.detach() - truth).square().mean()


def _share(box: tuple[slice, slice], truth: Tensor) -> float:
    """The mouth's share of the picture: HeadGAP masks the picture, it does not cut it."""
    rows, columns = box
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return area / (truth.shape[0] * truth.shape[1])


class HeadPrior(nn.Module):
    """All that is optimised; `forward` is the loss of a batch, for DistributedDataParallel."""

    def __init__(
        self,
        config: HeadTrainConfig,
        head: HeadModel,
        binding: Binding,
        people: Sequence[Person],
        engine: Engine,
        perceptual: Perceptual | None = None,
    ) -> None:
        super().__init__()
        self.config, self.people, self.perceptual = config, list(people), perceptual
        sizes = config.network
        # The same start in every process and on every device.
        generator = torch.Generator().manual_seed(config.seed)
        self.point = nn.Parameter(
            torch.randn(len(binding), sizes.point_features, generator=generator)
        )
        state = torch.get_rng_state()
        torch.manual_seed(config.seed + 1)
        self.net = GapNet(sizes, binding.slices, torch.from_numpy(binding.log_scale))
        torch.set_rng_state(state)
        self.code = nn.Parameter(torch.zeros(len(people), self.net.parts, sizes.code))
        self.learns_flame = config.prior.flame_lr > 0
        if self.learns_flame:
            vertices = len(head.model.template)
            self.offset = nn.Parameter(torch.zeros(len(people), vertices, 3))
            instants = [sorted(p.capture.instants) for p in people]
            self.rows = [{n: i for i, n in enumerate(names)} for names in instants]
            longest = max(map(len, instants))
            expressions = head.model.expression_dirs.shape[2]
            self.expression = nn.Parameter(torch.zeros(len(people), longest, expressions))
            self.rotvecs = nn.Parameter(torch.zeros(len(people), longest, 5, 3))
            self.translation = nn.Parameter(torch.zeros(len(people), longest, 3))
            faces = head.model.faces
            edges = np.concatenate([faces[:, [i, (i + 1) % 3]] for i in range(3)])
            unique = np.unique(np.sort(edges, axis=1), axis=0)
            self.register_buffer('edges', torch.from_numpy(unique))
            self.edges: Tensor
        # The scene is no submodule: its rig and engine learn nothing.
        self.scene = HeadScene(self.net, HeadRig(head.model, binding), binding, engine)
        self.to(engine.device)
        self.scene.rig.to(engine.device)

    def draw(self, view: View) -> Drawn:
        """What the prior thinks the picture looks like."""
        person = self.people[view.identity]
        code = self.code[view.identity : view.identity + 1]
        if not self.learns_flame:
            frames = person.frames(self.scene.rig, view.instant)
        else:
            row = self.rows[view.identity][view.instant]
            expression, rotvecs, translation = person.parameters_of(
                person.capture.instants[view.instant]
            )
            k = view.identity
            frames = self.scene.rig.frames(
                person.shape,
                expression + self.expression[k, row],
                rotvecs + self.rotvecs[k, row],
                translation + self.translation[k, row],
                self._offset(k),
            )
        return self.scene.draw(self.point, code, frames, view.camera)

    def _offset(self, identity: int) -> Tensor:
        known = self.people[identity].offset
        return self.offset[identity] if known is None else known + self.offset[identity]

    def forward(self, views: Sequence[View]) -> tuple[Tensor, Tensor]:
        """Mean loss and mean squared error of some pictures."""
        losses, errors = [], []
        for view in views:
            loss, error = picture_loss(self.draw(view), view, self.config.loss, self.perceptual)
            if self.learns_flame and self.config.loss.arap:
                rest = self.scene.rig.flame.template
                loss = loss + self.config.loss.arap * as_rigid_as_possible(
                    rest, rest + self._offset(view.identity), self.edges
                )
            losses.append(loss)
            errors.append(error)
        return torch.stack(losses).mean(), torch.stack(errors).mean()

    def groups(self) -> list[dict[str, object]]:
        """Parameters and their rates."""
        flame = {'offset', 'expression', 'rotvecs', 'translation'}
        learned = [p for n, p in self.named_parameters() if n not in flame]
        groups: list[dict[str, object]] = [{'params': learned, 'lr': self.config.prior.lr}]
        if self.learns_flame:
            pose = [p for n, p in self.named_parameters() if n in flame]
            groups.append({'params': pose, 'lr': self.config.prior.flame_lr})
        return groups
