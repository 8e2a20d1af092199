# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streaming.xr.conftest import FRUSTUM, LEFT, RIGHT, eyes_message, read_frame

from avatar_ros.streaming.xr import protocol
from avatar_ros.streaming.xr.protocol import Eyes, FrameTimes, ProtocolError


def test_eyes_are_read_field_by_field():
    eyes = protocol.parse_binary(eyes_message(view_id=7, flags=1, t=12.5, frame=3, shown=2))
    assert isinstance(eyes, Eyes)
    assert (eyes.view_id, eyes.t_client_ms, eyes.t_display_ms) == (7, 12.5, 42.5)
    assert (eyes.frame_id, eyes.shown, eyes.wants_pong) == (3, 2, True)
    np.testing.assert_allclose(eyes.views[0], [*LEFT, 0, 0, 0, 1, *FRUSTUM], rtol=1e-6)
    np.testing.assert_allclose(eyes.views[1], [*RIGHT, 0, 0, 0, 1, *FRUSTUM], rtol=1e-6)


def test_acknowledgement_names_a_frame():
    assert protocol.parse_binary(struct.pack('<BxxxI', 2, 4_000_000_000)) == 4_000_000_000


@pytest.mark.parametrize(
    ('data', 'what'),
    [
        (b'', 'empty'),
        (b'\x07abc', 'kind 7'),
        (struct.pack('<BxxxIx', 2, 1), '9 bytes'),
        (eyes_message()[:-1], 'bytes for 2 eyes'),
        (eyes_message() + b'\0', 'bytes for 2 eyes'),
        (eyes_message(positions=(LEFT,) * 3), '3 eyes'),
        (eyes_message(positions=()), '0 eyes'),
        (eyes_message(positions=((np.nan, 0, 0),)), 'finite'),
        (eyes_message(t=np.inf), 'finite'),
        (eyes_message(positions=((0, 0, 1e4),)), '100 m'),
        (eyes_message(quaternion=(0, 0, 0, 2)), 'length 1'),
        (eyes_message(quaternion=(0, 0, 0, 0)), 'length 1'),
        (eyes_message(tangents=(1, -1, -1, 1)), 'frustum'),
        (eyes_message(tangents=(-1, 1, 1, -1)), 'frustum'),
        (eyes_message(tangents=(-1e6, 1, -1, 1)), 'frustum'),
    ],
)
def test_binary_that_no_client_sends_is_refused_by_name(data, what):
    with pytest.raises(ProtocolError, match=what):
        protocol.parse_binary(data)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_refused(data):
    try:
        heard = protocol.parse_binary(data)
    except ProtocolError:
        return
    assert isinstance(heard, int) or np.isfinite(heard.views).all()


@given(st.integers(0, 119), st.integers(0, 255))
def test_one_changed_byte_is_read_or_refused(at, value):
    data = bytearray(eyes_message())
    data[at] = value
    try:
        heard = protocol.parse_binary(bytes(data))
    except ProtocolError:
        return
    assert isinstance(heard, Eyes)
    assert np.abs(heard.views[:, :3]).max() <= 100


def test_hello_is_checked():
    hello = protocol.parse_hello(
        {'type': 'hello', 'version': 1, 'lanes': ['gaussians', 'jpeg'], 'mode': 'vr', 'height': 512}
    )
    assert hello.lanes == ('jpeg',)
    good = {'type': 'hello', 'version': 1, 'lanes': ['h264'], 'mode': 'vr', 'height': 512}
    for change in (
        {'version': 2}, {'lanes': []}, {'lanes': 'h264'}, {'lanes': None}, {'mode': 'tv'},
        {'mode': ['vr']}, {'height': 0}, {'height': 1e9}, {'height': '512'}, {'height': None},
    ):  # fmt: skip
        with pytest.raises(ProtocolError):
            protocol.parse_hello({**good, **change})


@pytest.mark.parametrize('text', ['', '{', '[]', '1', '{"type": "boom"}', '[' * 5000, '{"a": 1}'])
def test_text_that_no_client_sends_is_refused(text):
    with pytest.raises(ProtocolError):
        protocol.parse_text(text)


def test_frame_header_is_what_the_table_says():
    views = np.arange(22, dtype=float).reshape(2, 11)
    header = protocol.frame_header(
        'jpeg', True, 9, 8, FrameTimes(1.5, 2.5, 3.5), 4.5, (0.5, 2.0), (464, 480), views
    )
    frame = read_frame(header + b'picture')
    assert len(header) == 64 + 2 * 44
    assert frame['codec'] == 1
    assert frame['key']
    assert frame['payload'] == b'picture'
    assert (frame['frame_id'], frame['view_id'], frame['t_sample']) == (9, 8, 1.5)
    assert (frame['near'], frame['far'], frame['size']) == (0.5, 2.0, (464, 480))
    np.testing.assert_array_equal(frame['eyes'], views)


def test_pong_and_texts():
    assert struct.unpack('<B7xdd', protocol.pong(1.0, 2.0)) == (17, 1.0, 2.0)
    assert json.loads(protocol.text('lane', lane='jpeg')) == {'type': 'lane', 'lane': 'jpeg'}


def test_ids_wrap():
    assert protocol.newer(0, protocol.FORGOTTEN - 1)
    assert not protocol.newer(protocol.FORGOTTEN - 1, 0)
    assert not protocol.newer(5, 5)
