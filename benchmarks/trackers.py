# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.trackers``: a walk through every foreign tracker's format and back.

The encoders are those of the tests (test/tracking/adapters), written apart from the adapters.
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from avatar_ros.assets import asset_path
from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.skeletons import SMPLX
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.types import FloatArray
from benchmarks.metrics import Metric, load, write_results
from benchmarks.motions import load_motion

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'test/tracking/adapters'))
COMMAND = 'python -m benchmarks.trackers'


def joint_errors_mm(name: str, people: Iterable[Any]) -> FloatArray:
    """Distances (T, 22) in mm between the joints written and those of the pose read back."""
    from sources import SOURCES, solver

    source, rest = SOURCES[name], free_rest_landmarks()
    solve, errors = solver(source), []
    for person in people:
        (pose,) = solve(source.encode(person))
        found = forward_kinematics(SMPLX, rest.joints, pose.rotations, pose.T_frame_root)
        found, truth = found[:22, :3, 3], person.T[:22, :3, 3]
        if source.root_told:
            truth = truth @ source.axes.T
            if name == 'azure_kinect':
                truth = truth + [0, 0, 2.0]
        else:  # compared in the body's own frame
            truth = (truth - truth[0]) @ person.T[0, :3, :3] @ source.axes.T
            found = found - found[0]
        errors.append(1e3 * np.linalg.norm(found - truth, axis=1))
    return np.array(errors)


def main() -> None:
    from sources import BODY, SOURCES
    from truth import Jittery, of_motion

    walk = load_motion(asset_path('motions') / 'humanoid3d_walk.txt')
    metrics = []
    for name, source in SOURCES.items():
        people = list(of_motion(walk, step=1, spine_pitch_only=source.pitch_only))
        start = time.process_time()
        errors = joint_errors_mm(name, people)
        spent_ms = 1e3 * (time.process_time() - start) / len(people)
        told = [row for row, joint in enumerate(BODY) if joint not in source.cannot]
        untold = ', '.join(sorted(source.cannot)) or 'nothing'
        conditions = f'walk, {len(people)} frames; not told: {untold}'
        for key, value in (('mean', errors[:, told].mean()), ('max', errors[:, told].max())):
            metrics.append(
                Metric(
                    f'trackers.{name}.{key}_mm', float(value), 'mm', 'lower', conditions, COMMAND
                )
            )
        if source.points_only:
            rng = np.random.default_rng(0)
            noisy = joint_errors_mm(name, [Jittery(p, 0.01, rng) for p in people])
            metrics.append(
                Metric(
                    f'trackers.{name}.noisy.mean_mm',
                    float(noisy[:, told].mean()),
                    'mm',
                    'lower',
                    f'the same with 10 mm of noise (sigma, each axis) on each point; {conditions}',
                    COMMAND,
                )
            )
        if source.pitch_only:
            whole = joint_errors_mm(name, of_motion(walk, step=1))
            metrics.append(
                Metric(
                    f'trackers.{name}.whole_spine.mean_mm',
                    float(whole[:, told].mean()),
                    'mm',
                    'lower',
                    'the walk with its spine as captured: lean and twist are not told',
                    COMMAND,
                )
            )
        metrics.append(
            Metric(
                f'trackers.{name}.cpu_ms',
                spent_ms,
                'ms',
                'lower',
                f'a person, with writing the message; {load()}',
                COMMAND,
            )
        )
    write_results('trackers', metrics)


if __name__ == '__main__':
    main()
