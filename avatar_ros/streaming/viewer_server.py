# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The web server behind the viewer page: JPEG pictures and numbers out, camera drags in.

One WebSocket a client. Binary messages are one byte of channel number and a JPEG; text messages
are JSON. Each client gets the newest picture of a channel when it is ready for one: nothing
queues. A picture is encoded once for all clients, and only while somebody watches.
"""

import asyncio
import json
import logging
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import cv2
from aiohttp import WSMsgType, web

from avatar_ros.streaming.jpeg import encode_jpeg
from avatar_ros.types import Image

logger = logging.getLogger(__name__)

CHANNELS = ('camera', 'avatar')
_MAX_MESSAGE_BYTES = 1024
_MAX_CLIENTS = 8
_LOOPBACK = ('127.0.0.1', 'localhost', '::1')


class ViewerServer:
    """Runs in a thread of its own between `start` and `stop`."""

    def __init__(
        self,
        *,
        host: str = '127.0.0.1',
        port: int = 8080,
        jpeg_quality: int = 80,
        on_view: Callable[[dict[str, float]], None] | None = None,
    ) -> None:
        self.host, self.port = host, port
        self._quality = jpeg_quality
        self._on_view = on_view
        self._pictures: dict[str, tuple[int, Image]] = {}
        self._jpegs: dict[str, tuple[int, bytes]] = {}
        self._numbers: tuple[int, str] = (0, '{}')
        self._clients: set[_Client] = set()
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix='viewer_jpeg')
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name='viewer', daemon=True)
        self._started: threading.Event = threading.Event()
        self._error: OSError | None = None

    # -- called from other threads -----------------------------------------------------------

    def start(self) -> None:
        """Serve; `port` then holds the real port.

        :raises OSError: if the port cannot be had.
        """
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            raise OSError(
                f'the viewer cannot listen on {self.host}:{self.port} ({self._error}). '
                'Another program uses that port; choose one with port:=8081, or 0 for any.'
            )

    def stop(self) -> None:
        """End all connections and the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join(timeout=5.0)
        self._encoder.shutdown(wait=False)

    @property
    def url(self) -> str:
        return f'http://{self.host}:{self.port}/'

    def watched(self) -> bool:
        """At least one page is open."""
        return bool(self._clients)

    def show(self, channel: str, rgb: Image) -> None:
        """The newest picture (H, W, 3) of a channel; the array must not change afterwards."""
        version = self._pictures.get(channel, (0, rgb))[0] + 1
        self._pictures[channel] = version, rgb
        self._wake()

    def tell(self, numbers: dict[str, Any]) -> None:
        """The newest numbers for the page."""
        self._numbers = self._numbers[0] + 1, json.dumps(numbers)
        self._wake()

    def _wake(self) -> None:
        if self._clients:
            self._loop.call_soon_threadsafe(self._wake_clients)

    # -- in the server's thread --------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._closing = asyncio.Event()
        app = web.Application()
        app.add_routes([web.get('/', self._page), web.get('/live', self._live)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.host, self.port)
            await site.start()
            self.port = runner.addresses[0][1]
        except (OSError, ValueError) as error:  # a taken port, a name that is none
            self._error = OSError(str(error))
            self._closing.set()
        self._started.set()
        await self._closing.wait()
        for client in list(self._clients):
            await client.socket.close()
        await runner.cleanup()

    def _wake_clients(self) -> None:
        for client in self._clients:
            client.news.set()

    async def _page(self, request: web.Request) -> web.Response:
        self._check_host(request)
        page = files('avatar_ros.streaming') / 'page' / 'viewer.html'
        headers = {
            'Cache-Control': 'no-store',
            'X-Content-Type-Options': 'nosniff',
            'Content-Security-Policy': "default-src 'none'; img-src blob: data:; "
            "connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'",
        }
        return web.Response(text=page.read_text(), content_type='text/html', headers=headers)

    def _check_host(self, request: web.Request) -> None:
        """On loopback only its own names count, so that no site can point its name here."""
        name = request.host.rsplit(':', 1)[0].strip('[]')
        if self.host in _LOOPBACK and name not in _LOOPBACK:
            raise web.HTTPForbidden(text=f'this page is not called {name}')

    async def _live(self, request: web.Request) -> web.StreamResponse:
        self._check_host(request)
        origin = request.headers.get('Origin', '')
        if origin and origin.partition('://')[2] != request.host:
            raise web.HTTPForbidden(text='pages of other sites may not watch')
        if len(self._clients) >= _MAX_CLIENTS:
            raise web.HTTPServiceUnavailable(text=f'{_MAX_CLIENTS} pages are open already')
        socket = web.WebSocketResponse(
            max_msg_size=_MAX_MESSAGE_BYTES,
            heartbeat=10.0,
            compress=False,  # JPEGs do not get smaller
        )
        await socket.prepare(request)
        client = _Client(socket)
        self._clients.add(client)
        sender = asyncio.ensure_future(self._send(client))
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._receive(message.data)
        finally:
            self._clients.discard(client)
            sender.cancel()
        return socket

    def _receive(self, text: str) -> None:
        try:
            view = json.loads(text)
            numbers = {key: float(view[key]) for key in ('azimuth', 'elevation', 'distance')}
            if not all(math.isfinite(value) for value in numbers.values()):
                raise ValueError(f'{numbers} is not finite')
            if self._on_view is not None:
                self._on_view(numbers)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            logger.warning('a page sent a view that is not valid: %s', error)

    async def _send(self, client: '_Client') -> None:
        while True:
            await client.news.wait()
            client.news.clear()
            version, text = self._numbers
            if client.sent.get('numbers') != version:
                client.sent['numbers'] = version
                await client.socket.send_str(text)
            for number, channel in enumerate(CHANNELS):
                picture = self._pictures.get(channel)
                if picture is None or client.sent.get(channel) == picture[0]:
                    continue
                try:
                    version, jpeg = await self._jpeg(channel)
                except (ValueError, cv2.error) as error:
                    client.sent[channel] = picture[0]
                    logger.error('a picture of %s was left out: %s', channel, error)
                    continue
                client.sent[channel] = version
                await client.socket.send_bytes(bytes([number]) + jpeg)

    async def _jpeg(self, channel: str) -> tuple[int, bytes]:
        """The newest picture of the channel as (version, JPEG), encoded once for all clients."""
        version, rgb = self._pictures[channel]
        if self._jpegs.get(channel, (0, b''))[0] < version:
            jpeg = await self._loop.run_in_executor(self._encoder, encode_jpeg, rgb, self._quality)
            self._jpegs[channel] = version, jpeg
        return self._jpegs[channel]


class _Client:
    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.news = asyncio.Event()
        self.news.set()
        self.sent: dict[str, int] = {}
