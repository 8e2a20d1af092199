# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Glass to glass in headless Chromium, ours and the rivals in turn: see `benchmarks.xr`.

Latency is from the moment a picture is there to be encoded to the moment the browser has drawn
it. Needs Chromium, and `pip install playwright aiortc`.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

SECONDS, WARM_UP_S = 8.0, 2.5
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

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'benchmarks.xr_servers', kind],
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


def watch(browser: Any, kind: str, clients: int = 1) -> dict[str, Any]:
    """One round: so many pages look at a server of this kind."""
    with Served(kind) as served, ExitStack() as stack:
        pages = []
        for _ in range(clients):
            context = browser.new_context(viewport={'width': 640, 'height': 400})
            stack.callback(context.close)
            page = context.new_page()
            page.goto(served.url)
            pages.append(page)
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
        late = [t - t0[int(k)] for k, t in frames if t > begin and int(k) in t0]
        result['latency_ms'].append(late)
        result['fps'].append(len(late) / SECONDS)
    result['kb'] = end['bytes'] / 1e3 / max(len(t0), 1)
    return result


def chromium(play: Any) -> Any:
    """A headless browser."""
    path = shutil.which('chromium') or shutil.which('google-chrome')
    if path is None:
        raise SystemExit('Chromium is not installed (apt-get install chromium).')
    return play.chromium.launch(executable_path=path, args=['--no-sandbox', '--headless=new'])


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
