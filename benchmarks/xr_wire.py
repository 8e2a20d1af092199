# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The XR server under bad clients, and pictures against their headers: see `benchmarks.xr`."""

import asyncio
import gc
import json
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import av
import numpy as np

from avatar_ros.streaming.xr.access import Access
from avatar_ros.streaming.xr.hub import Hub
from avatar_ros.streaming.xr.packing import Layers
from avatar_ros.streaming.xr.protocol import Eyes, Hello
from avatar_ros.streaming.xr.server import XrServer
from avatar_ros.streaming.xr.viewers import Viewer
from avatar_ros.types import FloatArray, Image
from benchmarks.xr_scene import stereo_eyes

_HELLO = json.dumps({
    'type': 'hello', 'version': 1, 'lanes': ['pose', 'h264'], 'mode': 'vr', 'height': 64,
})  # fmt: skip
_COMMANDS = ('{"type": "key"}', '{"type": "bye"}', '{"type": "lane", "lane": "h264"}')
_MESSAGES_A_CONNECTION = 50
#: aiohttp keeps a closed connection until its heartbeat (10 s) and the answer to it (5 s) are due.
_FORGOTTEN_S = 16.0
_PERSON = np.array([[x, y, z] for x in (-0.2, 0.2) for y in (-0.5, 0.5) for z in (0.0, 1.8)])
#: Blocks of a number painted into a picture: large enough to survive any bit rate.
_BLOCK, _BITS = 8, 16


def resident_mb() -> float:
    """Memory of this process that is in RAM now."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * 4096 / 1e6


def eyes_message(view_id: int, views: FloatArray) -> bytes:
    """EYES as the page sends it."""
    header = np.zeros(32, np.uint8)
    header[:2] = 1, len(views)
    header[4:8] = np.frombuffer(np.uint32(view_id).tobytes(), np.uint8)
    return header.tobytes() + views.astype('<f4').tobytes()


@dataclass
class Fuzzed:
    """What became of a server that was sent nonsense."""

    sent: int = 0
    turned_away: int = 0
    grown_mb: float = 0.0
    """What the second half of the messages left, when closed connections are forgotten."""
    held_mb: float = 0.0
    """The most that was held meanwhile, by connections that are not yet forgotten."""
    alive: bool = False


def fuzz(messages: int = 100_000, seed: int = 0) -> Fuzzed:
    """Random and mutated messages, many connections, then an honest client."""
    server = XrServer(Access('127.0.0.1'), port=0, height=64, max_clients=4, rig=bytes(1000))
    server.start()
    try:
        return asyncio.run(_fuzz(server, messages, np.random.default_rng(seed)))
    finally:
        server.stop()


async def settled_mb() -> float:
    """Memory when what is only waiting to be freed is: connections refer to themselves."""
    await asyncio.sleep(_FORGOTTEN_S)
    gc.collect()
    return resident_mb()


async def _fuzz(server: XrServer, messages: int, rng: np.random.Generator) -> Fuzzed:
    result = Fuzzed()
    base = f'http://127.0.0.1:{server.port}'
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(server.url()) as response:
            assert response.status == 200
        before = 0.0
        while result.sent < 2 * messages:
            if before == 0.0 and result.sent >= messages:
                before = await settled_mb()  # as many before, which fill caches and pools
            socket = await session.ws_connect(f'{base}/xr', headers={'Origin': base})
            try:
                if rng.random() < 0.9:
                    await socket.send_str(_HELLO)
                for _ in range(_MESSAGES_A_CONNECTION):
                    result.sent += 1
                    await _send_nonsense(socket, rng)
            except (ConnectionError, aiohttp.ClientError):
                pass  # turned away while it was still talking
            await socket.close()
        result.held_mb = resident_mb() - before
        result.grown_mb = await settled_mb() - before
        result.turned_away = sum(server.refused.values())
        socket = await session.ws_connect(f'{base}/xr', headers={'Origin': base})
        await socket.send_str(_HELLO)
        welcome = json.loads(await socket.receive_str(timeout=5))
        result.alive = welcome['type'] == 'welcome'
    return result


async def _send_nonsense(
    socket: 'aiohttp.ClientWebSocketResponse', rng: np.random.Generator
) -> None:
    kind = rng.integers(4)
    if kind == 0:
        await socket.send_bytes(rng.bytes(int(rng.integers(0, 300))))
    elif kind == 1:
        good = bytearray(eyes_message(int(rng.integers(1 << 31)), stereo_eyes()))
        for _ in range(int(rng.integers(0, 4))):
            good[rng.integers(len(good))] = rng.integers(256)
        await socket.send_bytes(bytes(good))
    elif kind == 2:
        text = bytearray(rng.choice([_HELLO, *_COMMANDS]).encode())
        text[rng.integers(len(text))] = rng.integers(32, 127)
        await socket.send_str(text.decode())
    else:
        await socket.send_bytes(b'\x02\0\0\0' + rng.bytes(4))


def mismatches(frames: int = 10_000) -> int:
    """Pictures whose content is not that of the eyes that their header names."""
    got: list[bytes] = []
    hub = Hub(lambda viewer, data: got.append(data), height=64, max_pixels_per_s=1e12)
    viewer = Viewer(Hello(('h264',), 'vr', 64))
    hub.join(viewer)
    decoder, wrong, views = av.CodecContext.create('h264', 'r'), 0, stereo_eyes()[:1]
    now_s = 0.0
    for k in range(1, frames + 1):
        now_s += 1 / 72
        views[0, 0] = 0.3 * np.sin(k / 30)
        hub.see(viewer, Eyes(k, now_s * 1e3, now_s * 1e3, k - 1, k - 1, False, views), now_s)
        for work in hub.work(_PERSON, now_s):
            camera = work.cameras[0]
            layers = [painted(work.view_ids[0], camera.width, camera.height)]
            hub.finish(work, layers, 0.0, 0.0, lambda now=now_s: now)
        if not got:
            wrong += 1
            continue
        data = got.pop()
        length, frame_id, view_id = (
            int.from_bytes(data[4:6], 'little'),
            int.from_bytes(data[8:12], 'little'),
            int.from_bytes(data[12:16], 'little'),
        )
        (picture,) = decoder.decode(av.Packet(data[length:]))
        wrong += read_number(picture.to_ndarray(format='gray')) != view_id % (1 << _BITS)
        wrong += frame_id != k or view_id != k
        hub.acknowledge(viewer, frame_id, now_s)
    return wrong


def painted(number: int, width: int, height: int) -> Layers:
    """A picture that shows a number as blocks."""
    colors = np.zeros((height, width, 4), np.float32)
    colors[..., 3] = 1.5
    for k in range(_BITS):
        row, column = divmod(k, width // _BLOCK)
        block = colors[row * _BLOCK : (row + 1) * _BLOCK, column * _BLOCK : (column + 1) * _BLOCK]
        block[..., :3] = (number >> k) & 1
    return Layers(colors, np.ones((height, width), np.float32))


def read_number(grey: Image) -> int:
    """The inverse."""
    number = 0
    for k in range(_BITS):
        row, column = divmod(k, grey.shape[1] // _BLOCK)
        middle = grey[row * _BLOCK + _BLOCK // 2, column * _BLOCK + _BLOCK // 2]
        number |= int(middle > 126) << k
    return number
