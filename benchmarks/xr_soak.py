# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Clients come and go for an hour: ``python -m benchmarks.xr_soak --minutes 60``.

The node renders a person who moves. Two clients stay (pictures in stereo, and poses), others join
for seconds in any lane and leave politely or not. Once a second memory, threads and sockets of the
server are counted, and the frames that those who stay have got.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np

from benchmarks.metrics import Metric, load, write_results
from benchmarks.xr_glass import process_seconds
from benchmarks.xr_scene import stereo_eyes
from benchmarks.xr_wire import eyes_message

COMMAND = 'python -m benchmarks.xr_soak --minutes 60'
#: Small, because others' load on the machine must not decide the frame rate.
_HEIGHT, _FPS = 160, 10.0
_SETTLED_S = 60.0
_GUESTS = 3
_NAP_S = 0.2


@dataclass
class Guest:
    """A client without a browser; acknowledges what it gets."""

    url: str
    lane: str
    frames: int = 0
    bytes: int = 0
    closed: str = ''

    async def stay(self, seconds: float, polite: bool = True, at: float = 0.0) -> None:
        base = self.url.partition('/?')[0]
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            async with session.get(self.url):
                pass
            socket = await session.ws_connect(f'{base}/xr', headers={'Origin': base})
            hello = {'version': 1, 'lanes': [self.lane], 'mode': 'vr', 'height': _HEIGHT}
            await socket.send_str(json.dumps({'type': 'hello', **hello}))
            if self.lane == 'pose':
                async with session.get(f'{base}/xr/avatar') as response:
                    self.bytes += len(await response.read())
            watching = asyncio.ensure_future(self._watch(socket, at))
            done, _ = await asyncio.wait([watching], timeout=seconds)
            if done:
                self.closed = f'{socket.close_code} {watching.exception() or ""}'
                return
            watching.cancel()
            if polite:
                await socket.send_str('{"type": "bye"}')
            elif socket._response.connection is not None:
                socket._response.connection.transport.abort()  # as when a battery is empty

    async def _watch(self, socket: aiohttp.ClientWebSocketResponse, at: float) -> None:
        asking = asyncio.ensure_future(self._look(socket, at))
        try:
            async for message in socket:
                if message.type != aiohttp.WSMsgType.BINARY or message.data[0] not in (16, 19):
                    continue
                start = 8 if message.data[0] == 16 else 4
                self.frames += 1
                self.bytes += len(message.data)
                await socket.send_bytes(b'\x02\0\0\0' + message.data[start : start + 4])
        finally:
            asking.cancel()

    async def _look(self, socket: aiohttp.ClientWebSocketResponse, at: float) -> None:
        view_id = 0
        while True:
            view_id += 1
            sway = 0.02 * np.sin(view_id / 10)
            eyes = stereo_eyes((at + sway, 1.5, 1.8))
            await socket.send_bytes(eyes_message(view_id, eyes))
            await asyncio.sleep(_NAP_S)


@dataclass
class Log:
    """One row a second."""

    at_s: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)
    poses: list[int] = field(default_factory=list)
    load: list[float] = field(default_factory=list)


def look_at_process(pid: int) -> tuple[float, int, int]:
    """Memory in MB, threads and open files."""
    status = dict(
        line.split(':', 1) for line in Path(f'/proc/{pid}/status').read_text().splitlines()
    )
    files = len(os.listdir(f'/proc/{pid}/fd'))  # noqa: PTH208
    return int(status['VmRSS'].split()[0]) / 1e3, int(status['Threads']), files


async def soak(url: str, pid: int, seconds: float, seed: int = 0) -> tuple[Log, int]:
    """What was counted, and how many guests came."""
    rng, log, came = np.random.default_rng(seed), Log(), 0
    begin = time.monotonic()
    stays = [Guest(url, 'h264'), Guest(url, 'pose')]
    tasks = [asyncio.ensure_future(guest.stay(seconds + 60)) for guest in stays]

    async def come_and_go() -> None:
        nonlocal came
        while True:
            came += 1
            lane = str(rng.choice(['h264', 'jpeg', 'pose']))
            try:
                await Guest(url, lane).stay(
                    float(rng.uniform(1, 10)), bool(rng.random() < 0.5), float(rng.uniform(-1, 1))
                )
            except aiohttp.ClientError as error:
                print(f'guest: {error}', flush=True)
            await asyncio.sleep(float(rng.uniform(0, 5)))

    guests = [asyncio.ensure_future(come_and_go()) for _ in range(_GUESTS)]
    while (now := time.monotonic() - begin) < seconds:
        await asyncio.sleep(1.0)
        for task in [*tasks, *guests]:
            if task.done():
                raise RuntimeError(f'a client ended: {task.exception() or stays}')
        memory, threads, files = look_at_process(pid)
        log.at_s.append(now)
        log.memory_mb.append(memory)
        log.threads.append(threads)
        log.files.append(files)
        log.cpu_s.append(process_seconds(pid))
        log.pictures.append(stays[0].frames)
        log.poses.append(stays[1].frames)
        log.load.append(os.getloadavg()[0])
        if len(log.at_s) % 60 == 0:
            minute = len(log.at_s) // 60
            fps = (log.pictures[-1] - log.pictures[-60]) / 59
            print(f'minute {minute}: {memory:.1f} MB, {threads} threads, {files} files, '
                  f'{fps:.2f} fps, {came} guests, {load()}', flush=True)  # fmt: skip
    for task in [*guests, *tasks]:
        task.cancel()
    return log, came


def metrics_of(log: Log, came: int) -> list[Metric]:
    at = np.array(log.at_s)
    kept = at > _SETTLED_S
    thirds = np.array_split(np.flatnonzero(kept), 3)
    first, last = thirds[0], thirds[-1]
    memory = np.array(log.memory_mb)

    def fps(counts: list[int], rows: np.ndarray) -> float:
        return (counts[rows[-1]] - counts[rows[0]]) / (at[rows[-1]] - at[rows[0]])

    def cost(rows: np.ndarray) -> float:
        return (log.cpu_s[rows[-1]] - log.cpu_s[rows[0]]) / (
            log.pictures[rows[-1]] - log.pictures[rows[0]]
        )

    def load_of(rows: np.ndarray) -> float:
        return float(np.mean(np.array(log.load)[rows]))

    where = (
        f'{at[-1] / 60:.0f} minutes, {came} guests beside two who stay, {_FPS:g} frames a second, '
        f'views {_HEIGHT} high, {load()}; last third against first'
    )

    def usual(counts: list[int], rows: np.ndarray) -> float:
        """Median over windows of ten seconds: what a burst of others' load delayed is left out."""
        return float(
            np.median([fps(counts, rows[k : k + 11]) for k in range(0, len(rows) - 10, 10)])
        )

    kept_fps = min(usual(c, last) / usual(c, first) for c in (log.pictures, log.poses))
    slope = np.polyfit(at[kept] / 3600, memory[kept], 1)[0]
    return [
        metric('minutes', at[-1] / 60, 'min', 'higher', where),
        metric('grown_mb', float(np.median(memory[last]) - np.median(memory[first])), 'MB',
               'lower', where),
        metric('mb_per_hour', float(slope), 'MB/h', 'lower', f'straight line; {where}'),
        metric('threads_grown', float(np.max(np.array(log.threads)[last])
                                      - np.max(np.array(log.threads)[first])), '', 'lower', where),
        metric('files_grown', float(np.median(np.array(log.files)[last])
                                    - np.median(np.array(log.files)[first])), '', 'lower', where),
        metric('fps_kept', kept_fps, '', 'higher',
               f'the worse of pictures and poses, medians of windows of 10 s; {where}'),
        metric('fps', fps(log.pictures, last), '1/s', 'higher', where),
        metric('load_grown', load_of(last) / load_of(first), 'x', 'lower',
               f'of the machine, by all that runs on it; {where}'),
        metric('cpu_per_picture_kept', cost(last) / cost(first), 'x', 'lower',
               f'CPU time of the server a picture of the one who stays; {where}'),
    ]  # fmt: skip


def metric(key: str, value: float, unit: str, better: str, conditions: str) -> Metric:
    return Metric(f'xr.soak.{key}', value, unit, better, conditions, COMMAND)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.xr_soak', description=__doc__)
    parser.add_argument('--minutes', type=float, default=60.0)
    args = parser.parse_args()
    options = ('port:=0', f'view_height:={_HEIGHT}', f'max_fps:={_FPS}', 'max_clients:=16')
    command = [sys.executable, '-m', 'benchmarks.xr_node', '--ros-args', '--log-level', 'error']
    for option in options:
        command += ['-p', option]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            log, came = asyncio.run(soak(url, process.pid, args.minutes * 60))
        finally:
            process.kill()
    write_results('xr_soak', metrics_of(log, came))


if __name__ == '__main__':
    main()
