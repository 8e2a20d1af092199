# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The page draws the avatar itself: the same picture as the server's renderer, else pixels."""

import threading
import time

import numpy as np
import pytest
from helpers import wait_for

pytest.importorskip('playwright.sync_api', reason='playwright is not installed')

from streaming.xr.test_browser import (  # noqa: F401  (fixtures)
    CHROMIUM,
    ask,
    browser,
    canvas,
    headset_script,
    wait_shown,
)

from avatar_ros.avatars.rig import rig_of
from avatar_ros.streaming.xr.access import Access
from avatar_ros.streaming.xr.server import XrServer
from avatar_ros.streaming.xr.viewport import cameras_of_eyes
from benchmarks.xr_scene import MovingAvatar

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason='Chromium is not installed'),
]


class Puppet(threading.Thread):
    """A server that sends one pose of an avatar again and again, and pictures to who wants them."""

    def __init__(self, name='demo', file=None):
        super().__init__(daemon=True)
        self.moving = MovingAvatar(60, name)
        self.player = self.moving.player
        rig = rig_of(self.player.avatar)
        self.placed = self.player.place(self.moving.body_pose(40))
        self.pose = rig.layout.encode(self.player.avatar, self.placed, None)
        self.player.deform(self.placed, None)
        file = rig.file if file is None else file
        self.server = XrServer(Access('127.0.0.1', 'secret'), port=0, height=160, rig=file)
        self.server.start()
        self._over = threading.Event()
        self.start()

    @property
    def url(self):
        return self.server.url().replace('?', '?lane=pose&')

    def run(self):
        while not self._over.wait(1 / 30):
            now_s, hub = time.monotonic(), self.server.hub
            hub.send_pose(hub.takers(True, now_s), self.pose, now_s * 1e3, now_s)
            for work in hub.work(self.player.outline(), now_s):
                layers = self.moving.draw(list(work.cameras))
                hub.finish(work, layers, now_s * 1e3, 1.0, time.monotonic)

    def rendered(self, eye, width, height):
        """RGB (H, W, 3) on black and alpha, from an eye of the page, by the server's renderer."""
        view = np.array([[*eye['position'], *eye['orientation'], *eye['tangents']]])
        drawn = self.player.draw(cameras_of_eyes(view, width, height), depth=True)
        return drawn.colors[0, ..., :3].numpy().clip(0, 1), drawn.alphas[0, ..., 0].numpy()

    def close(self):
        self._over.set()
        self.join()
        self.server.stop()


@pytest.fixture
def puppet():
    puppet = Puppet()
    yield puppet
    puppet.close()


@pytest.fixture
def page(browser):  # noqa: F811
    context = browser.new_context(viewport={'width': 400, 'height': 400})
    page = context.new_page()
    page.problems = []
    page.on('pageerror', lambda error: page.problems.append(str(error)))
    yield page
    context.close()
    assert page.problems == []


def psnr(pixels, rgb, alpha):
    """Of the picture (H, W, 4) of 0..255 against the renderer's, where either shows the avatar."""
    pixels = pixels / 255.0
    seen = (alpha > 0.02) | (pixels[..., 3] > 0.02)
    return float(-10 * np.log10(((pixels[..., :3] - rgb)[seen] ** 2).mean()))


def test_client_draws_what_the_renderer_draws(page, puppet):
    page.goto(puppet.url)
    wait_shown(page, 1)
    assert ask(page, 'lane') == 'pose'
    for azimuth, elevation, zoom in ((0.0, 0.1, 1.0), (2.2, 0.5, 1.0), (0.3, 0.0, 3.0)):
        page.evaluate(
            'v => { avatarXr.bare = true; avatarXr.view.set(v); }',
            {'azimuth': azimuth, 'elevation': elevation, 'zoom': zoom},
        )
        wait_shown(page, 3)  # order and colours are those of this view
        pixels, eye = canvas(page), ask(page, 'eyes[0]')
        height, width = pixels.shape[:2]
        rgb, alpha = puppet.rendered(eye, width, height)
        assert (alpha > 0.5).mean() > 0.05
        assert psnr(pixels, rgb, alpha) > 38
        shown = pixels[..., 3] > 127
        assert (shown & (alpha > 0.5)).sum() / (shown | (alpha > 0.5)).sum() > 0.995


@pytest.mark.parametrize('mode', ['vr', 'ar'])
def test_each_eye_of_a_headset_sees_the_avatar_from_where_it_is(
    page, puppet, headset_script, mode  # noqa: F811
):  # fmt: skip
    page.add_init_script(headset_script)
    page.goto(puppet.url)
    wait_shown(page, 1)
    page.click(f'#enter-{mode}')
    assert wait_for(lambda: ask(page, 'mode') == mode)
    wait_shown(page, 3, timeout=60)
    pixels, eyes = canvas(page), ask(page, 'eyes')
    left, right = np.split(pixels, 2, axis=1)
    for half, eye, other in ((left, eyes[0], eyes[1]), (right, eyes[1], eyes[0])):
        height, width = half.shape[:2]
        if mode == 'ar':  # nothing behind the avatar
            own = psnr(half, *puppet.rendered(eye, width, height))
            assert own > 35
            assert own > psnr(half, *puppet.rendered(other, width, height)) + 10
        else:  # a floor behind it: only where the avatar is solid
            rgb, alpha = puppet.rendered(eye, width, height)
            error = ((half[..., :3] / 255.0 - rgb)[alpha > 0.98] ** 2).mean()
            assert -10 * np.log10(error) > 35


@pytest.mark.parametrize('file', [b'\x10\0\0\0\0\0\0\0{"means": 1}    ', b'not an avatar'])
def test_damaged_avatar_falls_back_to_pictures_and_says_so(page, file):
    puppet = Puppet(file=file)
    try:
        page.goto(puppet.url)
        assert wait_for(lambda: ask(page, 'lane') in ('h264', 'jpeg'), 15)
        wait_shown(page)
        assert 'cannot be drawn here' in page.inner_text('#notes')
    finally:
        puppet.close()


def test_server_without_poses_sends_pictures_and_the_page_says_so(page):
    puppet = Puppet(file=b'')
    try:
        page.goto(puppet.url)
        wait_shown(page)
        assert ask(page, 'lane') == 'h264'
        assert 'no poses of this avatar' in page.inner_text('#notes')
    finally:
        puppet.close()


def test_software_renderers_are_given_pictures_unless_asked_otherwise(page, puppet):
    page.goto(puppet.server.url())
    wait_shown(page)
    assert ask(page, 'lane') == 'h264'
    assert page.inner_text('#notes') == ''


def test_page_with_poses_comes_back_without_fetching_the_avatar_again(page, puppet):
    page.goto(puppet.url)
    wait_shown(page, 1)
    fetches = "performance.getEntriesByType('resource').filter(e => /avatar$/.test(e.name)).length"
    assert page.evaluate(fetches) == 1
    page.evaluate('avatarXr.connection.lost("")')
    wait_shown(page, 2, timeout=30)
    assert ask(page, 'lane') == 'pose'
    assert page.evaluate(fetches) == 1
