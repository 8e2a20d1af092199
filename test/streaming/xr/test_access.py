# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Who may watch: token, cookie, origin; and the certificate of https."""

import socket
import ssl
import time

import pytest
from streaming.xr.test_server import base, get

from avatar_ros.streaming.xr import access
from avatar_ros.streaming.xr.access import Access, generated_certificate, tls_context
from avatar_ros.streaming.xr.server import XrServer


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
