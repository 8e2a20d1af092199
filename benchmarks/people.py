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
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from avatar_ros.assets import asset_path
from avatar_ros.avatars import load_avatar
from avatar_ros.avatars.cast import Cast
from avatar_ros.avatars.player import Player, joined, orbit_camera
from avatar_ros.avatars.stage import Stage
from avatar_ros.body import rest_pose
from avatar_ros.body.skeletons import BLAZEPOSE_INDEX
from avatar_ros.geometry import R_OPTICAL_SMPL, Camera, matrix_from_rotvec, rigid
from avatar_ros.render import select_engine, to_rgb8
from avatar_ros.tracking import (
    BodyTracker,
    PeopleTracker,
    create_estimator,
    create_people_estimator,
)
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from benchmarks.metrics import Metric, load, write_results
from benchmarks.motions import load_motion

COMMAND = 'python -m benchmarks.people'
VIDEOS = ('body.mp4', 'body_cam01.mp4', 'body_cam03.mp4', 'body_cam04.mp4')
TILE = (240, 428)
SIZE = 512
_TRUNK = [
    BLAZEPOSE_INDEX[f'{side}_{part}'] for side in ('left', 'right') for part in ('shoulder', 'hip')
]


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


def crossing(seconds: float = 5.0, fps: float = 15.0) -> list[Metric]:
    """Two who are dressed alike walk past each other; the nearer hides the other for a while."""
    walk = load_motion(asset_path('motions') / 'humanoid3d_walk.txt')
    avatar, engine = load_avatar('dressed'), select_engine('numba')
    avatars = (avatar, avatar.twin())
    camera = Camera.from_fov(960, 540, 45.0)
    estimator = create_people_estimator('mediapipe', max_people=2, face=False, hands=False)
    tracker = PeopleTracker(estimator, free_rest_landmarks(), max_people=2)
    who: list[dict[str, int]] = []
    for k in range(round(seconds * fps)):
        t = k / fps
        places = np.array([[-1.5 + 0.6 * t, 0.05, 3.2], [1.5 - 0.6 * t, 0.05, 4.2]])
        parts = []
        for n, (body, place, yaw) in enumerate(zip(avatars, places, (1.2, -1.2), strict=True)):
            quats = walk.quats[(round(30 * t) + 7 * n) % len(walk)].copy()
            quats[0] = [1, 0, 0, 0]
            T = rigid(R_OPTICAL_SMPL @ matrix_from_rotvec([0, yaw, 0]), place)
            parts.append(body.deform(replace(rest_pose(), rotations=quats, T_frame_root=T)))
        drawn = engine.rasterize(
            joined(parts), [camera], backgrounds=torch.tensor([[0.6, 0.6, 0.62]]), render_mode='RGB'
        )
        found = tracker.process(to_rgb8(drawn.colors[0]), camera, round(t * 1e9))
        truth = camera.project(places)[:, 0]
        who.append(
            {
                r.pose.person_id: int(
                    np.abs(r.landmarks.body.pixels[_TRUNK, 0].mean() - truth).argmin()
                )
                for r in found
                if r.landmarks.body is not None
            }
        )
    tracker.close()
    both = [image for image in who if len(image) == 2]
    kept = sum(image == both[0] for image in both)
    hidden_s = sum(len(image) < 2 for image in who[who.index(both[0]) :]) / fps
    conditions = (
        f'two rendered people dressed alike cross, one hidden for {hidden_s:.1f} s; '
        f'images that show both: {len(both)}'
    )
    share = kept / len(both)
    return [Metric('people.crossing.ids_kept', share, '', 'higher', conditions, COMMAND)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=25.0)
    args = parser.parse_args()
    metrics = crossing()
    metrics += [metric for people in (1, 2, 4) for metric in measure(people, args.seconds)]
    write_results('people', metrics)


if __name__ == '__main__':
    main()
