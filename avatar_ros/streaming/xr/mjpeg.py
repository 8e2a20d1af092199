# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The default view as ``multipart/x-mixed-replace``: JPEG after JPEG, always the newest."""

import asyncio

from aiohttp import web

from avatar_ros.streaming.xr.page import headers

_BOUNDARY = 'frame'


class MjpegStream:
    """All who have the MJPEG address open. Methods run in the server's thread, but for `len`."""

    def __init__(self) -> None:
        self.closed = False
        self._queues: set[asyncio.Queue[bytes]] = set()

    def __len__(self) -> int:
        return len(self._queues)

    def send(self, jpeg: bytes) -> None:
        """To all; who has not taken the last picture misses it."""
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(jpeg)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Send to one client, an <img> or a dashboard, until it goes."""
        response = web.StreamResponse(headers={
            **headers(), 'Content-Type': f'multipart/x-mixed-replace; boundary={_BOUNDARY}',
        })  # fmt: skip
        queue: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._queues.add(queue)
        try:
            await response.prepare(request)
            while not self.closed:
                try:
                    jpeg = await asyncio.wait_for(queue.get(), 1.0)
                except asyncio.TimeoutError:
                    continue
                head = f'--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}'
                await response.write(f'{head}\r\n\r\n'.encode() + jpeg + b'\r\n')
        except ConnectionError:
            pass
        finally:
            self._queues.discard(queue)
        return response
