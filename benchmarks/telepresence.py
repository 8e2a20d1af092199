# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The whole graph on real videos: ``python -m benchmarks.telepresence``.

Each round runs the live graph and its rival, the same stages one after another in one thread, so
that both see the same machine. The input runs at 60 pictures a second, more than either can do, so
that the frame rate is that of the graph and not of the camera; a last run at 30 shows the rest.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from avatar_ros.assets import DEMOS
from avatar_ros.avatars import load_avatar
from avatar_ros.avatars.player import Player, orbit_camera
from avatar_ros.avatars.stage import Stage
from avatar_ros.geometry import Camera
from avatar_ros.render import select_engine
from avatar_ros.tracking import BodyTracker, create_estimator
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.tracking.video import VideoSource
from benchmarks.metrics import Metric, load, write_results

COMMAND = 'python -m benchmarks.telepresence'
SIZE = 512


def live(
    clip: str, rate_hz: float, seconds: float, avatar: str = 'dressed', size: int = SIZE
) -> dict[str, object]:
    """The report of one run of the composed graph, without the page."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / 'report.json'
        command = [sys.executable, '-m', 'avatar_ros.nodes.telepresence', '--input', clip]
        command += ['--avatar', avatar]
        command += ['--no-viewer', '--size', str(size), '--duration', str(seconds)]
        command += ['--report', str(report), '--log-level', 'error']
        command += ['--ros-args', '-p', f'camera:rate_hz:={rate_hz}']
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.loads(report.read_text())


def in_turn(clip: str, frames: int) -> dict[str, float]:
    """Frames a second and CPU ms a stage when one thread does everything in turn."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    source = VideoSource(clip, max_side=960, rate_hz=0, loop='once')
    pictures = list(source._decoded(1, lambda: True))
    source.close()
    tracker = BodyTracker(create_estimator('mediapipe'), free_rest_landmarks())
    # One thread: what the estimator would do beside the body, it does before it.
    tracker.estimator._pool.submit = _now  # type: ignore[attr-defined]
    player = Player(load_avatar('dressed'), select_engine('numba'), Stage())
    view = orbit_camera(SIZE, SIZE)
    player.warm_up(view)
    spent: dict[str, list[float]] = {'track': [], 'render': []}
    start = 0.0
    for k in range(frames + 10):
        if k == 10:  # warm
            start = time.perf_counter()
            spent = {name: [] for name in spent}
        rgb = pictures[k % len(pictures)]
        camera = Camera.from_fov(rgb.shape[1], rgb.shape[0], 45.0)
        t0 = time.process_time()
        result = tracker.process(rgb, camera, int(k * 1e9 / 60))
        t1 = time.process_time()
        player.render(result.pose, result.face, [view])
        spent['track'].append(t1 - t0)
        spent['render'].append(time.process_time() - t1)
    fps = frames / (time.perf_counter() - start)
    tracker.close()
    return {'fps': fps, **{name: 1e3 * float(np.median(v)) for name, v in spent.items()}}


class _Done:
    def __init__(self, value: object) -> None:
        self.result = lambda: value


def _now(function: object, *args: object) -> _Done:
    return _Done(function(*args))  # type: ignore[operator]


def median(runs: list[dict], *path: str) -> float:
    """Median over runs of the value at `path` in each."""
    values = []
    for run in runs:
        value: object = run
        for key in path:
            value = value[key]  # type: ignore[index]
        values.append(float(value))  # type: ignore[arg-type]
    return float(np.median(values))


def measure_clip(clip: str, what: str, rounds: int, seconds: float) -> list[Metric]:
    reports, turns = [], []
    for _ in range(rounds):
        reports.append(live(clip, 60.0, seconds))
        turns.append(in_turn(clip, 150))
    at_30 = [live(clip, 30.0, seconds) for _ in range(rounds)]
    ratios = [a['fps'] / b['fps'] for a, b in zip(reports, turns, strict=True)]
    rows = [
        ('fps', median(reports, 'fps'), '1/s', 'higher', 'input at 60 Hz'),
        ('in_turn_fps', median(turns, 'fps'), '1/s', 'higher', 'same stages, one thread'),
        ('speedup', float(np.median(ratios)), 'x', 'higher', 'live over one thread, per round'),
        ('track_cpu_ms', median(turns, 'track'), 'ms', 'lower', 'CPU time, one thread'),
        ('render_cpu_ms', median(turns, 'render'), 'ms', 'lower', 'CPU time, one thread'),
        ('fps_at_30', median(at_30, 'fps'), '1/s', 'higher', 'input at 30 Hz'),
        *(
            (f'pose_age_{q}_ms', median(at_30, 'pose_age_ms', q), 'ms', 'lower', 'input at 30 Hz')
            for q in ('p50', 'p95', 'p99')
        ),
        ('start_s', median(at_30, 'start_to_first_frame_s'), 's', 'lower', 'warm caches'),
    ]
    conditions = (
        f'{what} video, {reports[0]["gaussians"]} Gaussians, {SIZE}x{SIZE}, '
        f'median of {rounds} runs of {seconds:g} s; {load()}'
    )
    return [
        Metric(f'telepresence.{what}.{key}', value, unit, better, f'{extra}; {conditions}', COMMAND)
        for key, value, unit, better, extra in rows
    ]


def measure(rounds: int, seconds: float) -> list[Metric]:
    return [
        metric
        for clip in DEMOS
        for metric in measure_clip(clip, clip.replace('demo', 'body'), rounds, seconds)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=15.0)
    args = parser.parse_args()
    write_results('telepresence', measure(args.rounds, args.seconds))


if __name__ == '__main__':
    main()
