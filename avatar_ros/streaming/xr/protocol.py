# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The server's end of the wire protocol: bytes to checked values and back.

``docs/xr_protocol.md`` describes every field.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from avatar_ros.types import FloatArray

VERSION = 1
MAX_MESSAGE_BYTES = 1024
FORGOTTEN = 1 << 32
"""Ids wrap here."""

Lane = Literal['h264', 'jpeg', 'pose']
LANES: tuple[Lane, ...] = ('h264', 'jpeg', 'pose')
MODES = ('desktop', 'vr', 'ar')
HEIGHTS = range(64, 2049)
_MAX_LANES = 8

_EYES, _ACK = 1, 2
_FRAME, _PONG, _CAMERA, _POSE = 16, 17, 18, 19
_EYES_HEADER = struct.Struct('<BBHIddII')
_POSE_HEADER = struct.Struct('<BxxxId')
_FRAME_HEADER = struct.Struct('<BBBBHHIIddffffHHIII')
_EYE = 11 * 4
_MAX_DISTANCE_M = 100.0
_MAX_TANGENT = 20.0


class ProtocolError(ValueError):
    """A message that no client of ours sends."""


@dataclass(frozen=True)
class Hello:
    """What a client can do."""

    lanes: tuple[Lane, ...]
    mode: str
    height: int


@dataclass(frozen=True)
class Eyes:
    """What a viewer sees from."""

    view_id: int
    t_client_ms: float
    t_display_ms: float
    frame_id: int
    shown: int
    wants_pong: bool
    views: FloatArray
    """(n, 11): position, quaternion xyzw, tangents left right down up; scene axes."""


def parse_binary(data: bytes) -> Eyes | int:
    """Eyes, or the id of the frame that an ACK names.

    :raises ProtocolError: if it is neither, or a number in it cannot be.
    """
    if not data:
        raise ProtocolError('an empty message')
    if data[0] == _ACK:
        if len(data) != 8:
            raise ProtocolError(f'ACK has {len(data)} bytes; expected 8')
        return int(struct.unpack_from('<I', data, 4)[0])
    if data[0] != _EYES:
        raise ProtocolError(f'messages of kind {data[0]} are not known')
    return _parse_eyes(data)


def _parse_eyes(data: bytes) -> Eyes:
    if len(data) < _EYES_HEADER.size:
        raise ProtocolError(f'EYES has {len(data)} bytes; expected {_EYES_HEADER.size} and more')
    _, count, flags, view_id, t_client, t_display, frame, shown = _EYES_HEADER.unpack_from(data)
    expected = _EYES_HEADER.size + count * _EYE
    if count not in (1, 2) or len(data) != expected:
        raise ProtocolError(f'EYES has {len(data)} bytes for {count} eyes; expected {expected}')
    views = np.frombuffer(data, '<f4', 11 * count, _EYES_HEADER.size).reshape(count, 11)
    views = views.astype(float)
    if not (np.isfinite(views).all() and np.isfinite([t_client, t_display]).all()):
        raise ProtocolError('EYES holds numbers that are not finite')
    if np.abs(views[:, :3]).max() > _MAX_DISTANCE_M:
        raise ProtocolError(f'an eye is more than {_MAX_DISTANCE_M:g} m away')
    if np.abs(np.linalg.norm(views[:, 3:7], axis=1) - 1).max() > 0.02:
        raise ProtocolError('the quaternion of an eye has not length 1')
    left, right, down, up = views[:, 7:].T
    wide = (right - left > 1e-3).all() and (up - down > 1e-3).all()
    if not wide or np.abs(views[:, 7:]).max() > _MAX_TANGENT:
        raise ProtocolError('the frustum of an eye is empty or too wide')
    views[:, 3:7] /= np.linalg.norm(views[:, 3:7], axis=1, keepdims=True)
    return Eyes(view_id, t_client, t_display, frame, shown, bool(flags & 1), views)


def parse_text(text: str) -> dict[str, Any]:
    """A JSON object with a `type` that clients send.

    :raises ProtocolError: if it is none.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError('a text message that is not JSON') from error
    if not isinstance(message, dict) or message.get('type') not in ('hello', 'key', 'lane', 'bye'):
        raise ProtocolError('a text message of no known type')
    return message


def parse_hello(message: dict[str, Any], lanes_here: Sequence[Lane] = LANES) -> Hello:
    """What a client can do of `lanes_here`, what this server can.

    :raises ProtocolError: if the message is not ours, or of another version.
    """
    if message.get('version') != VERSION:
        raise ProtocolError(
            f'this server speaks version {VERSION}, the page {message.get("version")!r}: reload it'
        )
    lanes, mode, height = (message.get(name) for name in ('lanes', 'mode', 'height'))
    named = lanes[:_MAX_LANES] if isinstance(lanes, list) else []
    known = tuple(lane for lane in named if lane in lanes_here)
    if not known:
        raise ProtocolError(f'hello names no lane of {", ".join(lanes_here)}')
    if mode not in MODES:
        raise ProtocolError(f'hello has a mode that is none of {", ".join(MODES)}')
    if not isinstance(height, int) or height not in HEIGHTS:
        raise ProtocolError(f'hello has a height outside {HEIGHTS.start}..{HEIGHTS.stop - 1}')
    return Hello(known, mode, height)


@dataclass(frozen=True)
class FrameTimes:
    """Of one picture, milliseconds; the first on the server's clock."""

    t_sample_ms: float
    render_ms: float
    encode_ms: float


def frame_header(
    lane: Lane,
    key: bool,
    frame_id: int,
    view_id: int,
    times: FrameTimes,
    t_server_ms: float,
    near_far: tuple[float, float],
    size: tuple[int, int],
    views: FloatArray,
) -> bytes:
    """What stands before a picture; views (n, 11) are the cameras that were rendered."""
    return (
        _FRAME_HEADER.pack(
            _FRAME, LANES.index(lane), int(key), len(views), _FRAME_HEADER.size + _EYE * len(views),
            0, frame_id, view_id, times.t_sample_ms, t_server_ms, times.render_ms, times.encode_ms,
            *near_far, *size, 0, 0, 0,
        )
        + views.astype('<f4').tobytes()
    )  # fmt: skip


def pose_message(frame_id: int, t_sample_ms: float, pose: bytes) -> bytes:
    """A pose for a client that draws the avatar itself; the time is the server's."""
    return _POSE_HEADER.pack(_POSE, frame_id, t_sample_ms) + pose


def pong(t_client_ms: float, t_server_ms: float) -> bytes:
    """The answer to eyes that ask for it."""
    return struct.pack('<B7xdd', _PONG, t_client_ms, t_server_ms)


def camera_picture(jpeg: bytes) -> bytes:
    """What the tracker sees."""
    return bytes([_CAMERA]) + jpeg


def text(kind: str, **fields: object) -> str:
    """A JSON message."""
    return json.dumps({'type': kind, **fields})


def newer(a: int, b: int) -> bool:
    """Does id a come after b? They wrap."""
    return 0 < (a - b) % FORGOTTEN < FORGOTTEN // 2


def centre(views: FloatArray | Sequence[Sequence[float]]) -> FloatArray:
    """(3,) the point between the eyes."""
    return np.asarray(np.asarray(views)[:, :3].mean(0))
