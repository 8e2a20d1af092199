# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import struct

import numpy as np
import pytest

from avatar_ros.streaming.xr.access import Access
from avatar_ros.streaming.xr.packing import Layers
from avatar_ros.streaming.xr.server import XrServer

LEFT = (-0.032, 1.6, 2.0)
RIGHT = (0.032, 1.6, 2.0)
#: Outer, inner, lower, upper: no two alike, as in a headset.
FRUSTUM = (-1.1, 0.9, -1.2, 0.8)


#: Points (n, 3) on a standing person, stage frame.
PERSON = np.array([[x, y, z] for x in (-0.2, 0.2) for y in (-0.5, 0.5) for z in (0.0, 1.8)])


def eyes_message(
    view_id=1, positions=(LEFT, RIGHT), quaternion=(0.0, 0.0, 0.0, 1.0), tangents=FRUSTUM,
    flags=0, t=0.0, until_display=30.0, frame=0, shown=0,
):  # fmt: skip
    """EYES, written by hand from the table in docs/xr_protocol.md."""
    data = struct.pack('<BBH', 1, len(positions), flags) + struct.pack('<I', view_id)
    data += struct.pack('<dd', t, t + until_display) + struct.pack('<II', frame, shown)
    for position in positions:
        data += struct.pack('<11f', *position, *quaternion, *tangents)
    return data


def read_frame(data):
    """FRAME as a dict, read by hand from the same table."""
    kind, codec, flags, views, length, _ = struct.unpack_from('<BBBBHH', data, 0)
    assert kind == 16
    frame = {'codec': codec, 'key': bool(flags & 1), 'views': views, 'payload': data[length:]}
    frame['frame_id'], frame['view_id'] = struct.unpack_from('<II', data, 8)
    frame['t_sample'], frame['t_server'] = struct.unpack_from('<dd', data, 16)
    frame['near'], frame['far'] = struct.unpack_from('<ff', data, 40)
    frame['size'] = struct.unpack_from('<HH', data, 48)
    frame['eyes'] = np.frombuffer(data, '<f4', 11 * views, 64).reshape(views, 11)
    return frame


def disc(width=64, height=96, depth=1.5, color=(0.8, 0.4, 0.2), shift=0.0):
    """Layers of a soft disc whose depth rises from left to right."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    r = np.hypot(x - width / 2 - shift, y - height / 2) / (0.35 * width)
    alpha = np.clip((1.1 - r) * 8, 0, 1).astype(np.float32)
    colors = np.empty((height, width, 4), np.float32)
    colors[..., :3] = alpha[..., None] * np.array(color, np.float32)
    colors[..., 3] = depth + 0.2 * x / width
    return Layers(colors, alpha)


@pytest.fixture
def pair():
    return [disc(), disc(color=(0.1, 0.7, 0.9), shift=3.0)]


@pytest.fixture
def server():
    server = XrServer(Access('127.0.0.1'), port=0, height=64, max_clients=3)
    server.start()
    yield server
    server.stop()
