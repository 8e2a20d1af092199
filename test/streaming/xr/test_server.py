# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What clients and server say to each other, whether they mean well or not."""

import asyncio
import json
import resource
import struct
import time

import aiohttp
import numpy as np
import pytest
from helpers import wait_for
from streaming.xr.conftest import LEFT, PERSON, disc, eyes_message, read_frame

from avatar_ros.streaming.xr.access import Access
from avatar_ros.streaming.xr.server import XrServer

HELLO = {'type': 'hello', 'version': 1, 'lanes': ['h264'], 'mode': 'desktop', 'height': 64}


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 30))


def base(server):
    return f'{server.scheme}://127.0.0.1:{server.port}'


class Client:
    """A browser's manners: its page first, then the socket with cookie and Origin."""

    def __init__(self, server, **headers):
        self._server, self._headers = server, headers

    async def __aenter__(self):
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        async with self.session.get(self._server.url()) as response:
            assert response.status == 200
        headers = {'Origin': base(self._server), **self._headers}
        self.socket = await self.session.ws_connect(f'{base(self._server)}/xr', headers=headers)
        return self

    async def __aexit__(self, *error):
        await self.session.close()

    async def hello(self, **change):
        await self.socket.send_str(json.dumps({**HELLO, **change}))
        return json.loads((await self.socket.receive(timeout=5)).data)

    async def until(self, kind):
        """The next binary message of this kind."""
        while True:
            message = await self.socket.receive(timeout=5)
            if message.type == aiohttp.WSMsgType.BINARY and message.data[0] == kind:
                return message.data
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message

    async def closed_with(self):
        while not self.socket.closed:
            await self.socket.receive(timeout=5)
        return self.socket.close_code


def draw(server):
    """One picture for all who have room."""
    for work in server.hub.work(PERSON, time.monotonic()):
        camera = work.cameras[0]
        layers = [disc(camera.width, camera.height) for _ in work.cameras]
        server.hub.finish(work, layers, 0.0, 1.0, time.monotonic)


def get(server, path, **headers):
    async def fetch():
        async with (
            aiohttp.ClientSession() as session,
            session.get(f'{base(server)}{path}', headers=headers, allow_redirects=False) as r,
        ):
            return r.status, r.headers, await r.text()

    return run(fetch())


def test_a_client_gets_its_first_picture(server):
    async def watch():
        async with Client(server) as client:
            welcome = await client.hello()
            assert welcome['type'] == 'welcome'
            assert welcome['lane'] == 'h264'
            await client.socket.send_bytes(eyes_message(5, (LEFT,), flags=1, t=77.0))
            pong = await client.until(17)
            assert struct.unpack_from('<d', pong, 8)[0] == 77.0
            await asyncio.to_thread(wait_for, server.watched)
            await asyncio.to_thread(draw, server)
            frame = read_frame(await client.until(16))
            assert frame['key']
            assert frame['view_id'] == 5
            assert frame['frame_id'] == 1
            await client.socket.send_bytes(struct.pack('<BxxxI', 2, 1))

    run(watch())
    assert wait_for(lambda: server.hub.count() == (0, 0))


def test_picture_of_the_tracker_goes_to_desktops_alone(server):
    async def watch():
        async with Client(server) as desktop, Client(server) as headset:
            await desktop.hello()
            await headset.hello(mode='vr')
            assert server.camera_watched()
            await asyncio.to_thread(server.show_camera, np.zeros((32, 32, 3), np.uint8))
            assert (await desktop.until(18))[1:3] == b'\xff\xd8'
            with pytest.raises(asyncio.TimeoutError):
                await headset.socket.receive(timeout=0.5)

    run(watch())


def test_numbers_come_every_second(server):
    async def watch():
        async with Client(server) as client:
            await client.hello()
            told = json.loads(await client.socket.receive_str(timeout=5))
            assert told['type'] == 'numbers'
            assert told['clients'] == 1
            assert told['lane'] == 'h264'

    run(watch())


def test_mjpeg_address_streams(server):
    async def watch():
        async with aiohttp.ClientSession() as session:
            url = f'{base(server)}/avatar.mjpeg?token={server.access.token}'
            async with session.get(url) as response:
                assert response.content_type == 'multipart/x-mixed-replace'
                await asyncio.to_thread(wait_for, server.mjpeg_watched)
                await asyncio.to_thread(server.show_mjpeg, np.zeros((32, 32, 3), np.uint8))
                head = await response.content.readuntil(b'\r\n\r\n')
                assert b'image/jpeg' in head
                assert (await response.content.readexactly(2)) == b'\xff\xd8'

    run(watch())


def test_eyes_that_come_too_early_are_not_logged(server, caplog):
    async def watch():
        async with Client(server) as client:
            await client.socket.send_bytes(eyes_message(5, (LEFT,)))
            answer = json.loads((await client.socket.receive(timeout=5)).data)
            assert answer['message'] == 'the first message is not text'
            assert await client.closed_with() == 1008

    run(watch())
    assert 'turned away' in caplog.text
    assert 'x00' not in caplog.text


def test_clients_are_counted(server):
    async def crowd():
        async with Client(server) as a, Client(server) as b, Client(server) as c:
            for client in (a, b, c):
                await client.hello()
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with Client(server):
                    pass
            assert refused.value.status == 503

    run(crowd())


@pytest.mark.parametrize(
    'first', ['{}', '{"type": "key"}', json.dumps({**HELLO, 'version': 99}), 'x' * 500]
)
def test_a_wrong_greeting_ends_with_a_reason(server, first):
    async def greet():
        async with Client(server) as client:
            await client.socket.send_str(first)
            error = json.loads((await client.socket.receive(timeout=5)).data)
            assert error['type'] == 'error'
            assert error['message']
            assert await client.closed_with() == 1008

    run(greet())


@pytest.mark.parametrize(
    'message',
    [b'\x09nonsense', eyes_message(quaternion=(0, 0, 0, 9)), 'not json', '{"type": "lane"}'],
)
def test_malformed_messages_close_the_socket(server, message):
    async def send():
        async with Client(server) as client:
            await client.hello()
            if isinstance(message, bytes):
                await client.socket.send_bytes(message)
            else:
                await client.socket.send_str(message)
            assert await client.closed_with() == 1008

    run(send())
    assert wait_for(lambda: server.hub.count()[0] == 0)


def test_large_messages_and_floods_close_the_socket(server):
    async def send():
        async with Client(server) as client:
            await client.hello()
            await client.socket.send_bytes(bytes(5000))
            assert await client.closed_with() in (1006, 1009)
        async with Client(server) as client:
            await client.hello()
            try:
                for k in range(3000):
                    await client.socket.send_bytes(eyes_message(k))
            except ConnectionError:
                return
            assert await client.closed_with() in (1006, 1008)

    run(send())


def test_random_and_mutated_messages_neither_crash_nor_grow_the_server(server):
    """A sample of the hundred thousand that `benchmarks.xr` sends."""
    rng = np.random.default_rng(0)

    async def one():
        async with Client(server) as client:
            await client.hello()
            good = bytearray(eyes_message(int(rng.integers(1 << 32))))
            for _ in range(20):
                if rng.random() < 0.5:
                    good[rng.integers(len(good))] = rng.integers(256)
                    await client.socket.send_bytes(bytes(good))
                else:
                    await client.socket.send_bytes(rng.bytes(int(rng.integers(200))))

    async def many(count):
        for _ in range(count):
            try:
                await one()
            except (ConnectionError, aiohttp.ClientError):
                continue

    run(many(20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(many(100))
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 5_000
    test_a_client_gets_its_first_picture(server)


def test_taken_port_is_named(server):
    other = XrServer(Access('127.0.0.1'), port=server.port)
    with pytest.raises(OSError, match=str(server.port)):
        other.start()
