# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""CPU time of the estimator, of the inverse kinematics and of the rest of the tracker."""

import time

import cv2
import numpy as np

from avatar_ros.geometry import Camera
from avatar_ros.tracking import BodyIK, BodyTracker
from avatar_ros.tracking.mediapipe_estimator import MediaPipeEstimator
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.training.from_video.multiview import frames, load_cameras
from benchmarks.metrics import Metric, load, median_cpu_ms
from benchmarks.tracking_shared import NO_PICTURE, Replay, metric


def cost() -> list[Metric]:
    rest = free_rest_landmarks()
    ik, world = BodyIK(rest), rest.points * [1, -1, -1]
    conditions = f'1 thread, median of 25; {load()}'
    rows = [metric('ik.cpu_ms', median_cpu_ms(lambda: ik(world), 200), 'ms', conditions)]
    camera = load_cameras()['cam01']
    pictures = list(frames('body_cam01.mp4'))[:40]
    pictures = [cv2.resize(p, (480, 854), interpolation=cv2.INTER_AREA) for p in pictures]
    camera = camera.scaled(480, 854)
    for part, options in (
        ('body', {'face': False, 'hands': False}),
        ('face', {'face': True, 'hands': False}),
        ('hands', {'face': False, 'hands': True}),
    ):
        video = pictures
        view = camera
        if part == 'hands':  # smaller ones are not looked at
            video, view = list(frames('body.mp4'))[:40], load_cameras()['cam02']
        if part == 'face':
            video = list(frames('face.mp4'))[:40]
            view = Camera.from_fov(video[0].shape[1], video[0].shape[0], 45.0)
        estimator = MediaPipeEstimator(**options)  # type: ignore[arg-type]
        times, hands = [], 0
        for rgb in video:
            start = time.process_time()
            hands += len(estimator.estimate(rgb, view).hands)
            times.append(1e3 * (time.process_time() - start))
        estimator.close()
        also = '' if part == 'body' else f' body and {part} together;'
        if part == 'hands':
            also += f' a hand found in {100 * hands // len(video)} % of the images;'
        rows.append(
            metric(
                f'estimate.{part}.cpu_ms',
                float(np.median(times[5:])),
                'ms',
                f'{video[0].shape[1]}x{video[0].shape[0]};{also} CPU time of all threads; {load()}',
            )
        )
    tracker = BodyTracker(Replay(), rest)
    estimator = MediaPipeEstimator(face=False, hands=False)
    landmarks = estimator.estimate(pictures[0], camera)
    estimator.close()
    tracker.estimator.next = landmarks  # type: ignore[attr-defined]
    stamp = iter(range(0, 10**12, 33_000_000))
    rows.append(
        metric(
            'tracker.cpu_ms',
            median_cpu_ms(lambda: tracker.process(NO_PICTURE, camera, next(stamp)), 200),
            'ms',
            f'filters, IK and placing, without the estimator; {conditions}',
        )
    )
    return rows
