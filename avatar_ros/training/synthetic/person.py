# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The person of a made capture: an avatar in a bundle, with moving clothes and light on it."""

from dataclasses import replace

import numpy as np
import torch

from avatar_ros.avatars import Bundle, SkinnedAvatar
from avatar_ros.body import ARKIT_52, BodyPose, FaceExpression
from avatar_ros.body.model import BodyModel, free_body
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry.torch_rotations import quat_rotate
from avatar_ros.training.capture import Subject
from avatar_ros.training.parts import part_of_joint
from avatar_ros.training.synthetic.clothes import Clothes
from avatar_ros.types import FloatArray

_SUN = np.array([0.4, 0.8, 0.45]) / np.linalg.norm([0.4, 0.8, 0.45])
_SKY, _SUNLIGHT = 0.62, 0.50
_BETAS = 10


class Person:
    """Draws a bundle in any pose; what the light and the clothes do is exact and repeatable."""

    def __init__(self, bundle: Bundle) -> None:
        if bundle.canonical is not None or bundle.skeleton.name != 'smplx':
            raise ValueError(
                f'{bundle.name}: expected an SMPL-X avatar in the T-pose, such as the shipped '
                '"dressed".'
            )
        self.bundle = bundle
        rows = np.arange(len(bundle))
        self.main_joint = bundle.skin_joints[rows, bundle.skin_weights.argmax(1)]
        self.parts = part_of_joint(bundle.skeleton)[self.main_joint]
        means = bundle.gaussians.means.numpy().astype(float)
        normals = _outward(bundle, means)
        joints = bundle.rest_joints.astype(float)
        self.clothes = Clothes(bundle.skeleton, joints, means, normals, self.main_joint)

    def posed(
        self, pose: BodyPose, rotvecs: FloatArray, expression: FloatArray | None
    ) -> Gaussians:
        """The lit Gaussians of a pose, in its frame."""
        points, normals = self.clothes.moved(rotvecs)
        g = self.bundle.gaussians
        moved = replace(g, means=torch.from_numpy(points.astype(np.float32)))
        avatar = SkinnedAvatar(replace(self.bundle, gaussians=moved))
        face = None if expression is None else FaceExpression('arkit52', ARKIT_52, expression)
        drawn = avatar.deform(pose, face)
        turned = quat_rotate(avatar.turns, torch.from_numpy(normals.astype(np.float32)))
        sun = (turned @ torch.from_numpy(_SUN.astype(np.float32))).clamp_min(0)
        light = (_SKY + _SUNLIGHT * sun)[:, None]
        return replace(drawn, colors=(drawn.colors * light).clamp(0, 1))

    def subject(self) -> tuple[Subject, FloatArray]:
        """The body underneath, as a fit of a body model would give it, and its betas (10,)."""
        model = free_body('smplx')
        betas = fit_betas(model, self.bundle.rest_joints.astype(float))
        names = self.bundle.expression.names if self.bundle.expression else ()
        rows = [model.expression_names.index(name) for name in names]
        subject = Subject(
            model.skeleton,
            model.rest_vertices(betas),
            model.faces,
            model.weights,
            self.bundle.rest_joints.astype(float),
            tuple(names),
            model.expression_dirs[:, :, rows] if rows else None,
        )
        return subject, betas


def fit_betas(model: BodyModel, joints: FloatArray, damping: float = 1e-4) -> FloatArray:
    """Shape (10,) whose joints come nearest to the given ones (J, 3), about the pelvis."""
    base = model.rest_joints()
    eye = np.eye(_BETAS)
    columns = [(model.rest_joints(eye[k]) - base) for k in range(_BETAS)]
    A = np.stack([(c - c[0]).ravel() for c in columns], axis=1)
    b = ((joints - joints[0]) - (base - base[0])).ravel()
    return np.asarray(np.linalg.solve(A.T @ A + damping * eye, A.T @ b))


def _outward(bundle: Bundle, means: FloatArray) -> FloatArray:
    """Normals (N, 3): the thinnest axis of each Gaussian, away from the bone that carries it."""
    g = bundle.gaussians
    thin = torch.nn.functional.one_hot(g.scales.argmin(1), 3).float()
    quats = torch.nn.functional.normalize(g.quats, dim=1)
    normals = quat_rotate(quats, thin).numpy().astype(float)
    joints, parents = bundle.rest_joints.astype(float), bundle.skeleton.parent_array
    main = bundle.skin_joints[np.arange(len(bundle)), bundle.skin_weights.argmax(1)]
    # The bone goes from the joint to the mean of its children; a tip has none.
    ends = joints.copy()
    for joint in range(len(joints)):
        children = np.flatnonzero(parents == joint)
        if len(children):
            ends[joint] = joints[children].mean(0)
    a, b = joints[main], ends[main]
    along = b - a
    t = ((means - a) * along).sum(1) / np.maximum((along**2).sum(1), 1e-9)
    away = means - (a + t.clip(0, 1)[:, None] * along)
    sign = np.where((normals * away).sum(1) < 0, -1.0, 1.0)
    return np.asarray(normals * sign[:, None])
