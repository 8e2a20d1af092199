# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import asyncio
import json
import resource
import socket
import ssl
import struct
import time

import aiohttp
import numpy as np
import pytest
from helpers import wait_for
from streaming.xr.conftest import LEFT, PERSON, disc, eyes_message, read_frame

from avatar_ros.streaming.xr import access
from avatar_ros.streaming.xr.access import Access, generated_certificate, tls_context
from avatar_ros.streaming.xr.server import XrServer

HELLO = {'type': 'hello', 'version': 1, 'lanes': ['h264'], 'mode': 'desktop', 'height': 64}


@pytest.fixture
def server():
    server = XrServer(Access('127.0.0.1'), port=0, height=64, max_clients=3)
    server.start()
    yield server
    server.stop()


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


# -- poses for clients that draw the avatar ----------------------------------------------------

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


# -- who may watch -----------------------------------------------------------------------------


def get(server, path, **headers):
    async def fetch():
        async with (
            aiohttp.ClientSession() as session,
            session.get(f'{base(server)}{path}', headers=headers, allow_redirects=False) as r,
        ):
            return r.status, r.headers, await r.text()

    return run(fetch())


def test_token_has_192_bits_and_differs():
    assert len({access.new_token() for _ in range(100)}) == 100
    assert len(access.new_token()) == 32  # base64 of 24 bytes


@pytest.mark.parametrize('path', ['/', '/xr/static/main.js', '/xr/avatar', '/avatar.mjpeg', '/xr'])
def test_nothing_is_shown_without_the_token(server, path):
    for query in ('', '?token=', '?token=wrong', f'?token={server.access.token[:-1]}'):
        assert get(server, path + query, Origin=base(server))[0] == 401
    assert get(server, path, Cookie=f'{access.COOKIE}=wrong', Origin=base(server))[0] == 401
    assert server.refused


def test_token_moves_from_the_address_into_a_cookie(server):
    status, headers, _ = get(server, f'/?token={server.access.token}')
    assert status == 303
    assert headers['Location'] == '/'
    cookie = headers['Set-Cookie']
    assert 'HttpOnly' in cookie
    assert 'SameSite=Strict' in cookie


def test_page_allows_nothing_from_elsewhere(server):
    cookie = f'{access.COOKIE}={server.access.token}'
    status, headers, text = get(server, '/', Cookie=cookie)
    assert status == 200
    policy = headers['Content-Security-Policy']
    assert "default-src 'none'" in policy
    assert 'unsafe' not in policy
    assert 'http' not in policy
    assert headers['Referrer-Policy'] == 'no-referrer'
    assert server.access.token not in text
    assert 'http://' not in text
    assert 'https://' not in text


@pytest.mark.parametrize('name', ['../viewer.html', '..%2fviewer.html', '%2e%2e/x', 'none.js', '.'])
def test_files_are_served_by_name_from_one_folder(server, name):
    cookie = f'{access.COOKIE}={server.access.token}'
    status, _, text = get(server, f'/xr/static/{name}', Cookie=cookie)
    assert status == 404 or (status == 200 and '<canvas id="avatar"' not in text)


@pytest.mark.parametrize('origin', ['', 'null', 'http://evil.example', 'https://127.0.0.1'])
def test_pages_of_others_may_not_connect(server, origin):
    cookie = f'{access.COOKIE}={server.access.token}'
    headers = {'Cookie': cookie, **({'Origin': origin} if origin else {})}
    assert get(server, '/xr', **headers)[0] == 403


def test_other_names_of_this_machine_are_refused_on_loopback(server):
    assert get(server, f'/?token={server.access.token}', Host='evil.example')[0] == 403


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


# -- https -------------------------------------------------------------------------------------


def test_generated_certificate_names_the_addresses_and_serves_tls_12(tmp_path):
    certificate, key = generated_certificate(tmp_path, ['192.0.2.7', 'lab.example'])
    assert key.stat().st_mode & 0o077 == 0
    again = generated_certificate(tmp_path, ['192.0.2.7'])
    assert again[0].read_bytes() == certificate.read_bytes()
    trusting = ssl.create_default_context(cafile=str(certificate))
    server = XrServer(
        Access('127.0.0.1'), port=0, tls=tls_context(str(certificate), str(key)), height=64
    )
    server.start()
    try:
        for name in ('127.0.0.1', '192.0.2.7', 'lab.example', 'localhost'):
            plain = socket.create_connection(('127.0.0.1', server.port), 5)
            with trusting.wrap_socket(plain, server_hostname=name) as secure:
                assert secure.version() in ('TLSv1.2', 'TLSv1.3')
                valid = ssl.cert_time_to_seconds(secure.getpeercert()['notAfter'])
                assert valid - time.time() < 14 * 86400
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        plain = socket.create_connection(('127.0.0.1', server.port), 5)
        with pytest.raises((ssl.SSLError, OSError)):
            old.wrap_socket(plain)
        plain.close()
    finally:
        server.stop()


def test_files_that_are_no_certificate_are_refused_by_name(tmp_path):
    (tmp_path / 'c.pem').write_text('hello')
    with pytest.raises(ValueError, match=r'c\.pem'):
        tls_context(str(tmp_path / 'c.pem'), str(tmp_path / 'c.pem'))


def test_an_expired_or_foreign_certificate_is_made_anew(tmp_path):
    (tmp_path / 'xr_certificate.pem').write_text('no certificate')
    (tmp_path / 'xr_key.pem').write_text('no key')
    certificate, _ = generated_certificate(tmp_path, [])
    first = certificate.read_bytes()
    generated_certificate(tmp_path, ['198.51.100.9'])
    assert certificate.read_bytes() != first


def test_taken_port_is_named(server):
    other = XrServer(Access('127.0.0.1'), port=server.port)
    with pytest.raises(OSError, match=str(server.port)):
        other.start()
