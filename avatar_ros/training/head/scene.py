# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Pictures of heads as tensors, and heads as pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avatar_ros.avatars.head.binding import Binding
from avatar_ros.avatars.head.gapnet import GapNet, LocalGaussians
from avatar_ros.avatars.head.rig import Frames, HeadRig, displacement, place
from avatar_ros.body.flame import PARTS, HeadModel
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera
from avatar_ros.render import Engine
from avatar_ros.training.capture import Shot
from avatar_ros.training.datasets.pictures import read_picture
from avatar_ros.training.head.capture import FlameParameters, HeadCapture
from avatar_ros.types import Image


@dataclass(frozen=True)
class View:
    """One picture of one identity."""

    identity: int
    instant: str
    camera: Camera
    rgb: Image
    """(H, W, 3) on black."""
    mask: Image
    """(H, W)."""

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """RGB (H, W, 3) and mask (H, W, 1) in 0..1."""
        return (
            torch.from_numpy(self.rgb).to(device).float() / 255,
            torch.from_numpy(self.mask).to(device).float()[..., None] / 255,
        )


@dataclass(frozen=True)
class Drawn:
    """What a head looks like."""

    image: Tensor
    """(H, W, 3) after the screen-space network."""
    splatted: Tensor
    """(H, W, 3) before it."""
    alpha: Tensor
    """(H, W, 1)."""
    local: LocalGaussians
    lips: Tensor
    """(L, 3) world places of Gaussians on the lips."""


class Person:
    """FLAME of one identity, as tensors; frames of instants are kept."""

    def __init__(self, capture: HeadCapture, head: HeadModel, device: torch.device) -> None:
        self.name, self.capture = capture.name, capture
        S = head.model.shape_dirs.shape[2]
        shape = np.zeros(S)
        shape[: len(capture.shape)] = capture.shape[:S]
        self.shape = torch.tensor(shape, dtype=torch.float32, device=device)
        vertices = len(head.model.template)
        self.offset: Tensor | None = None
        if capture.offset is not None:
            if len(capture.offset) != vertices:
                raise ValueError(
                    f'{capture.name}: static_offset has {len(capture.offset)} vertices, the head '
                    f'{vertices}. It was tracked with another FLAME or without teeth.'
                )
            self.offset = torch.tensor(capture.offset, dtype=torch.float32, device=device)
        self._expressions = head.model.expression_dirs.shape[2]
        self._device = device
        self._frames: dict[str, Frames] = {}

    def parameters_of(self, at: FlameParameters) -> tuple[Tensor, Tensor, Tensor]:
        """Expression (1, E), rotation vectors (1, 5, 3), translation (1, 3)."""
        expression = np.zeros(self._expressions)
        count = min(len(at.expression), self._expressions)
        expression[:count] = at.expression[:count]
        return (
            torch.tensor(expression[None], dtype=torch.float32, device=self._device),
            torch.tensor(at.rotvecs[None], dtype=torch.float32, device=self._device),
            torch.tensor(at.translation[None], dtype=torch.float32, device=self._device),
        )

    def frames(self, rig: HeadRig, instant: str) -> Frames:
        """Of an instant of the capture; computed once."""
        if instant not in self._frames:
            with torch.no_grad():
                arguments = self.parameters_of(self.capture.instants[instant])
                self._frames[instant] = rig.frames(self.shape, *arguments, self.offset)
        return self._frames[instant]


def read_views(
    people: Sequence[Person], split: str, size: int, identities: Sequence[int] | None = None
) -> list[View]:
    """All pictures of a split, scaled."""
    views = []
    for k, person in enumerate(people):
        if identities is None or k in identities:
            for shot in person.capture.shots.get(split, ()):
                views.append(read_view(shot, size, k))
    return views


def read_view(shot: Shot, size: int, identity: int = 0) -> View:
    """One picture, scaled."""
    picture = read_picture(shot, size)
    return View(identity, f'{shot.row:05d}', picture.camera, picture.rgb, picture.mask)


class HeadScene:
    """The networks, a rig and an engine: codes and frames in, pictures out."""

    def __init__(self, net: GapNet, rig: HeadRig, binding: Binding, engine: Engine) -> None:
        self.net, self.rig, self.engine = net, rig, engine
        self.lips = binding.slices[PARTS.index('lip')]

    def draw(self, point: Tensor, code: Tensor, frames: Frames, camera: Camera) -> Drawn:
        """One identity's head.

        :param point: f (N, F). :param code: z (1, parts, C). :param frames: of one instant.
        """
        geometry = self.net.geometry(point, code)
        local = self.net.local(geometry)
        moved = displacement(local, frames)
        features = self.net.appearance(point, code, geometry, moved)
        means, quats, scales = place(local, frames)
        if self.net.cnn is None:
            features = features[..., :3]
        gaussians = Gaussians(
            means[0], quats[0], scales[0], local.opacities[0], features[0].contiguous()
        )
        rendered = self.engine.rasterize(gaussians, [camera])
        splatted, alpha = rendered.colors[0], rendered.alphas[0]
        image = splatted
        if self.net.cnn is not None:
            image = self.net.cnn(splatted[None], alpha[None])[0]
        return Drawn(image, splatted[..., :3], alpha, local, means[0, self.lips].detach())


def project(points: Tensor, camera: Camera) -> Tensor:
    """Pixels (N, 2) of world points (N, 3)."""
    T = torch.as_tensor(camera.T_camera_world, dtype=points.dtype, device=points.device)
    K = torch.as_tensor(camera.K, dtype=points.dtype, device=points.device)
    seen = (points @ T[:3, :3].T + T[:3, 3]) @ K.T
    return seen[:, :2] / seen[:, 2:].clamp_min(1e-6)
