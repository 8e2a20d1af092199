# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The page in headless Chromium against the real server, with an emulated headset (IWER)."""

import shutil
import struct
import threading
import time
from importlib.resources import files

import numpy as np
import pytest
from helpers import wait_for
from streaming.xr.conftest import PERSON

from avatar_ros.streaming.xr.access import Access
from avatar_ros.streaming.xr.packing import Layers
from avatar_ros.streaming.xr.server import XrServer
from avatar_ros.streaming.xr.viewers import WINDOW
from benchmarks.headset import headset_script as headset_script_of_npm
from benchmarks.xr_pose_lane import canvas

playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
PAGE = files('avatar_ros.streaming') / 'page' / 'xr'
CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason='Chromium is not installed'),
]
#: Kind of a message with a picture, and its codec: docs/xr_protocol.md.
FRAME, H264 = 16, 0
#: What each eye is shown: nothing else can tell them apart as surely.
LEFT_COLOR, RIGHT_COLOR = (0.9, 0.1, 0.1), (0.1, 0.8, 0.1)


class Stage(threading.Thread):
    """A server whose avatar is a disc, red for the left eye and green for the right one."""

    def __init__(self, port=0):
        super().__init__(daemon=True)
        self.server = XrServer(Access('127.0.0.1', 'secret'), port=port, height=160)
        self.server.start()
        self._over = threading.Event()
        self.start()

    def run(self):
        while not self._over.wait(1 / 30):
            for work in self.server.hub.work(PERSON, time.monotonic()):
                colors = [LEFT_COLOR, RIGHT_COLOR][: len(work.cameras)]
                layers = [flat(c, color) for c, color in zip(work.cameras, colors, strict=True)]
                self.server.hub.finish(work, layers, 0.0, 1.0, time.monotonic)

    def close(self):
        self._over.set()
        self.join()
        self.server.stop()


def flat(camera, color):
    """A board of this colour that stands where the person does and fills the middle."""
    height, width = camera.height, camera.width
    alpha = np.zeros((height, width), np.float32)
    alpha[height // 8 : -height // 8, width // 8 : -width // 8] = 1
    colors = np.empty((height, width, 4), np.float32)
    colors[..., :3] = alpha[..., None] * np.array(color, np.float32)
    colors[..., 3] = np.linalg.norm(camera.position - PERSON.mean(0))
    return Layers(colors, alpha)


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture(scope='module')
def browser():
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=['--no-sandbox', '--headless=new']
        )
        yield browser
        browser.close()


@pytest.fixture(scope='module')
def headset_script():
    try:
        return headset_script_of_npm()
    except OSError as error:
        pytest.skip(str(error))


@pytest.fixture
def page(browser, stage):
    context = browser.new_context(viewport={'width': 600, 'height': 400})
    page = context.new_page()
    page.problems = []
    page.on('pageerror', lambda error: page.problems.append(str(error)))
    yield page
    context.close()
    assert page.problems == []


def ask(page, script):
    return page.evaluate(f'window.avatarXr.{script}')


def wait_shown(page, more=3, timeout=20):
    """Until some more frames were drawn."""
    before = ask(page, 'framesShown')
    assert wait_for(lambda: ask(page, 'framesShown') >= before + more, timeout), ask(page, 'errors')


def share(pixels, color):
    """How much of the picture has about this colour."""
    distance = np.abs(pixels[..., :3].astype(float) / 255 - np.array(color)).max(-1)
    return float((distance < 0.2).mean())


def test_desktop_shows_the_avatar_and_drags_round_it(page, stage):
    page.goto(stage.server.url())
    wait_shown(page)
    assert ask(page, 'lane') == 'h264'
    assert share(canvas(page), LEFT_COLOR) > 0.05
    before = ask(page, 'eyes[0].position')
    page.mouse.move(300, 200)
    page.mouse.down()
    page.mouse.move(420, 200, steps=4)
    page.mouse.up()
    wait_shown(page)
    assert np.linalg.norm(np.subtract(ask(page, 'eyes[0].position'), before)) > 0.1
    assert 'token' not in page.url


def test_browser_without_webcodecs_gets_jpeg_and_is_told(page, stage):
    page.add_init_script('delete window.VideoDecoder;')
    page.goto(stage.server.url())
    wait_shown(page)
    assert ask(page, 'lane') == 'jpeg'
    assert share(canvas(page), LEFT_COLOR) > 0.05
    assert 'JPEG' in page.inner_text('body')


def test_picture_that_the_browser_converts_is_the_one_of_planes(browser, stage):
    """Hardware decoders' frames take the browser's way to RGB; software decoders' are planes."""
    decoder = (PAGE / 'pixel_decoder.js').read_text()
    seen = {}
    for form, script in (('planes', decoder), ('rgb', decoder.replace("'I420'", "'none'"))):
        with browser.new_page(viewport={'width': 600, 'height': 400}) as page:
            kind = 'text/javascript'
            page.route('**/pixel_decoder.js', lambda r: r.fulfill(body=script, content_type=kind))  # noqa: B023
            page.goto(stage.server.url())
            wait_shown(page, 5)
            seen[form] = canvas(page).astype(int)
    assert decoder != script
    assert share(seen['rgb'], LEFT_COLOR) > 0.05
    # Browsers convert with integers; outlines differ by how they filter chroma.
    assert np.percentile(np.abs(seen['rgb'] - seen['planes']), 99) <= 4


@pytest.mark.parametrize('mode', ['vr', 'ar'])
def test_headset_session_shows_each_eye_its_own_picture(page, stage, headset_script, mode):
    page.add_init_script(headset_script)
    page.goto(stage.server.url())
    wait_shown(page)
    page.click(f'#enter-{mode}')
    assert wait_for(lambda: ask(page, 'mode') == mode)
    wait_shown(page)
    eyes = ask(page, 'eyes')
    assert len(eyes) == 2
    assert eyes[0]['position'][0] < eyes[1]['position'][0]
    pixels = canvas(page)
    left, right = np.split(pixels, 2, axis=1)
    assert share(left, LEFT_COLOR) > 0.02
    assert share(right, RIGHT_COLOR) > 0.02
    assert share(left, RIGHT_COLOR) == share(right, LEFT_COLOR) == 0
    # The viewer walks: the eyes that are sent follow.
    page.evaluate('headset.position.set(0.3, 1.4, 0.1)')
    assert wait_for(lambda: abs(ask(page, 'eyes')[0]['position'][1] - 1.4) < 0.05)
    page.evaluate('window.avatarXr.xr.end()')
    assert wait_for(lambda: ask(page, 'mode') == 'desktop')
    wait_shown(page)
    assert len(ask(page, 'eyes')) == 1


def test_page_comes_back_when_the_server_does(page, stage):
    page.goto(stage.server.url())
    wait_shown(page)
    port = stage.server.port
    stage.close()
    assert wait_for(lambda: ask(page, 'state') == 'reconnecting')
    assert 'does not answer' in page.inner_text('body')
    again = Stage(port)
    try:
        wait_shown(page, timeout=30)
        assert ask(page, 'state') == 'live'
    finally:
        again.close()


def test_page_that_is_busy_drawing_still_gets_its_frames(page, stage):
    page.goto(stage.server.url())
    wait_shown(page)
    before = ask(page, 'lastFrame.frameId')
    page.evaluate('{const end = performance.now() + 1000; while (performance.now() < end);}')
    wait_shown(page, 2)
    # Of 30 frames; had the page acknowledged them, no more than `WINDOW` were sent meanwhile.
    assert ask(page, 'lastFrame.frameId') - before >= 20
    assert ask(page, 'decodeErrors') == 0


def spoil_keys(hub, count):
    """Damage the next so many key frames on their way."""
    send, left = hub._send, [count]

    def spoiled(viewer, data):
        if data[:2] == bytes((FRAME, H264)) and data[2] & 1 and left[0]:
            left[0] -= 1
            (start,) = struct.unpack_from('<H', data, 4)
            data = data[:start] + bytes(len(data) - start)
        send(viewer, data)

    hub._send = spoiled


def test_several_damaged_keys_in_a_row_do_not_freeze_the_picture(page, stage):
    spoil_keys(stage.server.hub, 3)
    page.goto(stage.server.url())
    wait_shown(page, 10)
    assert ask(page, 'lane') == 'h264'
    assert ask(page, 'decodeErrors') >= 3


def test_decoder_that_takes_no_key_is_left_for_jpeg(page, stage):
    spoil_keys(stage.server.hub, 1_000_000)
    page.goto(stage.server.url())
    assert wait_for(lambda: ask(page, 'lane') == 'jpeg', 30)
    wait_shown(page, 5)
    assert 'JPEG' in page.inner_text('body')


def test_page_that_nobody_sees_is_sent_nothing(page, stage):
    page.goto(stage.server.url())
    wait_shown(page)
    # As browsers do: who is hidden is told, and draws nothing.
    hide = """hidden => {
        const draw = (window.draw ??= window.requestAnimationFrame);
        const waiting = (window.waiting ??= []);
        window.requestAnimationFrame = hidden ? next => waiting.push(next) : draw;
        for (const next of hidden ? [] : waiting.splice(0)) draw(next);
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(hide, True)
    time.sleep(0.5)
    before = ask(page, 'framesReceived')
    time.sleep(1.0)
    # An acknowledgement that does not come is given up after two seconds.
    assert ask(page, 'framesReceived') - before <= WINDOW
    page.evaluate(hide, False)
    wait_shown(page, 10)


def test_every_frame_is_drawn_once_and_in_order(page, stage):
    page.goto(stage.server.url())
    wait_shown(page, 30, timeout=40)
    frames = [frame for frame, _, _ in ask(page, 'shown')]
    assert frames == sorted(set(frames))
    assert ask(page, 'decodeErrors') == ask(page, 'badMessages') == 0
