# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The training pictures, read once and kept in memory as bytes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from avatar_ros.geometry import Camera
from avatar_ros.training.body.canonical_body import CanonicalBody
from avatar_ros.training.body.semantics import annotate
from avatar_ros.training.capture import Capture, Shot
from avatar_ros.training.datasets.pictures import Picture, read_picture
from avatar_ros.types import Array


@dataclass(frozen=True)
class TrainView:
    """One picture as a step needs it."""

    row: int
    camera_name: str
    camera: Camera
    picture: Picture
    device: torch.device
    parts_bytes: Array | None = None

    @cached_property
    def rgb(self) -> Tensor:
        """(H, W, 3) in 0..1 on black."""
        return _ready(self.picture.rgb, self.device)

    @cached_property
    def mask(self) -> Tensor:
        """(H, W) in 0..1."""
        return _ready(self.picture.mask, self.device)

    @property
    def parts(self) -> Tensor:
        """(H, W) part + 1 by the annotator, 0 outside."""
        assert self.parts_bytes is not None
        return torch.from_numpy(self.parts_bytes).to(self.device)

    @cached_property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns that hold the person."""
        rows, columns = np.nonzero(self.picture.mask > 127)
        if not len(rows):
            return slice(None), slice(None)
        return (
            slice(int(rows.min()), int(rows.max()) + 1),
            slice(int(columns.min()), int(columns.max()) + 1),
        )


def _ready(values: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(values).to(device, torch.float32) / 255


class TrainViews:
    """The pictures of a split, by row and by camera and instant."""

    def __init__(
        self,
        capture: Capture,
        shots: tuple[Shot, ...],
        body: CanonicalBody,
        size: int,
        crop: bool,
        device: torch.device,
        semantic: bool = False,
    ) -> None:
        self.capture, self.shots, self.body = capture, shots, body
        self.size, self.crop, self.device, self.semantic = size, crop, device, semantic
        self._pictures: dict[int, Picture] = {}
        self._parts: dict[int, Array] = {}
        self._at = {(shot.camera_name, shot.row): i for i, shot in enumerate(shots)}
        self.rows = sorted({shot.row for shot in shots})

    def __len__(self) -> int:
        return len(self.shots)

    def __getitem__(self, index: int) -> TrainView:
        shot = self.shots[index]
        if index not in self._pictures:
            self._pictures[index] = read_picture(shot, self.size, self.crop)
        picture = self._pictures[index]
        if self.semantic and index not in self._parts:
            self._parts[index] = self._annotated(shot, picture)
        return TrainView(
            shot.row,
            shot.camera_name,
            picture.camera,
            picture,
            self.device,
            self._parts.get(index),
        )

    def same_camera(self, index: int, row: int) -> TrainView | None:
        """What the camera of one picture saw at another instant."""
        found = self._at.get((self.shots[index].camera_name, row))
        return None if found is None else self[found]

    def _annotated(self, shot: Shot, picture: Picture) -> Array:
        poses, device = self.capture.poses, self.device
        with torch.no_grad():
            pose = self.body.pose_input(
                torch.as_tensor(poses.rotvecs[shot.row], dtype=torch.float32, device=device),
                torch.as_tensor(poses.translations[shot.row], dtype=torch.float32, device=device),
            )
            blended = (self.body.weights @ pose.motion.A.flatten(1)).unflatten(1, (3, 4))
            moved = (blended[:, :, :3] @ self.body.vertices[..., None])[..., 0] + blended[:, :, 3]
        return annotate(moved.cpu().numpy(), self.body.parts, picture.camera, picture.mask > 127)
