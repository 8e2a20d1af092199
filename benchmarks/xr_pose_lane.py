# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The lane of poses: bytes, how soon a late joiner sees the avatar, and the picture it sees.

``python -m benchmarks.xr_pose_lane``. Needs Chromium and `pip install playwright`.
"""

import argparse
import base64
import threading
import time
from contextlib import closing
from typing import Any

import numpy as np

from avatar_ros.avatars.rig import rig_of
from avatar_ros.streaming.xr.access import Access
from avatar_ros.streaming.xr.server import XrServer
from avatar_ros.streaming.xr.viewport import cameras_of_eyes
from avatar_ros.types import Array
from benchmarks.metrics import Metric, load, median_cpu_ms, write_results
from benchmarks.xr_glass import chromium
from benchmarks.xr_scene import FPS, MovingAvatar

COMMAND = 'python -m benchmarks.xr_pose_lane'
HEADER_BYTES = 16
_SIDE = 480
#: Azimuth and elevation in radians, zoom.
VIEWS = ((0.0, 0.1, 1.0), (2.2, 0.5, 1.0), (0.3, 0.0, 3.0))
_CAPTURE = """
window.avatarXr.capture().then(({ width, height, pixels }) => {
  let text = '';
  for (let k = 0; k < pixels.length; k += 8192)
    text += String.fromCharCode(...pixels.subarray(k, k + 8192));
  return { width, height, pixels: btoa(text) };
})
"""


class PoseServer(threading.Thread):
    """The server with an avatar that keeps still or moves, for clients that draw it or not."""

    def __init__(
        self,
        avatar: str = 'demo',
        *,
        still: int | None = 40,
        file: bytes | None = None,
        height: int = 160,
    ) -> None:
        """`still` is the frame that is shown; None: all in turn. `file` replaces the avatar's."""
        super().__init__(daemon=True)
        self.moving = MovingAvatar(90, avatar)
        self.player = self.moving.player
        self.rig = rig_of(self.player.avatar)
        frames = range(len(self.moving)) if still is None else [still]
        placed = [self.player.place(self.moving.body_pose(k)) for k in frames]
        self.poses = [self.rig.layout.encode(self.player.avatar, p, None) for p in placed]
        self.player.deform(placed[-1], None)
        file = self.rig.file if file is None else file
        self.server = XrServer(Access('127.0.0.1', 'secret'), port=0, height=height, rig=file)
        self.server.start()
        self._over = threading.Event()
        self._drawing = threading.Lock()  # a player's buffers are one thread's at a time
        self.start()

    @property
    def url(self) -> str:
        return self.server.url().replace('?', '?lane=pose&')

    def run(self) -> None:
        k = 0
        while not self._over.wait(1 / FPS):
            now_s, hub, k = time.monotonic(), self.server.hub, k + 1
            pose = self.poses[k % len(self.poses)]
            hub.send_pose(hub.takers(True, now_s), pose, now_s * 1e3, now_s)
            for work in hub.work(self.player.outline(), now_s):
                with self._drawing:
                    layers = self.moving.draw(list(work.cameras))
                hub.finish(work, layers, now_s * 1e3, 1.0, time.monotonic)

    def rendered(self, eye: dict[str, list[float]], width: int, height: int) -> tuple[Array, Array]:
        """RGB (H, W, 3) on black and alpha, from an eye of the page, by the server's renderer."""
        view = np.array([[*eye['position'], *eye['orientation'], *eye['tangents']]])
        with self._drawing:
            (layers,) = self.moving.draw(cameras_of_eyes(view, width, height))
        return layers.colors[..., :3].clip(0, 1), layers.alphas

    def close(self) -> None:
        self._over.set()
        self.join()
        self.server.stop()


def canvas(page: Any) -> Array:
    """What the page draws next, (H, W, 4) uint8, top row first."""
    shot = page.evaluate(_CAPTURE)
    pixels = np.frombuffer(base64.b64decode(shot['pixels']), np.uint8)
    return np.asarray(pixels.reshape(shot['height'], shot['width'], 4)[::-1])


def psnr(pixels: Array, rgb: Array, alpha: Array) -> float:
    """Of a canvas against the renderer's picture, where either shows the avatar."""
    shown = pixels / 255.0
    seen = (alpha > 0.02) | (shown[..., 3] > 0.02)
    return float(-10 * np.log10(((shown[..., :3] - rgb)[seen] ** 2).mean()))


def wait_shown(page: Any, more: int, timeout_s: float = 60.0) -> None:
    """Until the page has drawn so many more frames."""
    wanted = page.evaluate('avatarXr.framesShown') + more
    end = time.monotonic() + timeout_s
    while page.evaluate('avatarXr.framesShown') < wanted:
        if time.monotonic() > end:
            raise RuntimeError(f'nothing is shown: {page.evaluate("avatarXr.errors")}')
        time.sleep(0.02)


def compare(page: Any, puppet: PoseServer, view: tuple[float, float, float]) -> tuple[float, float]:
    """PSNR on the avatar's pixels, and IoU of what is opaque, of page and renderer."""
    azimuth, elevation, zoom = view
    page.evaluate(
        'v => { avatarXr.bare = true; avatarXr.view.set(v); }',
        {'azimuth': azimuth, 'elevation': elevation, 'zoom': zoom},
    )
    wait_shown(page, 3)  # order and colours are those of this view
    pixels, eye = canvas(page), page.evaluate('avatarXr.eyes[0]')
    height, width = pixels.shape[:2]
    rgb, alpha = puppet.rendered(eye, width, height)
    a, b = pixels[..., 3] > 127, alpha > 0.5
    return psnr(pixels, rgb, alpha), float((a & b).sum() / (a | b).sum())


def join_s(browser: Any, puppet: PoseServer) -> float:
    """From the page's address to the first picture on its canvas."""
    context = browser.new_context(viewport={'width': _SIDE, 'height': _SIDE})
    page = context.new_page()
    page.goto(puppet.url)
    wait_shown(page, 1)
    first = page.evaluate('avatarXr.shown[0][2]')
    context.close()
    return float(first) / 1e3


def measure(play: Any, avatar: str, rounds: int) -> list[Metric]:
    browser = chromium(play)
    with closing(PoseServer(avatar, still=None)) as puppet:
        joined = [join_s(browser, puppet) for _ in range(rounds)]
        size = HEADER_BYTES + puppet.rig.layout.size
        file_mb = len(puppet.rig.file) / 1e6
        placed = puppet.player.place(puppet.moving.body_pose(0))
        encode = puppet.rig.layout.encode
        encode_ms = median_cpu_ms(lambda: encode(puppet.player.avatar, placed, None))
    with closing(PoseServer(avatar)) as puppet:
        page = browser.new_page(viewport={'width': _SIDE, 'height': _SIDE})
        page.goto(puppet.url)
        wait_shown(page, 1)
        found = [compare(page, puppet, view) for view in VIEWS]
    browser.close()
    count = len(puppet.player.avatar)
    what = f'{avatar} avatar, {count} Gaussians'
    here = f'{what}, {_SIDE}x{_SIDE}, headless Chromium, software GL'
    return [
        metric(avatar, 'bytes', size, 'B', 'lower', f'a frame, whatever the pose; {what}'),
        metric(avatar, 'avatar_mb', file_mb, 'MB', 'lower', f'once; {what}'),
        metric(avatar, 'encode_cpu_ms', encode_ms, 'ms', 'lower',
               f'server, a pose for all clients, CPU time; {what}'),
        metric(avatar, 'join_s', float(np.median(joined)), 's', 'lower',
               f'address to first picture of the moving avatar, median of {rounds}, {load()}; '
               f'{here}'),
        metric(avatar, 'psnr_db', min(p for p, _ in found), 'dB', 'higher',
               f'avatar pixels against the renderer, worst of {len(VIEWS)} views; {here}'),
        metric(avatar, 'iou', min(i for _, i in found), '', 'higher',
               f'of what is opaque, worst of {len(VIEWS)} views; {here}'),
    ]  # fmt: skip


def metric(avatar: str, key: str, value: float, unit: str, better: str, where: str) -> Metric:
    key = f'xr.pose_lane.{avatar}.{key}'
    return Metric(key, value, unit, better, where, COMMAND)  # type: ignore[arg-type]


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument('--rounds', type=int, default=7, help='late joiners')
    rounds = parser.parse_args().rounds
    with sync_playwright() as play:
        metrics = [m for name in ('demo', 'dressed') for m in measure(play, name, rounds)]
    write_results('xr_pose_lane', metrics)


if __name__ == '__main__':
    main()
