# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Poses or pictures: which lane a client gets, and the avatar's file for those that draw it."""

import asyncio
import json
import struct
import time

import pytest
from helpers import wait_for
from streaming.xr.conftest import LEFT, PERSON, eyes_message, read_frame
from streaming.xr.test_server import Client, base, draw, get, run

from avatar_ros.streaming.xr.access import Access
from avatar_ros.streaming.xr.server import XrServer

RIG = b'the file of an avatar' * 100


@pytest.fixture
def posing():
    server = XrServer(Access('127.0.0.1'), port=0, height=64, max_clients=3, rig=RIG)
    server.start()
    yield server
    server.stop()


async def avatar_of(client, server):
    async with client.session.get(f'{base(server)}/xr/avatar') as response:
        return response.status, await response.read()


def test_late_joiner_gets_the_avatar_and_its_last_pose(posing):
    async def watch():
        async with Client(posing) as client:
            welcome = await client.hello(lanes=['pose', 'h264'])
            assert (welcome['lane'], len(welcome['rig'])) == ('pose', 16)
            assert await avatar_of(client, posing) == (200, RIG)
            await client.socket.send_bytes(eyes_message(1, (LEFT,)))
            await asyncio.to_thread(wait_for, posing.watched)
            now_s = time.monotonic()
            # Nobody has moved since: only who has had no pose takes one.
            (viewer,) = posing.hub.takers(False, now_s)
            posing.hub.send_pose([viewer], b'a pose', 1234.5, now_s)
            assert posing.hub.takers(False, now_s) == []
            message = await client.until(19)
            assert struct.unpack_from('<BxxxId', message) == (19, 1, 1234.5)
            assert message[16:] == b'a pose'
            assert posing.hub.work(PERSON, now_s) == []  # nothing is drawn for it

    run(watch())


def test_lanes_that_a_server_lacks_are_passed_over(server, posing):
    async def watch():
        async with Client(server) as client:
            welcome = await client.hello(lanes=['pose', 'jpeg'])
            assert (welcome['lane'], welcome['rig']) == ('jpeg', '')
            assert (await avatar_of(client, server))[0] == 404
            await client.socket.send_str('{"type": "lane", "lane": "pose"}')
            assert await client.closed_with() == 1008
        async with Client(server) as client:
            assert (await client.hello(lanes=['pose']))['type'] == 'error'

    run(watch())


def test_client_that_cannot_draw_changes_to_pictures(posing):
    async def watch():
        async with Client(posing) as client:
            await client.hello(lanes=['pose', 'h264'])
            await client.socket.send_bytes(eyes_message(1, (LEFT,)))
            await client.socket.send_str('{"type": "lane", "lane": "h264"}')
            await asyncio.to_thread(wait_for, posing.hub.wants_pictures)
            assert posing.hub.takers(True, time.monotonic()) == []
            await asyncio.to_thread(draw, posing)
            assert read_frame(await client.until(16))['key']

    run(watch())


def test_clients_change_to_pictures_while_there_are_several_avatars(posing):
    async def lane_of(client):
        while True:
            message = json.loads((await client.socket.receive(timeout=5)).data)
            if message['type'] == 'lane':
                return message['lane']

    async def watch():
        async with Client(posing) as one, Client(posing) as other, Client(posing) as late:
            await one.hello(lanes=['pose', 'h264'])
            await other.hello(lanes=['pose', 'h264'])
            await other.socket.send_str('{"type": "lane", "lane": "h264"}')  # it cannot draw
            assert await lane_of(other) == 'h264'
            posing.allow_poses(False)
            assert await lane_of(one) == 'h264'
            assert (await late.hello(lanes=['pose', 'h264']))['lane'] == 'h264'
            posing.allow_poses(True)
            assert await lane_of(one) == await lane_of(late) == 'pose'
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(lane_of(other), 0.5)

    run(watch())


def test_avatar_is_not_sent_again_and_again(posing):
    async def load():
        async with Client(posing) as client:
            return [(await avatar_of(client, posing))[0] for _ in range(6)]

    assert run(load()) == [200, 200, 200, 429, 429, 429]


def test_lane_in_the_address_survives_the_move_of_the_token(posing):
    token = posing.access.token
    assert get(posing, f'/?lane=pose&token={token}')[1]['Location'] == '/?lane=pose'
    assert get(posing, f'/?lane=//evil.example&token={token}')[1]['Location'] == '/'
