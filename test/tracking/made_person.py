# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A made-up person: poses, their exact landmarks, and an estimator that replays them."""

from collections.abc import Iterator

import numpy as np

from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.skeletons import SMPLX
from avatar_ros.geometry import (
    R_OPTICAL_SMPL,
    Camera,
    matrix_from_rotvec,
    quat_from_rotvec,
    rigid,
)
from avatar_ros.tracking import BodyLandmarks, Landmarks
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.types import FloatArray

CAMERA = Camera.from_fov(640, 480, 45.0, frame_id='camera')
REST = free_rest_landmarks()
NO_PICTURE = np.zeros((1, 1, 3), np.uint8)


class Person:
    """Joint rotation vectors by name, and where the root is."""

    def __init__(self, yaw: float = 0.0, at: tuple[float, float, float] = (0.1, 0.2, 3.0)) -> None:
        self.rest = REST
        self.T_root = rigid(R_OPTICAL_SMPL @ matrix_from_rotvec([0, yaw, 0]), np.array(at))
        self.quats = np.tile([1.0, 0, 0, 0], (len(SMPLX), 1))

    def bend(self, joint: str, rotvec: tuple[float, float, float]) -> 'Person':
        self.quats[SMPLX.index[joint]] = quat_from_rotvec(np.array(rotvec))
        return self

    @property
    def joints(self) -> FloatArray:
        """Transforms (55, 4, 4) in the camera."""
        return forward_kinematics(SMPLX, self.rest.joints, self.quats, self.T_root)

    @property
    def world(self) -> FloatArray:
        """Landmarks (33, 3) about the middle of the hips, as BlazePose gives them."""
        points = self.rest.posed(self.joints)
        return np.asarray(points - (points[23] + points[24]) / 2)

    def seen(self, visibility: float = 1.0, camera: Camera = CAMERA) -> BodyLandmarks:
        pixels = camera.project(self.rest.posed(self.joints))
        return BodyLandmarks(pixels, self.world, np.full(33, visibility))


class Replay:
    """An estimator that says what the list says, then nothing."""

    name = 'replay'

    def __init__(self, landmarks: list[Landmarks] | None = None) -> None:
        self.script = list(landmarks or [])
        self.resets = 0
        self._rows: Iterator[Landmarks] = iter(self.script)

    def estimate(self, rgb: object, camera: Camera) -> Landmarks:
        return next(self._rows, Landmarks())

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        pass


def random_person(seed: int) -> Person:
    """Somewhat like people: limbs anywhere in front and to the side, hinges bent their own way."""
    rng = np.random.default_rng(seed)
    person = Person(yaw=rng.uniform(-np.pi, np.pi))
    for joint in ('spine1', 'spine2', 'spine3'):
        person.bend(joint, (rng.uniform(-0.1, 0.25), *rng.uniform(-0.15, 0.15, 2)))
    nod = (rng.uniform(-0.2, 0.3), rng.uniform(-0.4, 0.4), rng.uniform(-0.1, 0.1))
    for joint in ('neck', 'head'):
        person.bend(joint, nod)
    for side, sign in (('left', 1.0), ('right', -1.0)):
        lowered, forward = rng.uniform(-0.6, 1.3), rng.uniform(-0.3, 1.0)
        person.bend(f'{side}_shoulder', (0, -sign * forward, -sign * lowered))
        person.bend(f'{side}_elbow', (0, -sign * rng.uniform(0.5, 2.0), 0))
        person.bend(f'{side}_hip', (rng.uniform(-1.2, 0.2), 0, sign * rng.uniform(0, 0.4)))
        person.bend(f'{side}_knee', (rng.uniform(0.5, 1.8), 0, 0))
        person.bend(f'{side}_ankle', (rng.uniform(-0.3, 0.3), 0, 0))
    return person
