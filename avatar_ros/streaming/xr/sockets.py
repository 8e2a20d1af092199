# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What clients and server say to each other over WebSockets, from hello to goodbye."""

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from avatar_ros.streaming.xr import protocol
from avatar_ros.streaming.xr.hub import Hub
from avatar_ros.streaming.xr.protocol import Eyes, ProtocolError
from avatar_ros.streaming.xr.viewers import WINDOW, Viewer
from avatar_ros.streaming.xr.viewport import in_scene
from avatar_ros.types import FloatArray

logger = logging.getLogger(__name__)

_HELLO_S = 5.0
_WARN_S = 1.0
#: Radius of the sphere that fills the page's first view, per metre of distance (40 degrees high).
_SPHERE = 0.317


@dataclass
class Facts:
    """What clients are told of the avatar. Other threads may replace a value at any time."""

    avatar: str
    fps: float
    first_view: tuple[float, float]
    """Metres from the avatar, and height above the floor, of a desktop's first view."""
    rig_key: str
    """Names the avatar's file; empty if clients cannot draw it."""
    centre: FloatArray = field(default_factory=lambda: np.zeros(3))
    """Of the avatar, stage frame."""
    age_ms: float = 0.0
    """Of the pose that was drawn last."""
    graph: Mapping[str, object] = field(default_factory=dict)
    """How the rest of the graph does."""

    @property
    def lanes(self) -> tuple[protocol.Lane, ...]:
        """That can be had."""
        return tuple(lane for lane in protocol.LANES if self.rig_key or lane != 'pose')

    @property
    def first_middle(self) -> FloatArray:
        """Where a desktop looks at first, stage frame."""
        x, y, _ = self.centre
        return np.array([x, y, self.first_view[1]])


@dataclass(eq=False)
class _Connection:
    viewer: Viewer
    socket: web.WebSocketResponse
    outbox: 'asyncio.Queue[bytes | str]'
    bytes_before: int = 0
    sent_before: int = 0
    skipped_before: int = 0


class Sockets:
    """All connections. Methods run in the server's thread, but for `len` and `desktop`."""

    def __init__(self, hub: Hub, facts: Facts, on_eyes: Callable[[], None]) -> None:
        self._hub, self._facts, self._on_eyes = hub, facts, on_eyes
        self.poses_allowed = True
        self.refused: Counter[str] = Counter()
        """What was turned away, by reason."""
        self.numbers: tuple[dict[str, object], ...] = ()
        """What each client was told last second."""
        self._connections: dict[Viewer, _Connection] = {}
        self._warned_s = -_WARN_S

    def __len__(self) -> int:
        return len(self._connections)

    def desktop(self) -> bool:
        """A desktop page is open."""
        return any(v.hello.mode == 'desktop' for v in list(self._connections))

    async def close(self) -> None:
        """End all connections."""
        for connection in list(self._connections.values()):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)

    def post(self, viewer: Viewer, message: bytes | str) -> None:
        """Send it soon, if the client is still there."""
        connection = self._connections.get(viewer)
        if connection is not None:
            connection.outbox.put_nowait(message)

    def send_camera(self, message: bytes) -> None:
        """A picture of what the tracker sees, to desktop pages."""
        for viewer, connection in self._connections.items():
            # A picture that waits is old; the next comes soon.
            if viewer.hello.mode == 'desktop' and connection.outbox.empty():
                connection.outbox.put_nowait(message)

    def change_lanes(self) -> None:
        """After `poses_allowed` has changed."""
        for viewer in self._connections:
            lane = self._lane_for(viewer)
            if viewer.hello.lanes[0] == 'pose' and lane != viewer.lane:
                self._hub.change_lane(viewer, lane)
                self.post(viewer, protocol.text('lane', lane=lane))

    def _lane_for(self, viewer: Viewer) -> protocol.Lane:
        """The first that it named and that can be had now."""
        pictures = [lane for lane in viewer.hello.lanes if lane != 'pose']
        return viewer.hello.lanes[0] if self.poses_allowed or not pictures else pictures[0]

    async def tell_numbers(self) -> None:
        """Every second, to everybody."""
        while True:
            await asyncio.sleep(1.0)
            told = []
            for viewer, connection in self._connections.items():
                told.append(self._numbers_of(connection))
                desktop = viewer.hello.mode == 'desktop'
                graph = self._facts.graph if desktop else {}
                self.post(viewer, protocol.text('numbers', **told[-1], **graph))
            self.numbers = tuple(told)

    def _numbers_of(self, connection: _Connection) -> dict[str, object]:
        viewer = connection.viewer
        trips = sorted(viewer.round_trips_ms)
        width, height = self._hub.size_of(viewer)
        numbers: dict[str, object] = {
            'client_id': viewer.id,
            'lane': viewer.lane,
            'mode': viewer.hello.mode,
            'fps': viewer.sent - connection.sent_before,
            'skipped': viewer.skipped - connection.skipped_before,
            'kbit_s': round((viewer.bytes - connection.bytes_before) * 8e-3),
            'round_trip_ms': round(trips[len(trips) // 2], 1) if trips else None,
            'pose_age_ms': round(self._facts.age_ms, 1),
            'width': width,
            'height': height,
            'clients': len(self._connections),
        }
        connection.sent_before, connection.bytes_before = viewer.sent, viewer.bytes
        connection.skipped_before = viewer.skipped
        return numbers

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Talk with one client until it goes."""
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
            self._hub.leave(viewer)
            sender.cancel()
        return socket

    async def _greet(self, socket: web.WebSocketResponse) -> Viewer:
        first = await socket.receive(timeout=_HELLO_S)
        if first.type != WSMsgType.TEXT:  # what it is may be somebody's eyes: not repeated
            raise ProtocolError('the first message is not text')
        message = protocol.parse_text(first.data)
        if message['type'] != 'hello':
            raise ProtocolError('the first message is not a hello')
        facts = self._facts
        viewer = Viewer(protocol.parse_hello(message, facts.lanes))
        viewer.lane = self._lane_for(viewer)
        await socket.send_str(
            protocol.text(
                'welcome', version=protocol.VERSION, client_id=viewer.id, lane=viewer.lane,
                fps=facts.fps, window=WINDOW, avatar=facts.avatar,
                center=in_scene(facts.first_middle).tolist(),
                radius=facts.first_view[0] * _SPHERE, rig=facts.rig_key,
            )
        )  # fmt: skip
        self._connections[viewer] = _Connection(viewer, socket, asyncio.Queue())
        self._hub.join(viewer)
        return viewer

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
                    self.post(viewer, protocol.pong(heard.t_client_ms, now_s * 1e3))
                self._hub.see(viewer, heard, now_s)
                self._on_eyes()
            else:
                self._hub.acknowledge(viewer, heard, now_s)
            return True
        if message.type != WSMsgType.TEXT:
            return False
        command = protocol.parse_text(message.data)
        if command['type'] == 'key':
            self._hub.ask_key(viewer, now_s)
        elif command['type'] == 'hello':
            viewer.spend_change(now_s)
            self._hub.greet_again(viewer, protocol.parse_hello(command, self._facts.lanes))
        elif command['type'] == 'lane':
            viewer.spend_change(now_s)
            lane = command.get('lane')
            if lane not in viewer.hello.lanes:
                raise ProtocolError(f'lane {str(lane)[:20]!r} was not in hello')
            # Its own choice comes first from now.
            others = tuple(other for other in viewer.hello.lanes if other != lane)
            viewer.hello = replace(viewer.hello, lanes=(lane, *others))
            self._hub.change_lane(viewer, lane)
            self.post(viewer, protocol.text('lane', lane=lane))
        return bool(command['type'] != 'bye')
