# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import asyncio
import json
import threading

import aiohttp
import cv2
import numpy as np
import pytest
from helpers import wait_for

from avatar_ros.streaming import ViewerServer


@pytest.fixture
def views():
    return []


@pytest.fixture
def server(views):
    server = ViewerServer(port=0, on_view=views.append)
    server.start()
    yield server
    server.stop()


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def picture(value):
    return np.full((48, 64, 3), value, np.uint8)


async def connect(session, server, **kwargs):
    return await session.ws_connect(f'{server.url}live', **kwargs)


def test_page_comes_with_a_policy_that_allows_nothing_from_elsewhere(server):
    async def fetch():
        async with aiohttp.ClientSession() as session, session.get(server.url) as response:
            return await response.text(), response.headers

    text, headers = run(fetch())
    assert '<canvas id="avatar"' in text
    assert "default-src 'none'" in headers['Content-Security-Policy']
    assert 'http://' not in text.replace('http://www.w3.org', '')
    assert 'https://' not in text


def test_client_gets_pictures_by_channel_and_numbers(server):
    async def watch():
        async with aiohttp.ClientSession() as session:
            socket = await connect(session, server)
            await asyncio.to_thread(wait_for, server.watched)
            server.show('avatar', picture(200))
            server.tell({'fps': 25})
            seen = {}
            while not {'numbers', 'picture'} <= set(seen):
                message = await socket.receive(timeout=5)
                if message.type == aiohttp.WSMsgType.TEXT:
                    if json.loads(message.data):
                        seen['numbers'] = json.loads(message.data)
                else:
                    seen['channel'] = message.data[0]
                    seen['picture'] = cv2.imdecode(
                        np.frombuffer(message.data[1:], np.uint8), cv2.IMREAD_COLOR
                    )
            return seen

    seen = run(watch())
    assert seen['numbers'] == {'fps': 25}
    assert seen['channel'] == 1
    np.testing.assert_allclose(seen['picture'].mean(), 200, atol=2)


def test_slow_client_gets_the_newest_picture_not_a_queue(server):
    async def watch():
        async with aiohttp.ClientSession() as session:
            socket = await connect(session, server)
            await asyncio.to_thread(wait_for, server.watched)
            for value in range(100):
                server.show('camera', picture(value))
            values = []
            while not values or values[-1] < 98:
                message = await socket.receive(timeout=5)
                if message.type == aiohttp.WSMsgType.BINARY:
                    image = cv2.imdecode(np.frombuffer(message.data[1:], np.uint8), 1)
                    values.append(round(float(image.mean())))
            return values

    values = run(watch())
    assert values == sorted(values)
    assert len(values) < 100


def test_drag_arrives_as_a_view_and_nonsense_is_ignored(server, views):
    async def drag():
        async with aiohttp.ClientSession() as session:
            socket = await connect(session, server)
            for text in ('no json', '[]', '{"azimuth": 1}', '{"azimuth": "x"}'):
                await socket.send_str(text)
            await socket.send_str(json.dumps({'azimuth': 30, 'elevation': 5, 'distance': 2}))
            await asyncio.to_thread(wait_for, lambda: views)

    run(drag())
    assert views == [{'azimuth': 30.0, 'elevation': 5.0, 'distance': 2.0}]


def test_long_message_ends_that_client_only(server):
    async def flood():
        async with aiohttp.ClientSession() as session:
            bad, good = await connect(session, server), await connect(session, server)
            await bad.send_str('x' * 5000)
            ended = await bad.receive(timeout=5)
            while ended.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                ended = await bad.receive(timeout=5)
            server.tell({'fps': 1})
            message = await good.receive(timeout=5)
            return ended.type, message.type

    ended, other = run(flood())
    assert ended in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    assert other == aiohttp.WSMsgType.TEXT


def test_page_of_another_site_may_not_watch(server):
    async def intrude():
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await connect(session, server, origin='http://evil.example')
            return error.value.status

    assert run(intrude()) == 403


def test_taken_port_is_an_error_with_the_remedy(server):
    other = ViewerServer(port=server.port)
    with pytest.raises(OSError, match=r'port:=8081'):
        other.start()
    other.stop()


def test_stop_leaves_no_thread(views):
    before = {t.name for t in threading.enumerate()}
    server = ViewerServer(port=0)
    server.start()
    server.stop()
    assert wait_for(lambda: {t.name for t in threading.enumerate()} <= before, 5)


def test_other_names_for_this_machine_are_refused_on_loopback(server):
    async def rebind():
        async with aiohttp.ClientSession() as session:
            headers = {'Host': 'evil.example:80', 'Origin': 'http://evil.example:80'}
            async with session.get(server.url, headers=headers) as page:
                status = page.status
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await connect(session, server, headers=headers)
            return status, error.value.status

    assert run(rebind()) == (403, 403)


def test_views_that_are_not_finite_are_ignored(server, views):
    async def send():
        async with aiohttp.ClientSession() as session:
            socket = await connect(session, server)
            for value in ('NaN', '1e999', '-Infinity', '1' * 400, '[' * 900):
                await socket.send_str(f'{{"azimuth": {value}, "elevation": 1, "distance": 3}}')
            await socket.send_str('{"azimuth": 1, "elevation": 2, "distance": 3}')
            await asyncio.to_thread(wait_for, lambda: views)

    run(send())
    assert views == [{'azimuth': 1.0, 'elevation': 2.0, 'distance': 3.0}]


def test_picture_that_cannot_be_encoded_does_not_stop_the_page(server):
    async def watch():
        async with aiohttp.ClientSession() as session:
            socket = await connect(session, server)
            await asyncio.to_thread(wait_for, server.watched)
            server.show('avatar', np.zeros((70_000, 2, 3), np.uint8))
            await asyncio.sleep(0.3)
            server.show('avatar', picture(50))
            while (message := await socket.receive(timeout=5)).type != aiohttp.WSMsgType.BINARY:
                pass
            return message.data[0]

    assert run(watch()) == 1
