# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The web server of XR clients: page, WebSocket and MJPEG address, in a thread of its own."""

import asyncio
import hashlib
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sized

from aiohttp import web
from torch import Tensor

from avatar_ros.streaming.jpeg import encode_jpeg
from avatar_ros.streaming.xr import protocol
from avatar_ros.streaming.xr.access import Access
from avatar_ros.streaming.xr.hub import Hub
from avatar_ros.streaming.xr.mjpeg import MjpegStream
from avatar_ros.streaming.xr.page import Page, headers
from avatar_ros.streaming.xr.sockets import Facts, Sockets
from avatar_ros.streaming.xr.viewers import Viewer
from avatar_ros.types import FloatArray, Image

_CAMERA_S = 0.2


class XrServer:
    """Runs between `start` and `stop`; `hub` says what to draw and takes what was drawn."""

    def __init__(
        self,
        access: Access,
        *,
        port: int = 8080,
        tls: ssl.SSLContext | None = None,
        avatar: str = '',
        first_view: tuple[float, float] = (3.0, 0.95),
        height: int = 464,
        fps: float = 30.0,
        max_clients: int = 8,
        max_pixels_per_s: float = 80e6,
        rig: bytes = b'',
        on_eyes: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_eyes` is called, in the server's thread, when a viewer has moved.

        `rig`: the avatar's file for clients that draw it themselves; without one none does.
        `first_view`: metres from the avatar and height above the floor of a desktop's first view.
        """
        self.access, self.port = access, port
        self.hub = Hub(self._send, height=height, fps=fps, max_pixels_per_s=max_pixels_per_s)
        rig_key = hashlib.sha256(rig).hexdigest()[:16] if rig else ''
        self._facts = Facts(avatar, fps, first_view, rig_key)
        self._sockets = Sockets(self.hub, self._facts, on_eyes)
        self._page = Page(access, rig, max_clients)
        self._mjpeg = MjpegStream()
        self.refused = self._sockets.refused
        """What was turned away, by reason."""
        self._tls, self._max_clients = tls, max_clients
        self._camera_at_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name='xr_server', daemon=True)
        self._started = threading.Event()
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
                f'cannot listen on {self.access.host}:{self.port} ({self._error}). Another '
                'program uses that port; choose one with port:=8081, or 0 for any.'
            )

    def stop(self) -> None:
        """End all connections and the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join(timeout=5.0)

    @property
    def scheme(self) -> str:
        return 'http' if self._tls is None else 'https'

    def url(self, host: str | None = None) -> str:
        """Address of the page, with the token, under one of the names of this machine."""
        name = host or self.access.host
        name = f'[{name}]' if ':' in name else name
        query = f'?token={self.access.token}' if self.access.token else ''
        return f'{self.scheme}://{name}:{self.port}/{query}'

    def watched(self) -> bool:
        """Somebody waits for views."""
        return self.hub.watched()

    def mjpeg_watched(self) -> bool:
        """Somebody has the MJPEG address open."""
        return len(self._mjpeg) > 0

    def camera_watched(self) -> bool:
        """A desktop page would show what the tracker sees, and it is time for the next picture."""
        return time.monotonic() - self._camera_at_s >= _CAMERA_S and self._sockets.desktop()

    def show_camera(self, rgb: Image) -> None:
        """What the tracker sees (H, W, 3), for desktop pages."""
        self._camera_at_s = time.monotonic()
        message = protocol.camera_picture(encode_jpeg(rgb, 70))
        self._loop.call_soon_threadsafe(self._sockets.send_camera, message)

    def show_mjpeg(self, rgb: Image | Tensor) -> None:
        """The default view (H, W, 3) of uint8, for the MJPEG address."""
        self._loop.call_soon_threadsafe(self._mjpeg.send, encode_jpeg(rgb))

    def tell(self, points: FloatArray, age_ms: float) -> None:
        """Where the avatar is (n, 3), stage frame, and how old its pose was when it was drawn."""
        self._facts.centre = (points.min(0) + points.max(0)) / 2
        self._facts.age_ms = age_ms

    def allow_poses(self, allowed: bool) -> None:
        """Several avatars come as pictures: clients change over, and back when one is alone."""
        if allowed != self._sockets.poses_allowed:
            self._sockets.poses_allowed = allowed
            self._loop.call_soon_threadsafe(self._sockets.change_lanes)

    def tell_graph(self, summary: Mapping[str, object]) -> None:
        """How the rest of the graph does; desktop pages show it."""
        self._facts.graph = dict(summary)

    def numbers(self) -> list[dict[str, object]]:
        """What each client was told last second."""
        return [dict(n) for n in self._sockets.numbers]

    def _send(self, viewer: Viewer, message: bytes) -> None:
        self._loop.call_soon_threadsafe(self._sockets.post, viewer, message)

    # -- in the server's thread --------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._closing = asyncio.Event()
        app = web.Application(client_max_size=64 * 1024, middlewares=[self._guard])
        app.add_routes([
            web.get('/', self._page.index),
            web.get('/xr', self._watch),
            web.get('/xr/static/{name}', self._page.static),
            web.get('/xr/avatar', self._page.avatar),
            web.get('/avatar.mjpeg', self._watch_mjpeg),
        ])  # fmt: skip
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.access.host, self.port, ssl_context=self._tls)
            await site.start()
            self.port = runner.addresses[0][1]
        except (OSError, ValueError) as error:  # a taken port, a name that is none
            self._error = OSError(str(error))
            self._closing.set()
        self._started.set()
        telling = asyncio.ensure_future(self._sockets.tell_numbers())
        await self._closing.wait()
        telling.cancel()
        self._mjpeg.closed = True
        await self._sockets.close()
        await runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], object]
    ) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)  # type: ignore[misc]
        except web.HTTPException as error:
            if error.status >= 400:
                self.refused[f'http {error.status}'] += 1
            error.headers.update(headers())
            raise
        return response

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.access.check_socket(request)
        self._check_room(self._sockets)
        return await self._sockets.serve(request)

    async def _watch_mjpeg(self, request: web.Request) -> web.StreamResponse:
        self.access.check_page(request)
        self._check_room(self._mjpeg)
        return await self._mjpeg.serve(request)

    def _check_room(self, viewers: Sized) -> None:
        if len(viewers) >= self._max_clients:
            raise web.HTTPServiceUnavailable(text=f'{self._max_clients} viewers are here already.')
