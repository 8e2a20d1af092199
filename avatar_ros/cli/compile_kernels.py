# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``python -m avatar_ros.cli.compile_kernels``: compile all kernels, so that starts are quick."""

import time

import numpy as np

from avatar_ros.avatars import load_avatar
from avatar_ros.avatars.player import Player, orbit_camera
from avatar_ros.avatars.stage import Stage
from avatar_ros.body.skeletons import SIDES
from avatar_ros.render import select_engine
from avatar_ros.streaming.xr import encoder
from avatar_ros.tracking import BodyIK, HandIK
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks


def main() -> None:
    """Run each compiled path once; numba keeps the result on disk."""
    start = time.perf_counter()
    Player(load_avatar('demo'), select_engine(), Stage()).warm_up(orbit_camera(64, 64))
    rest = free_rest_landmarks()
    BodyIK(rest)(rest.points * np.array([1.0, -1.0, -1.0]))
    for side in SIDES:
        HandIK(side, rest.joints)(np.random.default_rng(0).normal(size=(21, 3)))
    encoder.warm_up()
    print(f'kernels are ready ({time.perf_counter() - start:.1f} s)')


if __name__ == '__main__':
    main()
