# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Glass to glass in headless Chromium, ours and the rivals in turn: see `benchmarks.xr`.

Latency is from the moment a picture is there to be encoded to the moment the browser has drawn
it. Needs Chromium, and `pip install playwright aiortc`.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.headset import headset_script
from benchmarks.netem import ADDRESSES, NAMESPACES, Link, network

SECONDS, WARM_UP_S = 8.0, 2.5
_IN_HEADSET = ('ours_vr',)
#: Where each page keeps [frame, time it was drawn].
_SHOWN = {
    'ours': 'window.avatarXr.shown.map(s => [s[0], performance.timeOrigin + s[2]])',
    'rival': 'window.rival.shown',
}


def process_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Served:
    """One of `benchmarks.xr_servers` in a process of its own."""

    def __init__(self, kind: str, *host: str, namespace: str = '') -> None:
        self.kind = kind
        inside = ['ip', 'netns', 'exec', namespace] if namespace else []
        self._process = subprocess.Popen(
            [*inside, sys.executable, '-m', 'benchmarks.xr_servers', kind, *host],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def cpu_s(self) -> float:
        return process_seconds(self._process.pid)

    def __enter__(self) -> 'Served':
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()

    def end(self) -> dict[str, Any]:
        """When each frame was there, and the bytes sent to the first client."""
        out, _ = self._process.communicate(timeout=20)
        result: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
        return result


def open_page(page: Any, served: Served) -> Any:
    """The page; for some an emulated headset enters VR and sees in stereo."""
    if served.kind in _IN_HEADSET:
        page.add_init_script(headset_script())
    page.goto(served.url)
    if served.kind in _IN_HEADSET:
        page.click('#enter-vr', timeout=15_000)
    return page


def watch(browser: Any, kind: str, clients: int = 1) -> dict[str, Any]:
    """One round: so many pages look at a server of this kind."""
    with Served(kind) as served, ExitStack() as stack:
        pages = []
        for _ in range(clients):
            context = browser.new_context(viewport={'width': 640, 'height': 400})
            stack.callback(context.close)
            pages.append(open_page(context.new_page(), served))
        time.sleep(WARM_UP_S)
        begin_cpu, begin = served.cpu_s(), time.time() * 1e3
        time.sleep(SECONDS)
        cpu = (served.cpu_s() - begin_cpu) / SECONDS
        script = _SHOWN['ours' if kind.startswith('ours') else 'rival']
        shown = [page.evaluate(script) for page in pages]
        end = served.end()
    t0 = {int(k): v for k, v in end['t0'].items()}
    result: dict[str, Any] = {'cpu': cpu, 'latency_ms': [], 'fps': []}
    for frames in shown:
        if kind == 'floor':  # the page says when it made them
            late = [drawn - made for _, drawn, made in frames if drawn > begin]
        else:
            late = [t - t0[int(k)] for k, t in frames if t > begin and int(k) in t0]
        result['latency_ms'].append(late)
        result['fps'].append(len(late) / SECONDS)
    result['kb'] = end['bytes'] / 1e3 / max(len(t0), 1)
    return result


def chromium(play: Any, namespace: str = '', secure: str = '') -> Any:
    """A headless browser; `secure` is an http origin that it takes for a secure one."""
    path = shutil.which('chromium') or shutil.which('google-chrome')
    if path is None:
        raise SystemExit('Chromium is not installed (apt-get install chromium).')
    args = ['--no-sandbox', '--headless=new']
    if secure:
        args.append(f'--unsafely-treat-insecure-origin-as-secure={secure}')
    if not namespace:
        return play.chromium.launch(executable_path=path, args=args)
    with tempfile.NamedTemporaryFile('w', suffix='.sh', delete=False) as wrapper:
        wrapper.write(f'#!/bin/sh\nexec ip netns exec {namespace} {path} "$@"\n')
    Path(wrapper.name).chmod(0o700)
    try:
        return play.chromium.launch(executable_path=wrapper.name, args=args)
    finally:
        Path(wrapper.name).unlink()


#: Seconds of a good link, of the bad one, and of the good one again.
_GOOD_S, _BAD_S, _CURED_S = 4.0, 8.0, 5.0
_CALM_MS = 500.0
_ROUND_TRIPS = 'avatarXr.connection.clock.samples.map(s => s.roundTrip)'


def impaired(bad: Link, good: Link) -> dict[str, Any]:
    """One page behind a link that becomes bad and good again."""
    from playwright.sync_api import sync_playwright

    with network() as net, sync_playwright() as play, ExitStack() as stack:
        net.set(good)
        served = stack.enter_context(Served('ours', ADDRESSES[0], namespace=NAMESPACES[0]))
        browser = chromium(play, NAMESPACES[1], served.url.partition('/?')[0])
        stack.callback(browser.close)
        page = open_page(browser.new_page(viewport={'width': 640, 'height': 400}), served)
        time.sleep(WARM_UP_S)
        marks = [time.time() * 1e3]
        answers = []
        for link, seconds in ((good, _GOOD_S), (bad, _BAD_S), (good, _CURED_S)):
            net.set(link)
            time.sleep(seconds)
            marks.append(time.time() * 1e3)
            answers.append(page.evaluate(_ROUND_TRIPS)[-int(seconds) + 1 :])  # one a second
        shown = page.evaluate(_SHOWN['ours'])
        t0 = {int(k): v for k, v in served.end()['t0'].items()}
    frames = [(t, t - t0[int(k)]) for k, t in shown if int(k) in t0]
    parts = [[late for t, late in frames if a < t <= b] for a, b in itertools.pairwise(marks)]
    usual = float(np.percentile(parts[0], 95))
    late_at = [t for t, late in frames if t > marks[2] and late > 1.2 * usual]
    return {
        'good_ms': parts[0],
        'bad_ms': parts[1],
        'fps': [len(parts[0]) / _GOOD_S, len(parts[1]) / _BAD_S],
        # From eyes that ask for an answer to that answer, on the same socket as frames.
        'pose_round_trip_ms': answers[1],
        'recovery_s': (_start_of_calm(late_at, marks[2]) - marks[2]) / 1e3,
    }


def _start_of_calm(late_at: list[float], start: float) -> float:
    """When the first half second began in which no frame was late, in ms."""
    for late in late_at:
        if late - start > _CALM_MS:
            break
        start = late
    return start


def rounds(kinds: dict[str, tuple[str, int]], count: int) -> dict[str, list[dict[str, Any]]]:
    """`count` rounds of each case, in turn; name -> (kind of server, clients)."""
    from playwright.sync_api import sync_playwright

    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with sync_playwright() as play:
        browser = chromium(play)
        for k in range(count):
            for name, (kind, clients) in kinds.items():
                result = watch(browser, kind, clients)
                found[name].append(result)
                late = np.concatenate(result['latency_ms'])
                middle = np.median(late) if late.size else np.nan
                fps = ', '.join(f'{f:.1f}' for f in result['fps'])
                print(f'round {k + 1} {name}: p50 {middle:.0f} ms, fps {fps}', flush=True)
        browser.close()
    return found
