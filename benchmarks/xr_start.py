# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""From the start of a process to the first stereo frame: ``python -m benchmarks.xr_start``.

The browser runs before, with an emulated headset; all else starts cold, but for caches on disk.
"""

import argparse
import re
import subprocess
import sys
import time
from typing import Any

import numpy as np

from benchmarks.headset import headset_script
from benchmarks.metrics import Metric, load, write_results
from benchmarks.xr_glass import chromium, process_seconds

COMMAND = 'python -m benchmarks.xr_start'
#: What starts, and the command: the whole demo, and the server alone.
CASES = {
    'telepresence': ['avatar_ros.nodes.telepresence', '--port', '0', '--log-level', 'error'],
    'xr_server': ['benchmarks.xr_node', '--ros-args', '-p', 'port:=0', '--log-level', 'error'],
}
_STEREO = "avatarXr.mode === 'vr' && avatarXr.lastFrame?.eyes === 2"


def start(browser: Any, command: list[str]) -> tuple[float, float, float]:
    """Seconds until the address is printed, until two eyes see their first frame, and of CPU."""
    context = browser.new_context(viewport={'width': 640, 'height': 400})
    page = context.new_page()
    page.add_init_script(headset_script())
    begin = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, '-m', *command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            address = re.search(r'http://\S+', line)
            if address:
                break
        else:
            raise RuntimeError(f'{command[0]} ended without an address')
        listening = time.monotonic() - begin
        page.goto(address[0])
        page.click('#enter-vr')
        while not page.evaluate(_STEREO):
            if time.monotonic() - begin > 60:
                raise RuntimeError(f'no stereo frame: {page.evaluate("avatarXr")}')
            time.sleep(0.02)
        return listening, time.monotonic() - begin, process_seconds(process.pid)
    finally:
        process.kill()
        process.wait()
        context.close()


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument('--rounds', type=int, default=5)
    rounds = parser.parse_args().rounds
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in CASES}
    with sync_playwright() as play:
        browser = chromium(play)
        for k in range(rounds):
            for name, command in CASES.items():
                times[name].append(start(browser, command))
                a, b, c = times[name][-1]
                told = f'listening after {a:.1f} s, stereo after {b:.1f} s, CPU {c:.1f} s'
                print(f'round {k + 1} {name}: {told}', flush=True)
        browser.close()
    metrics = []
    for name, found in times.items():
        where = f'warm caches, median of {rounds}, headless Chromium with IWER, {load()}'
        listening, stereo, cpu = np.median(np.array(found), axis=0)
        metrics += [
            Metric(f'xr.start.{name}.listening_s', float(listening), 's', 'lower',
                   f'process start to the address of the page; {where}', COMMAND),
            Metric(f'xr.start.{name}.stereo_s', float(stereo), 's', 'lower',
                   f'process start to the first frame for two eyes, drawn; {where}', COMMAND),
            Metric(f'xr.start.{name}.cpu_s', float(cpu), 's', 'lower',
                   f'CPU time of the process until then; {where}', COMMAND),
        ]  # fmt: skip
    write_results('xr_start', metrics)


if __name__ == '__main__':
    main()
