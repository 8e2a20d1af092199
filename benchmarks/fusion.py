# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Fusion of made trackers that fail in every way: ``python -m benchmarks.fusion``.

Two trackers of one slowly moving person err by 20 degrees on every joint, each in directions of its
own. What counts is the largest step of any joint from frame to frame when something happens.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from avatar_ros.tracking.fusion import Fusion
from benchmarks.metrics import Metric, load, write_results

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'test/tracking')]
COMMAND = 'python -m benchmarks.fusion'


def main() -> None:
    from made_trackers import EVENTS, FPS, Tracker, largest_pop_deg, run, truth

    calm = largest_pop_deg([(k / FPS, truth(k / FPS)) for k in range(300)])
    metrics = [
        Metric(
            'fusion.motion.step_deg', calm, 'deg', 'lower', 'largest step of the motion', COMMAND
        )
    ]
    for event, trackers in EVENTS.items():
        fusion = Fusion([t.name for t in trackers], {'hands': ['b']} if trackers[1:] else None)
        out = run(fusion, [replace(t) for t in trackers], 10.0)
        metrics.append(
            Metric(
                f'fusion.{event.replace(" ", "_")}.step_deg',
                largest_pop_deg(out),
                'deg',
                'lower',
                f'a source {event}; {len(out)} frames at {FPS:g} Hz, the motion included',
                COMMAND,
            )
        )
    for lag_s in (-0.3, 0.05, 0.2, 0.35):
        trackers = [
            Tracker('a', 10, 1, lag_s=max(0.0, -lag_s), noise_deg=0.5),
            Tracker('b', 10, 2, lag_s=max(0.0, lag_s), clock_s=7200.0, noise_deg=0.5),
        ]
        fusion = Fusion(['a', 'b'])
        run(fusion, trackers, 16.0)
        found = fusion.estimate_offsets(117.0)['b']
        metrics.append(
            Metric(
                f'fusion.lag_{round(1e3 * lag_s)}_ms.error_ms',
                1e3 * abs(found.stamp_s - lag_s - 7200.0),
                'ms',
                'lower',
                'clock offset found after 16 s, another clock, 0.5 degrees of noise (sigma)',
                COMMAND,
            )
        )
    drifting = [
        Tracker('a', 10, 1, jitter_s=0.005),
        Tracker('b', 10, 2, drift=0.05 / 60, lag_s=0.1, jitter_s=0.005),
    ]
    fusion = Fusion(['a', 'b'])
    run(fusion, drifting, 60.0, start_s=0.0)
    found = fusion.estimate_offsets(61.0)['b']
    conditions = 'after a minute of 50 ms drift, 5 ms of jitter in the arrival'
    error_ms = 1e3 * abs(found.stamp_s - 0.1 - 0.05)
    metrics.append(Metric('fusion.drift.error_ms', error_ms, 'ms', 'lower', conditions, COMMAND))
    metrics.append(
        Metric(
            'fusion.drift.found_ms_per_min',
            60e3 * found.drift,
            'ms',
            'higher',
            f'of 50; {conditions}',
            COMMAND,
        )
    )
    samples = [(truth(k / FPS, 10, 1), truth(k / FPS, 10, 2)) for k in range(300)]
    fusion = Fusion(['a', 'b'])
    start = time.process_time()
    for k, (a, b) in enumerate(samples):
        fusion.add_pose('a', a, k / FPS)
        fusion.add_pose('b', b, k / FPS)
        fusion.fuse(k / FPS)
        if k % 30 == 29:
            fusion.estimate_offsets(k / FPS)
    spent_ms = 1e3 * (time.process_time() - start) / len(samples)
    conditions = f'a frame of two sources, clocks compared once a second; {load()}'
    metrics.append(Metric('fusion.cpu_ms', spent_ms, 'ms', 'lower', conditions, COMMAND))
    assert np.isfinite([m.value for m in metrics]).all()
    write_results('fusion', metrics)


if __name__ == '__main__':
    main()
