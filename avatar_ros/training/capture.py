# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A capture in memory: one person, how they moved, and the pictures that show it.

Loaders of every data set (`avatar_ros.training.datasets`) give this, and nothing behind them
knows where it came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avatar_ros.body import BodyPose
from avatar_ros.body.skeletons import Skeleton
from avatar_ros.geometry import Camera, matrix_from_rotvec, quat_from_rotvec, rigid
from avatar_ros.types import Array, FloatArray

#: Body parts of SG-GS, section S1; a part map holds 0 for the background and part + 1 elsewhere.
PARTS = ('torso', 'leg', 'arm', 'head', 'hips')
#: Names of the splits that a capture may have.
SPLITS = ('train', 'novel_view', 'novel_pose')


class CaptureError(ValueError):
    """A capture that cannot be used: says which file, what was expected, and what to do."""


@dataclass(frozen=True)
class Subject:
    """The person: a body mesh in the T-pose with this person's shape."""

    skeleton: Skeleton
    vertices: FloatArray
    """(V, 3) metres, axes x left, y up, z forward."""
    faces: Array
    """(F, 3) int64."""
    weights: FloatArray
    """Skinning weights (V, J)."""
    rest_joints: FloatArray
    """(J, 3)."""
    expression_names: tuple[str, ...] = ()
    expression_dirs: FloatArray | None = None
    """(V, 3, E): what each facial action does at a weight of 1."""


@dataclass(frozen=True)
class Poses:
    """How the person moved: SMPL rotation vectors, one row an instant."""

    skeleton: Skeleton
    names: tuple[str, ...]
    """(T,) names of the instants, as in the picture files."""
    rotvecs: FloatArray
    """Parent-relative rotation vectors (T, J, 3); row 0 turns the whole body."""
    translations: FloatArray
    """(T, 3) SMPL's ``transl``: the pelvis lies at rest_joints[0] + transl."""
    expression: FloatArray | None = None
    """Weights (T, E) of the subject's facial actions."""

    def __len__(self) -> int:
        return len(self.names)

    def body_pose(self, row: int, rest_joints: FloatArray) -> BodyPose:
        """One row as live code takes it, in the world of the capture."""
        root = rigid(
            matrix_from_rotvec(self.rotvecs[row, 0]), rest_joints[0] + self.translations[row]
        )
        rotations = quat_from_rotvec(self.rotvecs[row])
        rotations[0] = (1.0, 0.0, 0.0, 0.0)
        return BodyPose(self.skeleton, root, rotations, np.ones(len(self.skeleton)))


@dataclass(frozen=True)
class Shot:
    """One picture: who took it, when, and where it lies."""

    row: int
    """Row of `Poses`."""
    camera_name: str
    camera: Camera
    """With its lens distortion; `read_picture` removes it."""
    image: Path
    mask: Path | None
    """None: the image's alpha channel is the mask."""
    labels: bool = False
    """The mask holds labels: everything but 0 is the person."""
    parts: Path | None = None
    """Exact body parts, where the capture knows them."""


@dataclass(frozen=True)
class Capture:
    """Everything that an avatar is trained and judged on."""

    name: str
    licence: str
    subject: Subject
    poses: Poses
    shots: tuple[Shot, ...]
    splits: Mapping[str, tuple[int, ...]]
    """Split -> rows of `shots`; the names are those of `SPLITS`."""
    fps: float = 30.0
    skipped: tuple[str, ...] = field(default=())
    """What could not be used, one line each."""

    def split(self, name: str) -> tuple[Shot, ...]:
        """The shots of a split; empty if the capture has none."""
        return tuple(self.shots[i] for i in self.splits.get(name, ()))
