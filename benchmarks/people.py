# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Several people through the whole graph: ``python -m benchmarks.people``.

The same person, seen by four cameras, stands four times in one made video; each is tracked by the
one tracker and shown by the one renderer. The video runs at 30 pictures a second.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from avatar_ros.assets import asset_path
from avatar_ros.avatars import load_avatar
from avatar_ros.avatars.cast import Cast
from avatar_ros.avatars.player import Player, orbit_camera
from avatar_ros.avatars.stage import Stage
from avatar_ros.geometry import Camera
from avatar_ros.render import select_engine
from avatar_ros.tracking import (
    BodyTracker,
    PeopleTracker,
    create_estimator,
    create_people_estimator,
)
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from benchmarks.metrics import Metric, load, write_results

COMMAND = 'python -m benchmarks.people'
VIDEOS = ('body.mp4', 'body_cam01.mp4', 'body_cam03.mp4', 'body_cam04.mp4')
TILE = (240, 428)
SIZE = 512


def make_video(path: Path, people: int, frames: int = 100) -> None:
    """The first people of four stand in their places; the other places are empty."""
    captures = [cv2.VideoCapture(str(asset_path(name))) for name in VIDEOS[:people]]
    size = (4 * TILE[0], TILE[1])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), 30.0, size)
    for _ in range(frames):
        picture = np.full((size[1], size[0], 3), 90, np.uint8)
        for k, capture in enumerate(captures):
            picture[:, k * TILE[0] : (k + 1) * TILE[0]] = cv2.resize(capture.read()[1], TILE)
        writer.write(picture)
    writer.release()


def live(video: Path, people: int, seconds: float) -> dict:
    """The report of one run of the composed graph, without the page."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / 'report.json'
        command = [sys.executable, '-m', 'avatar_ros.nodes.telepresence', '--input', str(video)]
        command += ['--no-viewer', '--size', str(SIZE), '--duration', str(seconds)]
        command += ['--report', str(report), '--log-level', 'error', '--ros-args']
        for parameter in (
            f'body_tracker:max_people:={people}',
            'avatar_renderer:max_people:=4',
            'avatar_renderer:distance_m:=6.0',
            'camera:loop:=pingpong',
            'camera:rate_hz:=30.0',
        ):
            command += ['-p', parameter]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.loads(report.read_text())


def cpu_ms(video: Path, people: int, frames: int = 30) -> dict[str, float]:
    """Median CPU time of tracking and of rendering a picture, of all threads together."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rest = free_rest_landmarks()
    tracker: BodyTracker | PeopleTracker
    if people == 1:
        tracker = BodyTracker(create_estimator('mediapipe'), rest)
    else:
        estimator = create_people_estimator('mediapipe', max_people=people)
        tracker = PeopleTracker(estimator, rest, max_people=people)
    avatar = load_avatar('demo')
    player = Player(avatar, select_engine('numba'), Stage())
    view = orbit_camera(SIZE, SIZE, distance_m=6.0)
    player.warm_up(view)
    cast = Cast(avatar, max_people=4)
    capture = cv2.VideoCapture(str(video))
    spent: dict[str, list[float]] = {'track': [], 'render': []}
    for k in range(60 + frames):
        rgb = np.ascontiguousarray(capture.read()[1][..., ::-1])
        camera = Camera.from_fov(rgb.shape[1], rgb.shape[0], 45.0)
        t0 = time.process_time()
        found = tracker.process(rgb, camera, k * 33_333_333)
        t1 = time.process_time()
        for result in found if isinstance(found, list) else [found]:
            cast.accept_face(result.face)
            cast.accept_pose(result.pose, k / 30)
        shown = cast.frame(k / 30)
        player.render_people(shown, [view])
        if k >= 60:  # everybody is found
            assert len(shown) == people
            spent['track'].append(t1 - t0)
            spent['render'].append(time.process_time() - t1)
    tracker.close()
    return {name: 1e3 * float(np.median(values)) for name, values in spent.items()}


def measure(people: int, seconds: float) -> list[Metric]:
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / 'people.mp4'
        make_video(video, people)
        report = live(video, people, seconds)
        spent = cpu_ms(video, people)
    stages = report['stages_ms']
    conditions = (
        f'{report["people"]} shown of {people} in a {report["input_size"]} video at 30 Hz, faces '
        f'and hands too, {report["gaussians"]} Gaussians, {SIZE}x{SIZE}, {seconds:g} s, '
        f'{os.cpu_count()} cores; {load()}'
    )
    rows = [
        ('fps', report['fps'], '1/s', 'higher'),
        *(
            (f'pose_age_{q}_ms', report['pose_age_ms'][q], 'ms', 'lower')
            for q in ('p50', 'p95', 'p99')
        ),
        ('track_p50_ms', stages['body_tracker.estimate']['p50'], 'ms', 'lower'),
        *(
            (f'{stage}_p50_ms', stages[f'avatar_renderer.{stage}']['p50'], 'ms', 'lower')
            for stage in ('deform', 'raster')
        ),
        *((f'{name}_cpu_ms', value, 'ms', 'lower') for name, value in spent.items()),
    ]
    return [
        Metric(f'people.{people}.{key}', float(value), unit, better, conditions, COMMAND)
        for key, value, unit, better in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=25.0)
    args = parser.parse_args()
    metrics = [metric for people in (1, 2, 4) for metric in measure(people, args.seconds)]
    write_results('people', metrics)


if __name__ == '__main__':
    main()
