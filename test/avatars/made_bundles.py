# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import torch

from avatar_ros.avatars import Bundle, ExpressionBasis
from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import quat_from_rotvec


def random_bundle(count: int = 60, sh_degree: int = 0, seed: int = 0) -> Bundle:
    """A person-sized cloud on the SMPL-X skeleton, with three face actions."""
    rng = np.random.default_rng(seed)
    f32 = lambda x: torch.from_numpy(np.asarray(x, np.float32))  # noqa: E731
    joints = np.cumsum(rng.normal(0, 0.05, (55, 3)), axis=0)
    weights = rng.random((count, 4)) + 0.05
    # Weights that 16 bits hold exactly, so that a round trip is exact.
    weights = np.round(weights / weights.sum(1, keepdims=True) * 64) / 64
    weights[:, 0] += 1 - weights.sum(1)
    index = np.sort(rng.choice(count, 20, replace=False)).astype(np.int32)
    return Bundle(
        name='random',
        licence='CC0-1.0',
        skeleton=SMPLX,
        gaussians=Gaussians(
            means=f32(rng.normal(0, 0.5, (count, 3))),
            quats=f32(quat_from_rotvec(rng.normal(0, 1, (count, 3)))),
            scales=f32(rng.uniform(0.001, 0.02, (count, 3))),
            opacities=f32(rng.uniform(0.1, 0.95, count)),
            colors=f32(rng.normal(0, 0.3, (count, (sh_degree + 1) ** 2, 3))),
            sh_degree=sh_degree,
        ),
        rest_joints=joints.astype(np.float32),
        skin_joints=rng.integers(0, 55, (count, 4)).astype(np.uint8),
        skin_weights=weights.astype(np.float32),
        expression=ExpressionBasis(
            'arkit52',
            ('jawOpen', 'mouthSmileLeft', 'mouthSmileRight'),
            index,
            rng.integers(-127, 128, (3, 20, 3)).astype(np.int8),
            rng.uniform(1e-5, 2e-4, 3).astype(np.float32),
            True,
        ),
        sole_points=rng.normal(0, 0.1, (6, 3)).astype(np.float32),
        sole_joints=np.array([7, 7, 8, 8, 10, 11], np.uint8),
        provenance={'made by': 'a test'},
    )


def random_pose(seed: int, angle: float = 0.6, skeleton=SMPLX) -> BodyPose:
    rng = np.random.default_rng(seed)
    rotations = quat_from_rotvec(rng.normal(0, angle, (len(skeleton), 3)))
    rotations[0] = (1, 0, 0, 0)
    return BodyPose(skeleton, np.eye(4), rotations, np.ones(len(skeleton)))
