# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What an estimator sees in one image, and how estimators are plugged in."""

import importlib
from dataclasses import dataclass, field
from typing import Any, Protocol

from avatar_ros.geometry import Camera
from avatar_ros.types import FloatArray, Image


@dataclass(frozen=True)
class BodyLandmarks:
    """The 33 BlazePose landmarks (`avatar_ros.body.skeletons.BLAZEPOSE_33`)."""

    pixels: FloatArray
    """(33, 2) in the image that was given."""
    world: FloatArray
    """(33, 3) metres about the middle of the hips, optical axes (x right, y down, z forward)."""
    visibility: FloatArray
    """(33,) in 0..1."""


@dataclass(frozen=True)
class FaceLandmarks:
    """One face."""

    pixels: FloatArray
    """(L, 2) mesh landmarks."""
    weights: dict[str, float]
    """ARKit name -> 0..1."""
    R_camera_head: FloatArray
    """(3, 3) orientation of the head: SMPL axes to optical axes."""


@dataclass(frozen=True)
class HandLandmarks:
    """The 21 MediaPipe hand landmarks (`avatar_ros.body.skeletons.HAND_21`)."""

    pixels: FloatArray
    """(21, 2)."""
    world: FloatArray
    """(21, 3) metres, optical axes, origin somewhere in the hand."""
    score: float


@dataclass(frozen=True)
class Landmarks:
    """Everything seen of one person; what was not seen is None or absent."""

    body: BodyLandmarks | None = None
    face: FaceLandmarks | None = None
    hands: dict[str, HandLandmarks] = field(default_factory=dict)
    """By side of the person: ``left``, ``right``."""


class Estimator(Protocol):
    """Image in, landmarks out. Implementations may keep state between images."""

    name: str

    def estimate(self, rgb: Image, camera: Camera) -> Landmarks:
        """Landmarks of the person in an image (H, W, 3), RGB."""
        ...

    def reset(self) -> None:
        """Forget earlier images: time has jumped or another sequence begins."""
        ...

    def close(self) -> None:
        """Release models and threads."""
        ...


_MEDIAPIPE = 'avatar_ros.tracking.mediapipe_estimator:MediaPipeEstimator'


def create_estimator(name: str, **options: Any) -> Estimator:
    """The built-in ``mediapipe``, or ``package.module:Class`` of your own.

    :raises ValueError: if there is no such estimator.
    """
    estimator: Estimator = make_estimator(_MEDIAPIPE if name == 'mediapipe' else name, **options)
    return estimator


def make_estimator(name: str, **options: Any) -> Any:
    """An object of the class ``package.module:Class``.

    :raises ValueError: if it cannot be made.
    """
    module_name, _, class_name = name.partition(':')
    try:
        return getattr(importlib.import_module(module_name), class_name)(**options)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(
            f'estimator {name!r} cannot be made: {error}. Use "mediapipe" or the '
            '"package.module:Class" of an installed class with the methods of '
            'avatar_ros.tracking.Estimator.'
        ) from error
