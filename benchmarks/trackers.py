# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.trackers``: a walk through every foreign tracker's format and back.

The encoders are those of the tests (test/tracking/adapters), written apart from the adapters.
"""

import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from avatar_ros.assets import asset_path
from avatar_ros.body import BodyPose
from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.skeletons import SMPLX
from avatar_ros.geometry import angle_between
from avatar_ros.tracking.pose_filter import PoseFilter
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.types import FloatArray
from benchmarks.metrics import Metric, load, write_results
from benchmarks.motions import load_motion

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'test/tracking/adapters'))
COMMAND = 'python -m benchmarks.trackers'
_FRAME_NS = 33_333_333


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


def image_errors_mm(people: Iterable[Any], noise_px: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Distances (T, 22) in mm, across the view and along it, against the pelvis.

    Of people whom a tracker of images sees, from what it writes as Skeleton2D, at 30 Hz.
    """
    import encoders as enc

    from avatar_ros.tracking.adapters import PeopleIK, skeleton2d

    rest, rng = free_rest_landmarks(), np.random.default_rng(0)
    solve, across, along = PeopleIK(rest).solve, [], []
    for k, person in enumerate(people):
        message = enc.skeleton2d(person, noise_px=lambda: rng.normal(0, noise_px, 2))
        seen = replace(skeleton2d.image_points(message, enc.CAMERA), stamp_ns=k * _FRAME_NS)
        pose = solve(seen)
        assert isinstance(pose, BodyPose)
        found = forward_kinematics(SMPLX, rest.joints, pose.rotations, pose.T_frame_root)
        truth = person.T[:22, :3, 3] @ enc.TO_OPTICAL.T + enc.FROM_CAMERA
        rays = truth / np.linalg.norm(truth, axis=1, keepdims=True)
        away = 1e3 * (found[:22, :3, 3] - found[0, :3, 3] - (truth - truth[0]))
        depth = np.einsum('ja,ja->j', away, rays)
        across.append(np.linalg.norm(away - depth[:, None] * rays, axis=1))
        along.append(np.abs(depth))
    return np.array(across), np.array(along)


def images() -> list[Metric]:
    """What one image tells of a walk, seen from the front and from the side."""
    from truth import before_the_camera, of_motion

    walk = load_motion(asset_path('motions') / 'humanoid3d_walk.txt')
    rows = []
    for view, degrees in (('front', 0.0), ('side', 90.0)):
        for noise, noise_px in (('', 0.0), ('.noisy', 2.0)):
            people = before_the_camera(of_motion(walk, step=1), degrees)
            across, along = image_errors_mm(people, noise_px)
            told = f'mean of 22 joints against the pelvis; walk seen from the {view}, 3.5 m away'
            told += f', {noise_px:g} pixels of noise of 640 x 480'
            for key, error in (('across', across), ('along', along)):
                rows.append(
                    Metric(
                        f'trackers.skeleton2d.{view}{noise}.{key}_mm',
                        float(error.mean()),
                        'mm',
                        'lower',
                        f'{key} the view, {told}',
                        COMMAND,
                    )
                )
    return rows


def smoothing() -> list[Metric]:
    """What the filter of pose_adapter takes from noise at rest, and what it costs in time."""
    from sources import SOURCES, solver
    from truth import Jittery, Truth, bent

    rng, smooth = np.random.default_rng(0), PoseFilter()
    solve = solver(SOURCES['zed_38'])
    raw: list[BodyPose] = []
    for k in range(300):
        message = SOURCES['zed_38'].encode(Jittery(Truth(), 0.01, rng))
        raw.append(replace(solve(message)[0], stamp_ns=k * _FRAME_NS))
    steps = [_steps(poses[30:]) for poses in (raw, [smooth(pose) for pose in raw])]
    noise = 'standing still, 10 mm of noise (sigma, each axis) on each ZED 38 point, 30 Hz'
    rows = [
        Metric(
            f'trackers.smoothing.{name}.step_deg',
            float(step),
            'deg',
            'lower',
            f'mean turn of 22 joints from frame to frame; {noise}',
            COMMAND,
        )
        for name, step in zip(('off', 'on'), steps, strict=True)
    ]
    for speed in (0.5, 2.0, 8.0):
        smooth = PoseFilter()
        for k in range(120):
            angle = speed * k * _FRAME_NS * 1e-9
            turned = bent(left_elbow=(0, -angle, 0)).quats
            pose = replace(raw[0], rotations=turned, stamp_ns=k * _FRAME_NS)
            shown = smooth(pose)
        behind = angle_between(shown.rotation('left_elbow'), pose.rotation('left_elbow'))
        rows.append(
            Metric(
                f'trackers.smoothing.lag_{speed:g}_rad_s_ms',
                1e3 * float(behind) / speed,
                'ms',
                'lower',
                f'a joint that turns steadily at {speed:g} rad/s, 30 Hz, no noise',
                COMMAND,
            )
        )
    return rows


def _steps(poses: list[BodyPose]) -> FloatArray:
    quats = np.array([pose.rotations[:22] for pose in poses])
    return np.asarray(np.degrees(angle_between(quats[1:], quats[:-1])).mean())


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
    write_results('trackers', metrics + images() + smoothing())


if __name__ == '__main__':
    main()
