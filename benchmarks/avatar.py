# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Cost of the shipped avatar on a CPU: ``python -m benchmarks.avatar``."""

import os

os.environ.setdefault('OMP_NUM_THREADS', '1')

import time
from typing import Literal

import numpy as np
import torch

from avatar_ros.avatars import SkinnedAvatar, avatar_path, load_bundle
from avatar_ros.body import ARKIT_52, SMPLX, BodyPose, FaceExpression
from avatar_ros.geometry import quat_from_rotvec
from benchmarks.metrics import Metric, load, median_cpu_ms, write_results

COMMAND = 'python -m benchmarks.avatar'


def metric(
    key: str,
    value: float,
    unit: str,
    conditions: str,
    better: Literal['lower', 'higher'] = 'lower',
) -> Metric:
    return Metric(f'avatar.{key}', value, unit, better, f'{conditions}; {load()}', COMMAND)


def random_pose(rng: np.random.Generator) -> BodyPose:
    rotations = quat_from_rotvec(rng.normal(0, 0.4, (len(SMPLX), 3)))
    return BodyPose(SMPLX, np.eye(4), rotations, np.ones(len(SMPLX)))


def full_face(rng: np.random.Generator) -> FaceExpression:
    return FaceExpression('arkit52', ARKIT_52, rng.uniform(0.1, 1, len(ARKIT_52)))


def measure() -> list[Metric]:
    torch.set_num_threads(1)
    path, rng = avatar_path('dressed'), np.random.default_rng(0)
    start = time.process_time()
    bundle = load_bundle(path)
    loading = 1e3 * (time.process_time() - start)
    avatar, n = SkinnedAvatar(bundle), len(bundle)
    pose, face = random_pose(rng), full_face(rng)
    conditions = f'dressed avatar, {n} Gaussians, 1 thread, median of 100, CPU time'

    def cost(with_face: bool) -> float:
        chosen = face if with_face else None
        return median_cpu_ms(lambda: avatar.deform(pose, chosen), repeats=100)

    def torch_cost() -> float:
        return median_cpu_ms(lambda: avatar.deform_torch(pose, face), repeats=25)

    fast, plain = avatar.deform(pose, face), avatar.deform_torch(pose, face)
    apart = float((fast.means - plain.means).abs().max())
    return [
        metric('deform.50k.cpu_ms', cost(True), 'ms', f'{conditions}; all 52 face actions'),
        metric('deform_without_face.50k.cpu_ms', cost(False), 'ms', conditions),
        metric(
            'joints.cpu_ms',
            median_cpu_ms(lambda: avatar.joints.motion(pose, face), repeats=100),
            'ms',
            'forward kinematics of 55 joints, part of deform',
        ),
        metric(
            'ground_height.cpu_ms',
            median_cpu_ms(lambda: avatar.ground_height(pose), repeats=100),
            'ms',
            f'{len(bundle.sole_points)} points under the feet',
        ),
        metric('deform_torch.50k.cpu_ms', torch_cost(), 'ms', 'the plain torch twin, 1 thread'),
        metric('deform_twins_apart', apart, 'm', 'largest distance, numba to torch'),
        metric('load.50k.cpu_ms', loading, 'ms', 'zip to checked tensors, first load'),
        metric('bundle.50k.size', path.stat().st_size / 1e6, 'MB', 'zip file'),
    ]


if __name__ == '__main__':
    write_results('avatar', measure())
