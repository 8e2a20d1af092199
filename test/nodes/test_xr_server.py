# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The node `xr_server` with a real avatar, real sockets and real ROS topics."""

import asyncio
import time

import av
import numpy as np
import pytest
from helpers import wait_for
from streaming.xr.conftest import LEFT, RIGHT, eyes_message, read_frame
from streaming.xr.test_server import Client

pytest.importorskip('rclpy', reason='rclpy is not installed')

from diagnostic_msgs.msg import DiagnosticArray
from nodes.test_graph import standing
from rclpy.lifecycle import TransitionCallbackReturn

from avatar_ros.msg import AvatarStatus, ViewRequest
from avatar_ros.nodes import messages, qos
from avatar_ros.nodes.xr_server import XrServerNode

pytestmark = pytest.mark.ros


@pytest.fixture
def node(ros):
    node = ros.add(XrServerNode(cli_args=['--ros-args', '-p', 'port:=0', '-p', 'view_height:=128']))
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    return node


def show(node, count=1):
    for k in range(count):
        node.accept_pose(standing(node.get_clock().now().nanoseconds + k))
        time.sleep(0.05)


def watch(node, during, eyes=(LEFT, RIGHT)):
    """What a client with these eyes gets: `during(client)` runs when it has shown its eyes."""

    async def session():
        async with Client(node.server) as client:
            await client.hello(mode='vr', height=128)
            await client.socket.send_bytes(eyes_message(1, eyes, tangents=(-1, 1, -1, 1)))
            await asyncio.to_thread(wait_for, node.server.watched)
            return await during(client)

    return asyncio.run(asyncio.wait_for(session(), 30))


def test_client_sees_the_avatar_upright_in_both_eyes(node):
    async def first(client):
        await asyncio.to_thread(show, node)
        return read_frame(await client.until(16))

    frame = watch(node, first)
    width, height = frame['size']
    (picture,) = av.CodecContext.create('h264', 'r').decode(av.Packet(frame['payload']))
    assert (picture.width, picture.height) == (2 * width, height * 3 // 2)
    rgb = picture.to_ndarray(format='rgb24').astype(float)
    grey = picture.to_ndarray(format='yuv420p')[: height * 3 // 2].astype(float)
    for eye in (0, 1):
        columns = slice(eye * width, eye * width + width // 2)
        alpha = (grey[height:, columns] - 16) / 219
        rows = np.flatnonzero((alpha > 0.5).any(1))
        # It fills the picture from top to bottom, and not from side to side.
        assert rows[0] < 0.15 * len(alpha)
        assert rows[-1] > 0.85 * len(alpha)
        assert 0.1 < (alpha > 0.5).mean() < 0.6
    # Head above, trousers below: skin is redder than blue, jeans are not.
    left = rgb[:height, :width]
    head, legs = left[: height // 6], left[height * 5 // 8 : height * 7 // 8]
    assert head[..., 0].sum() > 1.2 * head[..., 2].sum()
    assert legs[..., 2].sum() > legs[..., 0].sum()
    # The left eye is to the left of the right one, and their pictures differ by parallax.
    assert frame['eyes'][0, 0] < frame['eyes'][1, 0]
    assert np.abs(rgb[:height, :width] - rgb[:height, width : 2 * width]).max() > 30


def test_frame_is_as_old_as_its_pose(node):
    async def first(client):
        await asyncio.to_thread(show, node)
        return read_frame(await client.until(16))

    frame = watch(node, first)
    assert 0 <= frame['t_server'] - frame['t_sample'] < 2000
    assert frame['view_id'] == 1


def test_client_that_draws_the_avatar_gets_poses_and_nothing_is_rendered(node):
    async def session():
        async with Client(node.server) as client:
            welcome = await client.hello(mode='vr', height=128, lanes=['pose', 'h264'])
            assert welcome['lane'] == 'pose'
            await client.socket.send_bytes(eyes_message(1, (LEFT, RIGHT)))
            await asyncio.to_thread(wait_for, node.server.watched)
            await asyncio.to_thread(show, node)
            return await client.until(19)

    message = asyncio.run(asyncio.wait_for(session(), 30))
    assert len(message) <= 320
    rig, _ = node._rig
    assert len(message) == 16 + rig.layout.size
    assert wait_for(lambda: node.statistics.counts['frames'] == 1)
    assert node.statistics.counts['pictures'] == 0


def test_moving_eyes_show_a_still_avatar_from_there(node):
    async def move(client):
        await asyncio.to_thread(show, node)
        before = read_frame(await client.until(16))
        await client.socket.send_bytes(b'\x02\0\0\0\x01\0\0\0')
        await asyncio.sleep(0.3)
        side = tuple(tuple(np.add(eye, (0.8, 0, -0.5))) for eye in (LEFT, RIGHT))
        await client.socket.send_bytes(eyes_message(2, side, tangents=(-1, 1, -1, 1)))
        while True:
            after = read_frame(await client.until(16))
            if after['view_id'] == 2:
                return before, after

    before, after = watch(node, move)
    assert after['eyes'][0, 0] - before['eyes'][0, 0] > 0.7


def test_eyes_and_status_appear_on_the_graph(ros, node):
    probe = ros.node()
    requests = ros.collect(probe, ViewRequest, 'view_request', qos=qos.COMMAND)
    statuses = ros.collect(probe, AvatarStatus, 'xr_server/status', qos=qos.VIEW)
    diagnostics = ros.collect(probe, DiagnosticArray, '/diagnostics', qos=qos.COMMAND)
    assert wait_for(lambda: node.count_subscribers('view_request'))
    time.sleep(0.3)

    def told():
        values = [v for d in list(diagnostics) for s in d.status for v in s.values]
        return any(v.key.startswith('client ') and 'h264' in v.value for v in values)

    async def stay(client):
        for k in range(150):
            await asyncio.to_thread(show, node)
            await client.socket.send_bytes(eyes_message(2 + k, (LEFT, RIGHT), frame=k + 1))
            if told():
                return True
        return False

    assert watch(node, stay)
    assert wait_for(lambda: requests)
    view = messages.parse_view_request(requests[-1])
    assert view.frame_id == 'stage'
    # Scene axes (0, 1.6, 2) are 2 m before the avatar at eye level: x = 2, z = 1.6 (REP-103).
    np.testing.assert_allclose(view.cameras[0].position, [2.0, -0.032, 1.6], atol=1e-5)
    assert wait_for(lambda: statuses)
    assert statuses[-1].stage == ['deform', 'raster', 'encode']
    assert statuses[-1].client_id


def test_nobody_watching_costs_nothing(node):
    show(node, 3)
    assert wait_for(lambda: node.statistics.counts['frames_skipped'] >= 3)
    assert node.statistics.counts['frames'] == 0


def test_deactivating_stops_pictures_and_activating_brings_them_back(node):
    async def pause(client):
        node.trigger_deactivate()
        await asyncio.to_thread(show, node, 3)
        heard = [(await client.socket.receive(timeout=3)).data]  # numbers come on, every second
        assert all(isinstance(data, str) for data in heard)
        node.trigger_activate()
        await asyncio.to_thread(show, node, 2)
        return read_frame(await client.until(16))

    assert watch(node, pause)['key']


def test_taken_port_fails_the_configuration_with_its_number(ros, node):
    port = node.server.port
    other = ros.add(XrServerNode(cli_args=['--ros-args', '-p', f'port:={port}']))
    assert other.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert str(port) in other.statistics.error
