# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""How benchmarks measure and where their numbers go.

A benchmark makes a list of `Metric` and hands it to `write_results`, which writes
``benchmarks/results/<name>.json``: a list of objects with the fields of `Metric`.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from avatar_ros.machine import machine

RESULTS = Path(__file__).parent / 'results'


def load() -> str:
    """How busy the machine is: a slow number on a busy machine means little."""
    return f'load average {os.getloadavg()[0]:.1f}'


@dataclass(frozen=True)
class Metric:
    """One number, with what it takes to measure it again."""

    key: str
    """Dotted, from the topic to the unit: ``render.forward.50k_512.cpu_ms``."""
    value: float
    unit: str
    better: Literal['lower', 'higher']
    conditions: str = ''
    """What a reader must know to compare: threads, load, sizes."""
    command: str = ''
    device: str = field(default_factory=machine)


def write_results(name: str, metrics: Sequence[Metric]) -> Path:
    """The JSON file of a benchmark, with the metrics in the order given; prints them too."""
    keys = [metric.key for metric in metrics]
    assert len(set(keys)) == len(keys), f'a key is used twice: {keys}'
    width = max(map(len, keys), default=0)
    for metric in metrics:
        print(f'{metric.key:{width}}  {metric.value:12.4g} {metric.unit:6} {metric.conditions}')
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f'{name}.json'
    rounded = [{**asdict(metric), 'value': float(f'{metric.value:.4g}')} for metric in metrics]
    path.write_text(json.dumps(rounded, indent=2) + '\n')
    return path


def median_cpu_ms(work: Callable[[], object], repeats: int = 25, warm_up: int = 3) -> float:
    """Median CPU time of the process in ms; others' load disturbs it less than wall time.

    Counts all threads: run torch and OpenMP with one.
    """
    return _median_ms(work, repeats, warm_up, time.process_time)


def median_wall_ms(work: Callable[[], object], repeats: int = 25, warm_up: int = 3) -> float:
    """Median elapsed time in ms."""
    return _median_ms(work, repeats, warm_up, time.perf_counter)


def _median_ms(
    work: Callable[[], object], repeats: int, warm_up: int, clock: Callable[[], float]
) -> float:
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return 1e3 * float(np.median(times))
