# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Clients without a browser, who acknowledge every frame at once: see `benchmarks.xr`."""

import asyncio
import json
import struct
import time
from typing import Any

import aiohttp

from benchmarks.xr_glass import Served
from benchmarks.xr_scene import stereo_eyes
from benchmarks.xr_wire import eyes_message

_SECONDS, _WARM_UP_S = 8.0, 2.0


def many_clients(count: int) -> dict[str, Any]:
    """CPU time a second of the server; milliseconds and frames a second of each client."""
    with Served('ours') as served:
        return asyncio.run(_watch(served, count))


async def _watch(served: Served, count: int) -> dict[str, Any]:
    seen: list[list[tuple[float, float]]] = [[] for _ in range(count)]
    tasks = [asyncio.ensure_future(_client(served.url, frames)) for frames in seen]
    await asyncio.sleep(_WARM_UP_S)
    begin, cpu_s = time.time() * 1e3, served.cpu_s()
    await asyncio.sleep(_SECONDS)
    used = served.cpu_s() - cpu_s
    for task in tasks:
        task.cancel()
    kept = [[late for at, late in frames if at > begin] for frames in seen]
    return {
        'seconds': _SECONDS,
        'cpu': used / _SECONDS,
        'latency_ms': kept,
        'fps': [len(late) / _SECONDS for late in kept],
    }


async def _client(url: str, frames: list[tuple[float, float]]) -> None:
    base = url.partition('/?')[0]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(url):
            pass
        socket = await session.ws_connect(f'{base}/xr', headers={'Origin': base})
        hello = {'type': 'hello', 'version': 1, 'lanes': ['h264'], 'mode': 'vr', 'height': 480}
        await socket.send_str(json.dumps(hello))
        await socket.send_bytes(eyes_message(1, stereo_eyes()))
        async for message in socket:
            if message.type == aiohttp.WSMsgType.BINARY and message.data[0] == 16:
                frame_id, (sample,) = message.data[8:12], struct.unpack_from('<d', message.data, 16)
                await socket.send_bytes(b'\x02\0\0\0' + frame_id)
                now = time.time() * 1e3
                frames.append((now, now - sample))
