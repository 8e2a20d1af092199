# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The web server of XR clients: page, WebSocket and MJPEG address, in a thread of its own."""

import asyncio
import functools
import hashlib
import logging
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web
from torch import Tensor

from avatar_ros.streaming.jpeg import encode_jpeg
from avatar_ros.streaming.xr import protocol
from avatar_ros.streaming.xr.access import Access
from avatar_ros.streaming.xr.hub import Hub
from avatar_ros.streaming.xr.protocol import Eyes, ProtocolError
from avatar_ros.streaming.xr.viewers import WINDOW, Allowance, Viewer
from avatar_ros.streaming.xr.viewport import in_scene
from avatar_ros.types import FloatArray, Image

logger = logging.getLogger(__name__)

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
_TYPES = {
    '.js': 'text/javascript',
    '.css': 'text/css',
    '.html': 'text/html',
    '.svg': 'image/svg+xml',
}
_HELLO_S = 5.0
_WARN_S = 1.0
_CAMERA_S = 0.2
#: Of the avatar's file, when as many clients as may come have had it.
_LOADS_PER_S = 1.0
_BOUNDARY = 'frame'
#: Radius of the sphere that fills the page's first view, per metre of distance (40 degrees high).
_SPHERE = 0.317


@dataclass(eq=False)
class _Connection:
    viewer: Viewer
    socket: web.WebSocketResponse
    outbox: 'asyncio.Queue[bytes | str]'
    bytes_before: int = 0
    sent_before: int = 0
    skipped_before: int = 0


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
        self.access, self.port, self.avatar, self.fps = access, port, avatar, fps
        self._first_view = first_view
        self.hub = Hub(self._send, height=height, fps=fps, max_pixels_per_s=max_pixels_per_s)
        self.refused: Counter[str] = Counter()
        """What was turned away, by reason."""
        self._rig = rig
        self._rig_key = hashlib.sha256(rig).hexdigest()[:16] if rig else ''
        self._lanes = tuple(lane for lane in protocol.LANES if rig or lane != 'pose')
        self._poses_allowed = True
        self._loads = Allowance(_LOADS_PER_S, float(max_clients))
        self._tls, self._max_clients, self._on_eyes = tls, max_clients, on_eyes
        self._connections: dict[Viewer, _Connection] = {}
        self._centre = np.zeros(3)
        self._age_ms = 0.0
        self._graph: dict[str, object] = {}
        self._camera: bytes | None = None
        self._camera_at_s = 0.0
        self._warned_s = -_WARN_S
        self._mjpeg: set[asyncio.Queue[bytes]] = set()
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
        return bool(self._mjpeg)

    def camera_watched(self) -> bool:
        """A desktop page would show what the tracker sees, and it is time for the next picture."""
        if time.monotonic() - self._camera_at_s < _CAMERA_S:
            return False
        return any(v.hello.mode == 'desktop' for v in list(self._connections))

    def show_camera(self, rgb: Image) -> None:
        """What the tracker sees (H, W, 3), for desktop pages."""
        self._camera_at_s = time.monotonic()
        message = protocol.camera_picture(encode_jpeg(rgb, 70))
        self._loop.call_soon_threadsafe(self._send_camera, message)

    def show_mjpeg(self, rgb: Image | Tensor) -> None:
        """The default view (H, W, 3) of uint8, for the MJPEG address."""
        jpeg = encode_jpeg(rgb)
        self._loop.call_soon_threadsafe(self._send_mjpeg, jpeg)

    def tell(self, points: FloatArray, age_ms: float) -> None:
        """Where the avatar is (n, 3), stage frame, and how old its pose was when it was drawn."""
        self._centre = (points.min(0) + points.max(0)) / 2
        self._age_ms = age_ms

    def allow_poses(self, allowed: bool) -> None:
        """Several avatars come as pictures: clients change over, and back when one is alone."""
        if allowed != self._poses_allowed:
            self._poses_allowed = allowed
            self._loop.call_soon_threadsafe(self._change_lanes)

    def tell_graph(self, summary: Mapping[str, object]) -> None:
        """How the rest of the graph does; desktop pages show it."""
        self._graph = dict(summary)

    def numbers(self) -> list[dict[str, object]]:
        """What each client was told last second."""
        return [dict(n) for n in self._numbers]

    _numbers: tuple[dict[str, object], ...] = ()

    def _send(self, viewer: Viewer, message: bytes) -> None:
        self._loop.call_soon_threadsafe(self._post, viewer, message)

    # -- in the server's thread --------------------------------------------------------------

    def _post(self, viewer: Viewer, message: bytes | str) -> None:
        connection = self._connections.get(viewer)
        if connection is not None:
            connection.outbox.put_nowait(message)

    def _lane_for(self, viewer: Viewer) -> protocol.Lane:
        """The first that it named and that can be had now."""
        pictures = [lane for lane in viewer.hello.lanes if lane != 'pose']
        return viewer.hello.lanes[0] if self._poses_allowed or not pictures else pictures[0]

    def _change_lanes(self) -> None:
        for viewer in self._connections:
            lane = self._lane_for(viewer)
            if viewer.hello.lanes[0] == 'pose' and lane != viewer.lane:
                self.hub.change_lane(viewer, lane)
                self._post(viewer, protocol.text('lane', lane=lane))

    def _send_camera(self, message: bytes) -> None:
        for viewer, connection in self._connections.items():
            # A picture that waits is old; the next comes soon.
            if viewer.hello.mode == 'desktop' and connection.outbox.empty():
                connection.outbox.put_nowait(message)

    def _send_mjpeg(self, jpeg: bytes) -> None:
        for queue in self._mjpeg:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(jpeg)

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
            web.get('/', self._page),
            web.get('/xr', self._live),
            web.get('/xr/static/{name}', self._static),
            web.get('/xr/avatar', self._avatar),
            web.get('/avatar.mjpeg', self._stream_mjpeg),
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
        telling = asyncio.ensure_future(self._tell_numbers())
        await self._closing.wait()
        telling.cancel()
        for connection in list(self._connections.values()):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)
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
            error.headers.update(_headers())
            raise
        return response

    async def _page(self, request: web.Request) -> web.StreamResponse:
        if self.access.check_page(request):
            # Out of the address and so out of the history; only the cookie holds it then.
            lane = request.query.get('lane', '')
            moved = web.HTTPSeeOther(f'/?lane={lane}' if lane in protocol.LANES else '/')
            moved.headers.update(_headers())
            self.access.remember(moved, secure=request.secure)
            raise moved
        return web.Response(body=_asset('index.html'), content_type='text/html', headers=_headers())

    async def _static(self, request: web.Request) -> web.StreamResponse:
        self.access.check_page(request)
        name = request.match_info['name']
        kind = _TYPES.get(Path(name).suffix)
        if kind is None or name not in _asset_names():
            raise web.HTTPNotFound(text='no such file')
        return web.Response(body=_asset(name), content_type=kind, headers=_headers())

    async def _avatar(self, request: web.Request) -> web.StreamResponse:
        """The avatar's file: who may have the page may have it, and not again and again."""
        self.access.check_page(request)
        if not self._rig:
            raise web.HTTPNotFound(text='this avatar comes as pictures only')
        if not self._loads.take(time.monotonic()):
            raise web.HTTPTooManyRequests(text='the avatar is being sent too often; try again soon')
        return web.Response(
            body=self._rig, content_type='application/octet-stream', headers=_headers()
        )

    async def _live(self, request: web.Request) -> web.StreamResponse:
        self.access.check_socket(request)
        if len(self._connections) >= self._max_clients:
            raise web.HTTPServiceUnavailable(text=f'{self._max_clients} viewers are here already.')
        socket = web.WebSocketResponse(
            max_msg_size=protocol.MAX_MESSAGE_BYTES, heartbeat=10.0, compress=False
        )
        await socket.prepare(request)
        try:
            viewer = await self._greet(socket)
        except (ProtocolError, asyncio.TimeoutError) as error:
            await self._dismiss(socket, f'{error or "no hello came"}')
            return socket
        connection = self._connections[viewer]
        sender = asyncio.ensure_future(self._drain(connection))
        try:
            async for message in socket:
                if not self._receive(viewer, message):
                    break
        except ProtocolError as error:
            await self._dismiss(socket, str(error))
        finally:
            self._connections.pop(viewer, None)
            self.hub.leave(viewer)
            sender.cancel()
        return socket

    async def _greet(self, socket: web.WebSocketResponse) -> Viewer:
        first = await socket.receive(timeout=_HELLO_S)
        if first.type != WSMsgType.TEXT:  # what it is may be somebody's eyes: not repeated
            raise ProtocolError('the first message is not text')
        message = protocol.parse_text(first.data)
        if message['type'] != 'hello':
            raise ProtocolError('the first message is not a hello')
        viewer = Viewer(protocol.parse_hello(message, self._lanes))
        viewer.lane = self._lane_for(viewer)
        await socket.send_str(
            protocol.text(
                'welcome', version=protocol.VERSION, client_id=viewer.id, lane=viewer.lane,
                fps=self.fps, window=WINDOW, avatar=self.avatar,
                center=in_scene(self._first_middle()).tolist(),
                radius=self._first_view[0] * _SPHERE, rig=self._rig_key,
            )
        )  # fmt: skip
        self._connections[viewer] = _Connection(viewer, socket, asyncio.Queue())
        self.hub.join(viewer)
        return viewer

    def _first_middle(self) -> FloatArray:
        """Where a desktop looks at first, stage frame."""
        x, y, _ = self._centre
        return np.array([x, y, self._first_view[1]])

    async def _dismiss(self, socket: web.WebSocketResponse, reason: str) -> None:
        # What strangers send must not become ever new keys, nor fill the log.
        self.refused[re.sub(r'[\d.e+-]+|\'.*\'', '#', reason)[:60]] += 1
        now_s = time.monotonic()
        if now_s - self._warned_s > _WARN_S:
            self._warned_s = now_s
            logger.warning('a client was turned away: %s', reason)
        if not socket.closed:
            await socket.send_str(protocol.text('error', message=reason))
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason[:100].encode())

    async def _drain(self, connection: _Connection) -> None:
        while True:
            message = await connection.outbox.get()
            try:
                if isinstance(message, str):
                    await connection.socket.send_str(message)
                else:
                    await connection.socket.send_bytes(message)
            except (ConnectionError, RuntimeError):
                return  # it went away; the receiving end notices too

    def _receive(self, viewer: Viewer, message: WSMessage) -> bool:
        """False if the client says goodbye.

        :raises ProtocolError: if no client of ours would say this.
        """
        now_s = time.monotonic()
        viewer.spend(now_s)
        if message.type == WSMsgType.BINARY:
            heard = protocol.parse_binary(message.data)
            if isinstance(heard, Eyes):
                if heard.wants_pong:
                    self._post(viewer, protocol.pong(heard.t_client_ms, now_s * 1e3))
                self.hub.see(viewer, heard, now_s)
                self._on_eyes()
            else:
                self.hub.acknowledge(viewer, heard, now_s)
            return True
        if message.type != WSMsgType.TEXT:
            return False
        command = protocol.parse_text(message.data)
        if command['type'] == 'key':
            self.hub.ask_key(viewer, now_s)
        elif command['type'] == 'hello':
            viewer.spend_change(now_s)
            self.hub.greet_again(viewer, protocol.parse_hello(command, self._lanes))
        elif command['type'] == 'lane':
            viewer.spend_change(now_s)
            lane = command.get('lane')
            if lane not in viewer.hello.lanes:
                raise ProtocolError(f'lane {str(lane)[:20]!r} was not in hello')
            # Its own choice comes first from now.
            others = tuple(other for other in viewer.hello.lanes if other != lane)
            viewer.hello = replace(viewer.hello, lanes=(lane, *others))
            self.hub.change_lane(viewer, lane)
            self._post(viewer, protocol.text('lane', lane=lane))
        return bool(command['type'] != 'bye')

    async def _tell_numbers(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            told = []
            for viewer, connection in self._connections.items():
                told.append(self._numbers_of(connection))
                desktop = viewer.hello.mode == 'desktop'
                graph = self._graph if desktop else {}
                self._post(viewer, protocol.text('numbers', **told[-1], **graph))
            self._numbers = tuple(told)

    def _numbers_of(self, connection: _Connection) -> dict[str, object]:
        viewer = connection.viewer
        trips = sorted(viewer.round_trips_ms)
        width, height = self.hub.size_of(viewer)
        numbers: dict[str, object] = {
            'client_id': viewer.id,
            'lane': viewer.lane,
            'mode': viewer.hello.mode,
            'fps': viewer.sent - connection.sent_before,
            'skipped': viewer.skipped - connection.skipped_before,
            'kbit_s': round((viewer.bytes - connection.bytes_before) * 8e-3),
            'round_trip_ms': round(trips[len(trips) // 2], 1) if trips else None,
            'pose_age_ms': round(self._age_ms, 1),
            'width': width,
            'height': height,
            'clients': len(self._connections),
        }
        connection.sent_before, connection.bytes_before = viewer.sent, viewer.bytes
        connection.skipped_before = viewer.skipped
        return numbers

    async def _stream_mjpeg(self, request: web.Request) -> web.StreamResponse:
        """``multipart/x-mixed-replace``: what an <img> or a dashboard shows."""
        self.access.check_page(request)
        if len(self._mjpeg) >= self._max_clients:
            raise web.HTTPServiceUnavailable(text=f'{self._max_clients} viewers are here already.')
        response = web.StreamResponse(headers={
            **_headers(), 'Content-Type': f'multipart/x-mixed-replace; boundary={_BOUNDARY}',
        })  # fmt: skip
        queue: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._mjpeg.add(queue)
        try:
            await response.prepare(request)
            while not self._closing.is_set():
                try:
                    jpeg = await asyncio.wait_for(queue.get(), 1.0)
                except asyncio.TimeoutError:
                    continue
                head = f'--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}'
                await response.write(f'{head}\r\n\r\n'.encode() + jpeg + b'\r\n')
        except ConnectionError:
            pass
        finally:
            self._mjpeg.discard(queue)
        return response


def _headers() -> dict[str, str]:
    return {
        'Content-Security-Policy': _POLICY,
        'Cache-Control': 'no-store',
        'Referrer-Policy': 'no-referrer',
        'X-Content-Type-Options': 'nosniff',
        'Permissions-Policy': 'xr-spatial-tracking=(self), camera=(), microphone=()',
    }


@functools.cache
def _asset_names() -> frozenset[str]:
    folder = files('avatar_ros.streaming') / 'page' / 'xr'
    return frozenset(entry.name for entry in folder.iterdir())


def _asset(name: str) -> bytes:
    return (files('avatar_ros.streaming') / 'page' / 'xr' / name).read_bytes()
