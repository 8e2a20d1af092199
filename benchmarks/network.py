# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Cost of a frame by cached networks beside the baked one: ``python -m benchmarks.network``.

Weights are random: what a network says does not change what asking it costs. CUDA is measured
too if there is any.
"""

import os

os.environ.setdefault('OMP_NUM_THREADS', '1')

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from avatar_ros.avatars import Bundle, NetworkAvatar, SkinnedAvatar, avatar_path, load_bundle
from avatar_ros.avatars.network.body_network import BodyNetwork, Canonical
from avatar_ros.avatars.network.cached import pack
from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.training.body.canonical_body import canonical_quats
from avatar_ros.training.body.config import preset
from benchmarks.metrics import Metric, load, median_cpu_ms, median_wall_ms, write_results

COMMAND = 'python -m benchmarks.network'
EYE = np.array([0.0, 1.0, 3.0])


def with_network(bundle: Bundle, method: str, size: str) -> Bundle:
    """The bundle with random networks of a method's preset, in the canonical pose."""
    config = preset(method, size).network
    torch.manual_seed(0)
    count = len(bundle)
    bounds = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])
    network = BodyNetwork(config, SMPLX, bounds, torch.from_numpy(bundle.rest_joints), 1)
    canonical = Canonical(
        bundle.gaussians.means.float(),
        bundle.gaussians.quats.float(),
        bundle.gaussians.scales.float().log(),
        torch.randn(count, config.color_features),
        shares=torch.rand(count, len(SMPLX)),
    )
    encoded = torch.randn(count, network.grid.width)
    geometry = torch.randn(count, config.unet_features) if config.geometry_network else None
    limit = np.full((3, count, 3), 0.01, np.float32)
    packed = pack(network, canonical, encoded, geometry, limit)
    return replace(bundle, network=packed, canonical=canonical_quats(SMPLX).numpy())


def measure() -> list[Metric]:
    """Deform and colour one view, without rendering."""
    torch.set_num_threads(1)
    bundle = load_bundle(avatar_path('dressed'))
    rng = np.random.default_rng(0)
    pose = BodyPose(
        SMPLX, np.eye(4), quat_from_rotvec(rng.normal(0, 0.3, (len(SMPLX), 3))), np.ones(len(SMPLX))
    )

    def frame(avatar: SkinnedAvatar) -> Callable[[], object]:
        return lambda: (avatar.deform(pose), avatar.colors_for(EYE))

    what = f'{len(bundle)} Gaussians, deformed and coloured for one view, not rendered'
    metrics = []
    devices = ['cpu', *(['cuda'] if torch.cuda.is_available() else [])]
    for device in devices:

        def cost(avatar: SkinnedAvatar, device: str = device) -> float:
            work = frame(avatar)
            if device == 'cuda':
                return median_wall_ms(lambda: (work(), torch.cuda.synchronize()), repeats=50)
            return median_cpu_ms(work, repeats=10)

        unit = 'cuda_ms' if device == 'cuda' else 'cpu_ms'
        where = torch.cuda.get_device_name() if device == 'cuda' else 'one thread, CPU time'
        conditions = f'{what}, {where}, {load()}'
        baked = cost(SkinnedAvatar(bundle, device))
        metrics.append(
            Metric(f'avatar.network.baked.{unit}', baked, 'ms', 'lower', conditions, COMMAND)
        )
        for method, size in (('chase', 'cpu'), ('chase', 'paper'), ('sg_gs', 'paper')):
            avatar = NetworkAvatar(with_network(bundle, method, size), device)
            key = f'avatar.network.{method}_{size}.{unit}'
            text = f'networks of preset {size}; {conditions}'
            metrics.append(Metric(key, cost(avatar), 'ms', 'lower', text, COMMAND))
    return metrics


if __name__ == '__main__':
    write_results('network', measure())
