# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The page, its scripts and the avatar's file, for those who may have them."""

import functools
import time
from importlib.resources import files
from pathlib import Path

from aiohttp import web

from avatar_ros.streaming.xr import protocol
from avatar_ros.streaming.xr.access import Access
from avatar_ros.streaming.xr.viewers import Allowance

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
_TYPES = {
    '.js': 'text/javascript',
    '.css': 'text/css',
    '.html': 'text/html',
    '.svg': 'image/svg+xml',
}
#: Of the avatar's file, when as many clients as may come have had it.
_LOADS_PER_S = 1.0


class Page:
    """What a browser asks for over HTTP before it opens its socket."""

    def __init__(self, access: Access, rig: bytes, max_clients: int) -> None:
        self._access, self._rig = access, rig
        self._loads = Allowance(_LOADS_PER_S, float(max_clients))

    async def index(self, request: web.Request) -> web.StreamResponse:
        if self._access.check_page(request):
            # Out of the address and so out of the history; only the cookie holds it then.
            lane = request.query.get('lane', '')
            moved = web.HTTPSeeOther(f'/?lane={lane}' if lane in protocol.LANES else '/')
            moved.headers.update(headers())
            self._access.remember(moved, secure=request.secure)
            raise moved
        return web.Response(body=_asset('index.html'), content_type='text/html', headers=headers())

    async def static(self, request: web.Request) -> web.StreamResponse:
        self._access.check_page(request)
        name = request.match_info['name']
        kind = _TYPES.get(Path(name).suffix)
        if kind is None or name not in _asset_names():
            raise web.HTTPNotFound(text='no such file')
        return web.Response(body=_asset(name), content_type=kind, headers=headers())

    async def avatar(self, request: web.Request) -> web.StreamResponse:
        """The avatar's file: who may have the page may have it, and not again and again."""
        self._access.check_page(request)
        if not self._rig:
            raise web.HTTPNotFound(text='this avatar comes as pictures only')
        if not self._loads.take(time.monotonic()):
            raise web.HTTPTooManyRequests(text='the avatar is being sent too often; try again soon')
        return web.Response(
            body=self._rig, content_type='application/octet-stream', headers=headers()
        )


def headers() -> dict[str, str]:
    """Of every answer: nothing from elsewhere, nothing kept."""
    return {
        'Content-Security-Policy': _POLICY,
        'Cache-Control': 'no-store',
        'Referrer-Policy': 'no-referrer',
        'X-Content-Type-Options': 'nosniff',
        'Permissions-Policy': 'xr-spatial-tracking=(self), camera=(), microphone=()',
    }


@functools.cache
def _asset_names() -> frozenset[str]:
    folder = files('avatar_ros.streaming') / 'page' / 'xr'
    return frozenset(entry.name for entry in folder.iterdir())


def _asset(name: str) -> bytes:
    return (files('avatar_ros.streaming') / 'page' / 'xr' / name).read_bytes()
