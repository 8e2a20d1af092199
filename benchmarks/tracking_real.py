# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A real person whom four cameras saw at once, against triangulated landmarks."""

import numpy as np

from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.skeletons import SMPLX
from avatar_ros.geometry import Camera, transform_points
from avatar_ros.tracking import BodyTracker, Landmarks, TrackerConfig
from avatar_ros.tracking.mediapipe_estimator import MediaPipeEstimator
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.training.from_video.multiview import (
    FPS,
    FRONT,
    VIDEOS,
    frames,
    load_cameras,
    triangulate,
)
from avatar_ros.types import Array, FloatArray
from benchmarks.metrics import Metric
from benchmarks.motions import pa_mpjpe
from benchmarks.tracking_shared import BODY, LIMB_LANDMARKS, NO_PICTURE, Replay, metric


def real() -> list[Metric]:
    cameras = load_cameras()
    seen: dict[str, list[Landmarks]] = {}
    for name, video in VIDEOS.items():
        estimator = MediaPipeEstimator(face=False, hands=False)
        seen[name] = [estimator.estimate(rgb, cameras[name]) for rgb in frames(video)]
        estimator.close()
    bodies = {name: [landmarks.body for landmarks in seen[name]] for name in VIDEOS}
    detected = np.mean([body is not None for group in bodies.values() for body in group])
    views = [cameras[name] for name in VIDEOS]
    truth, off_px = [], []
    for row in range(min(map(len, bodies.values()))):
        at_once = [bodies[name][row] for name in VIDEOS]
        assert all(body is not None for body in at_once), f'nobody seen in picture {row}'
        pixels = np.array([body.pixels for body in at_once if body is not None])
        visibility = np.array([body.visibility for body in at_once if body is not None])
        points = triangulate(views, pixels, visibility)
        truth.append(points)
        projected = np.array([camera.project(points) for camera in views])
        off_px.append(np.linalg.norm(projected - pixels, axis=-1)[:, LIMB_LANDMARKS])
    rows = [
        metric('real.detected', float(detected), '', '4 cameras x 100 pictures', 'higher'),
        metric(
            'real.reprojection_px',
            np.median(off_px),
            'px',
            'triangulated landmarks of the limbs, median, 1080x1920',
        ),
    ]
    errors, jitters, lags = {}, {}, {}
    for name in VIDEOS:
        filtered, plain = (
            tracked(seen[name], cameras[name], TrackerConfig(filtered=on)) for on in (True, False)
        )
        inside = [transform_points(cameras[name].T_camera_world, points) for points in truth]
        errors[name] = 1e3 * np.mean(
            [
                pa_mpjpe(found[LIMB_LANDMARKS], true[LIMB_LANDMARKS])
                for (_, found), true in zip(filtered, inside, strict=True)
            ]
        )
        paths = [np.array([joints for joints, _ in group]) for group in (filtered, plain)]
        jitters[name] = tuple(1e3 * jitter(path) for path in paths)
        lags[name] = lag_ms(*paths)
        front = 'from the front' if name in FRONT else 'from the side or behind'
        conditions = f'{VIDEOS[name]}, {front}, 12 limb landmarks against four cameras'
        rows.append(metric(f'real.{name}.pa_mpjpe_mm', errors[name], 'mm', conditions))
    share = [after / before for after, before in jitters.values()]
    rows += [
        metric(
            'real.front.pa_mpjpe_mm',
            np.mean([errors[name] for name in FRONT]),
            'mm',
            'cam01, cam02',
        ),
        metric('real.all.pa_mpjpe_mm', np.mean(list(errors.values())), 'mm', 'all four cameras'),
        metric('filter.jitter_mm', np.mean([a for a, _ in jitters.values()]), 'mm', 'filtered'),
        metric('filter.jitter_without_mm', np.mean([b for _, b in jitters.values()]), 'mm', 'not'),
        metric('filter.jitter_share', max(share), '', 'filtered / not, worst of four cameras'),
        metric('filter.lag_ms', np.mean(list(lags.values())), 'ms', '60 Hz, mean of four cameras'),
        metric('filter.lag_worst_ms', max(lags.values()), 'ms', '60 Hz, worst of four cameras'),
    ]
    return rows


def tracked(
    seen: list[Landmarks], camera: Camera, config: TrackerConfig
) -> list[tuple[FloatArray, FloatArray]]:
    """Joints (22, 3) and landmarks (33, 3) of the tracked body, in the camera, for each picture."""
    estimator, rest = Replay(), free_rest_landmarks()
    tracker = BodyTracker(estimator, rest, config)
    result = []
    for row, landmarks in enumerate(seen):
        estimator.next = landmarks
        pose = tracker.process(NO_PICTURE, camera, round(row / FPS * 1e9)).pose
        T = forward_kinematics(SMPLX, rest.joints, pose.rotations, pose.T_frame_root)
        result.append((T[BODY, :3, 3], rest.posed(T)))
    return result


def jitter(path: Array) -> float:
    """Mean length of the second difference of joints (T, J, 3) about the first one, per frame."""
    about_pelvis = path - path[:, :1]
    return float(np.linalg.norm(np.diff(about_pelvis, 2, axis=0), axis=-1).mean())


def lag_ms(filtered: Array, plain: Array, fps: float = FPS) -> float:
    """Delay at which the unfiltered joints (T, J, 3) resemble the filtered ones most."""
    after, before = ((path - path[:, :1]).reshape(len(path), -1) for path in (filtered, plain))
    rows = np.arange(len(after), dtype=float)
    late = rows[10:]
    delays = np.arange(0.0, 9.0, 0.1)
    misfit = [
        np.sum((np.stack([np.interp(late - d, rows, c) for c in before.T], 1) - after[10:]) ** 2)
        for d in delays
    ]
    return float(delays[int(np.argmin(misfit))] / fps * 1e3)
