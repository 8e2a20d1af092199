# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The page draws the avatar itself: the same picture as the server's renderer, else pixels."""

import numpy as np
import pytest
from helpers import wait_for

pytest.importorskip('playwright.sync_api', reason='playwright is not installed')

from streaming.xr.test_browser import (  # noqa: F401  (fixtures)
    CHROMIUM,
    ask,
    browser,
    headset_script,
    wait_shown,
)

from benchmarks.xr_pose_lane import VIEWS, PoseServer, canvas, compare, psnr

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason='Chromium is not installed'),
]


@pytest.fixture
def puppet():
    puppet = PoseServer()
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


def test_client_draws_what_the_renderer_draws(page, puppet):
    page.goto(puppet.url)
    wait_shown(page, 1)
    assert ask(page, 'lane') == 'pose'
    for view in VIEWS:
        decibels, overlap = compare(page, puppet, view)
        assert decibels > 38
        assert overlap > 0.995


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
    puppet = PoseServer(file=file)
    try:
        page.goto(puppet.url)
        assert wait_for(lambda: ask(page, 'lane') in ('h264', 'jpeg'), 15)
        wait_shown(page)
        assert 'cannot be drawn here' in page.inner_text('#notes')
    finally:
        puppet.close()


def test_server_without_poses_sends_pictures_and_the_page_says_so(page):
    puppet = PoseServer(file=b'')
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
