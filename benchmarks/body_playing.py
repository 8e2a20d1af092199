# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What playing a trained avatar costs: a baked frame alone, and the whole graph."""

from typing import Any

import numpy as np
import torch

from avatar_ros.avatars import Bundle, PoseBasis, SkinnedAvatar
from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.training.body.canonical_body import canonical_quats
from benchmarks.body_runs import COMMAND
from benchmarks.metrics import Metric, load, median_cpu_ms


def speed_of_bundle() -> list[Metric]:
    """CPU time of a baked frame of 50k Gaussians: pose basis, skinning, view-dependent colours."""
    rng = np.random.default_rng(0)
    n, k, m = 50_000, 32, 384

    def floats(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(0, 0.3, shape).astype(np.float32))

    weights = rng.random((n, 4)).astype(np.float32)
    basis = PoseBasis(
        SMPLX.joints[1:22],
        quat_from_rotvec(rng.normal(0, 0.4, (m, 21, 3))).astype(np.float32),
        1.5,
        rng.normal(0, 1, (m, k)).astype(np.float32),
        np.full(k, 5, np.float32),
        rng.integers(-127, 128, (4, k, n, 3)).astype(np.int8),
        np.full((k, 4), 1e-5, np.float32),
    )
    metrics = []
    for degree in (1, 3):
        bundle = Bundle(
            'speed', 'CC0-1.0', SMPLX,
            Gaussians(floats(n, 3), torch.nn.functional.normalize(floats(n, 4), dim=1),
                      floats(n, 3).abs() * 0.02 + 1e-3, torch.rand(n),
                      floats(n, (degree + 1) ** 2, 3), degree),
            rng.normal(0, 0.3, (55, 3)).astype(np.float32),
            rng.integers(0, 55, (n, 4)).astype(np.uint8), weights / weights.sum(1, keepdims=True),
            canonical=canonical_quats(SMPLX).numpy(), pose_basis=basis,
        )  # fmt: skip
        avatar = SkinnedAvatar(bundle)
        pose = BodyPose(
            SMPLX, np.eye(4), quat_from_rotvec(rng.normal(0, 0.3, (55, 3))), np.ones(55)
        )

        def frame(avatar: SkinnedAvatar = avatar, pose: BodyPose = pose) -> None:
            avatar.deform(pose)
            avatar.colors_for(np.array([0.0, 1.0, 3.0]))

        metrics.append(
            Metric(
                f'body.bundle.50k_sh{degree}.cpu_ms', median_cpu_ms(frame, 40), 'ms', 'lower',
                f'{k} components, {m} baked poses, one thread, {load()}', COMMAND,
            )
        )  # fmt: skip
    return metrics


def live_graph() -> list[Metric]:
    """The whole graph with the trained avatar that is shipped."""
    from benchmarks.telepresence import live

    metrics = []
    for clip, name in (('demo', 'body'), ('face', 'face')):
        fast, normal = (live(clip, rate, 15.0, avatar='demo') for rate in (60.0, 30.0))
        what = (
            f'shipped avatar, {fast["gaussians"]} Gaussians, {name} video, 512x512, 15 s, one run'
        )
        ages: Any = normal['pose_age_ms']
        for key, value, unit, better, rate in (
            ('fps', fast['fps'], '1/s', 'higher', 60),
            ('pose_age_p95_ms', ages['p95'], 'ms', 'lower', 30),
        ):
            conditions = f'{what}, input at {rate} Hz, {load()}'
            key = f'body.live.{name}.{key}'
            metrics.append(Metric(key, float(str(value)), unit, better, conditions, COMMAND))  # type: ignore[arg-type]
    return metrics
