# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Ours and the rivals, each serving the same moving avatar at 1280x720 and 30 frames a second.

Run as `python -m benchmarks.xr_servers KIND [HOST]`; prints its address, then waits for its
standard input to end and prints the time at which each frame was there to be sent, as JSON.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from aiohttp import web

from avatar_ros.streaming.xr.access import Access
from avatar_ros.streaming.xr.packing import Layers
from avatar_ros.streaming.xr.server import XrServer
from avatar_ros.types import Image
from benchmarks.xr_scene import FPS, MovingAvatar, stereo_eyes

WIDTH, HEIGHT = 1280, 720
_PAGE = Path(__file__).parent / 'pages' / 'rival.html'
_FRAMES = 60


def stamp(rgb: Image, number: int) -> None:
    """Paint 22 cells: one white, twenty bits, their parity."""
    bits = [1, *((number >> k) & 1 for k in range(20))]
    for k, bit in enumerate([*bits, sum(bits[1:]) & 1]):
        rgb[:16, 16 * k : 16 * k + 16] = 255 * bit


def forth_and_back(count: int) -> list[int]:
    """Indices that never jump."""
    return [*range(count), *range(count - 2, 0, -1)]


class Pace:
    """Frames at the right times, and when each was there."""

    def __init__(self) -> None:
        self.t0: dict[int, float] = {}
        self.bytes = 0
        self._next = time.monotonic()

    def wait(self) -> float:
        """Seconds until the next frame is due."""
        self._next = max(self._next + 1 / FPS, time.monotonic() - 0.1)
        return max(0.0, self._next - time.monotonic())


class Ours(Pace):
    """The real server; only the renderer is a list of pictures drawn before."""

    def __init__(self) -> None:
        super().__init__()
        avatar = MovingAvatar(_FRAMES)
        self._layers: list[list[Layers]] = []
        for k in range(_FRAMES):
            avatar.pose(k)
            self._layers.append(avatar.draw(avatar.locked(stereo_eyes(), 640, 480)))
        self._points = avatar.player.outline()
        host = sys.argv[2] if len(sys.argv) > 2 else '127.0.0.1'
        self.server = XrServer(Access(host), port=0, height=480, max_pixels_per_s=1e9)
        self.server.start()
        self.url = self.server.url()
        self._drawn = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        order = forth_and_back(_FRAMES)
        tick = 0
        while True:
            time.sleep(self.wait())
            tick += 1
            for work in self.server.hub.work(self._points, time.monotonic()):
                # The size of the comparison, whatever shape the avatar has.
                work = replace(work, cameras=tuple(c.scaled(640, 480) for c in work.cameras))
                layers = self._layers[order[tick % len(order)]][: len(work.cameras)]
                first = work.members[0]
                now_ms = time.time() * 1e3
                self.t0[first.next_frame_id] = now_ms
                self.server.hub.finish(work, layers, now_ms, 0.0, time.monotonic)
                self.bytes = first.bytes


class Pictures(Pace):
    """Side by side pictures for the rivals."""

    def __init__(self) -> None:
        super().__init__()
        avatar = MovingAvatar(_FRAMES)
        self.pictures = []
        for k in range(_FRAMES):
            avatar.pose(k)
            views = avatar.draw(avatar.locked(stereo_eyes(), 640, 720))
            rgb = np.concatenate([np.clip(v.colors[..., :3], 0, 1) for v in views], 1)
            self.pictures.append((rgb * 255).astype(np.uint8))
        self._order = forth_and_back(_FRAMES)
        self.number = 0

    def next(self) -> Image:
        """The next picture with its number painted in."""
        self.number += 1
        rgb = self.pictures[self._order[self.number % len(self._order)]].copy()
        stamp(rgb, self.number)
        self.t0[self.number] = time.time() * 1e3
        return rgb


class Rival(Pictures):
    """An aiohttp server with MJPEG as web_video_server sends it, and aiortc as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.url = ''
        self._started = threading.Event()
        self._queues: set[asyncio.Queue[bytes]] = set()
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._started.wait()

    async def _serve(self) -> None:
        app = web.Application()
        app.add_routes([
            web.get('/', self._page), web.get('/mjpeg', self._mjpeg),
            web.post('/offer', self._offer),
        ])  # fmt: skip
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, '127.0.0.1', 0).start()
        self.url = f'http://127.0.0.1:{runner.addresses[0][1]}/?kind={sys.argv[1]}'
        self._started.set()
        if sys.argv[1] == 'mjpeg':
            await self._jpegs()
        await asyncio.Event().wait()

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=_PAGE.read_text(), content_type='text/html')

    async def _jpegs(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.wait())
            if self._queues:
                jpeg = await loop.run_in_executor(None, self._jpeg)
                for queue in self._queues:
                    if queue.full():
                        queue.get_nowait()
                    queue.put_nowait(jpeg)

    def _jpeg(self) -> bytes:
        bgr = cv2.cvtColor(self.next(), cv2.COLOR_RGB2BGR)
        return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()

    async def _mjpeg(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={'Content-Type': 'multipart/x-mixed-replace; boundary=frame'}
        )
        await response.prepare(request)
        queue: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._queues.add(queue)
        try:
            while True:
                jpeg = await queue.get()
                self.bytes += len(jpeg)
                head = f'--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}'
                await response.write(f'{head}\r\n\r\n'.encode() + jpeg + b'\r\n')
        finally:
            self._queues.discard(queue)

    async def _offer(self, request: web.Request) -> web.Response:
        import av
        from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack

        rival = self

        class Track(VideoStreamTrack):  # type: ignore[misc]
            async def recv(self) -> Any:
                pts, time_base = await self.next_timestamp()
                frame = av.VideoFrame.from_ndarray(rival.next(), format='rgb24')
                frame.pts, frame.time_base = pts, time_base
                return frame

        peer = RTCPeerConnection()
        peer.addTrack(Track())
        body = await request.json()
        await peer.setRemoteDescription(RTCSessionDescription(body['sdp'], body['type']))
        await peer.setLocalDescription(await peer.createAnswer())
        self._peer = peer
        local = peer.localDescription
        return web.json_response({'sdp': local.sdp, 'type': local.type})


def main() -> None:
    cv2.setNumThreads(1)
    make: dict[str, Callable[[], Any]] = {
        'ours': lambda: Ours(),
        'ours_vr': lambda: Ours(),
        'mjpeg': Rival,
        'aiortc': Rival,
        'floor': Rival,
    }
    server = make[sys.argv[1]]()
    print(server.url, flush=True)
    sys.stdin.read()
    print(json.dumps({'t0': server.t0, 'bytes': server.bytes}), flush=True)


if __name__ == '__main__':
    main()
