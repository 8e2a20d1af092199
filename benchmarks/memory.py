# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Memory of the live graph over time: ``python -m benchmarks.memory --minutes 10``."""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.metrics import Metric, load, write_results

COMMAND = 'python -m benchmarks.memory'
_WARM_UP_S = 60.0


def resident_mb(pid: int) -> float:
    for line in Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmRSS'):
            return int(line.split()[1]) / 1024
    raise ValueError(f'process {pid} has no VmRSS; is it gone?')


def record_bag(path: Path) -> None:
    """Ten seconds of the demo camera."""
    camera = subprocess.Popen(
        [sys.executable, '-m', 'avatar_ros.nodes.camera'], stderr=subprocess.DEVNULL
    )
    try:
        command = [sys.executable, '-m', 'avatar_ros.cli.main', 'record', '--out', str(path)]
        command += ['--duration', '12', '--topics', 'camera/image/compressed', 'camera/camera_info']
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    finally:
        camera.send_signal(signal.SIGINT)
        camera.wait(10)


def measure(minutes: float) -> list[Metric]:
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder) / 'bag'
        record_bag(bag)
        graph = subprocess.Popen(
            [
                sys.executable,
                '-m',
                'avatar_ros.nodes.telepresence',
                '--input',
                'topic',
                '--image-transport',
                'compressed',
                '--use-sim-time',
                '--port',
                '0',
                '--log-level',
                'error',
            ],
            stderr=subprocess.DEVNULL,
        )
        player = subprocess.Popen(
            [
                sys.executable,
                '-m',
                'avatar_ros.cli.main',
                'replay',
                str(bag),
                '--clock',
                '--loop',
                '0',
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        samples: list[tuple[float, float]] = []
        start = time.monotonic()
        try:
            with tqdm(total=round(60 * minutes), unit='s') as bar:
                while (passed := time.monotonic() - start) < 60 * minutes:
                    time.sleep(2)
                    samples.append((passed, resident_mb(graph.pid)))
                    bar.n = round(passed)
                    bar.set_postfix_str(f'{samples[-1][1]:.0f} MB')
                    bar.update(0)
        finally:
            for process in (player, graph):
                process.send_signal(signal.SIGINT)
                process.wait(20)
    after = np.array([mb for t, mb in samples if t > _WARM_UP_S])
    tenth = max(1, len(after) // 10)
    growth = float(np.median(after[-tenth:]) - np.median(after[:tenth]))
    conditions = f'{minutes:g} minutes of a looping bag, first minute left out; {load()}'
    return [
        Metric('memory.replay.growth_mb', growth, 'MB', 'lower', conditions, COMMAND),
        Metric('memory.replay.resident_mb', float(after[-1]), 'MB', 'lower', conditions, COMMAND),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=10.0)
    write_results('memory', measure(parser.parse_args().minutes))


if __name__ == '__main__':
    main()
