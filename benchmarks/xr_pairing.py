# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Is what the browser shows the picture of the eyes that it takes it for?

``python -m benchmarks.xr_pairing``: every picture has a colour that spells the view that its header
names; the page's canvas is read after each drawing. Needs Chromium and playwright.
"""

import argparse
import threading
import time

import numpy as np

from avatar_ros.geometry import Camera
from avatar_ros.streaming.xr.access import Access
from avatar_ros.streaming.xr.packing import Layers
from avatar_ros.streaming.xr.server import XrServer
from benchmarks.metrics import Metric, write_results
from benchmarks.xr_glass import chromium
from benchmarks.xr_wire import _PERSON as PERSON

COMMAND = 'python -m benchmarks.xr_pairing'
#: Eight levels of each of three colours.
_IDS = 512
_SIDE = 96
_WATCH = """
async frames => {
  const xr = window.avatarXr, seen = [];
  let last = 0;
  while (seen.length < frames) {
    const { width, height, pixels } = await xr.capture();
    const { frameId, viewId } = xr.lastFrame;
    if (frameId === last) continue;
    last = frameId;
    const middle = 4 * (width * (height >> 1) + (width >> 1));
    const level = k => Math.round((pixels[middle + k] / 255 - 0.1) / 0.8 * 7);
    seen.push([frameId, viewId, level(0) + 8 * level(1) + 64 * level(2)]);
  }
  return seen;
}
"""


def board(camera: Camera, number: int) -> Layers:
    """A board in a colour that spells the number, where the person stands."""
    levels = np.array([number % 8, number // 8 % 8, number // 64 % 8])
    colors = np.empty((camera.height, camera.width, 4), np.float32)
    colors[..., :3] = 0.1 + 0.8 * levels / 7
    colors[..., 3] = np.linalg.norm(camera.position - PERSON.mean(0))
    return Layers(colors, np.ones((camera.height, camera.width), np.float32))


class Painter(threading.Thread):
    """A server as fast as its one client takes pictures."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.server = XrServer(
            Access('127.0.0.1', 'secret'), port=0, height=_SIDE, max_pixels_per_s=1e9
        )
        self.server.start()
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(2e-3):
            for work in self.server.hub.work(PERSON, time.monotonic()):
                layers = [board(camera, work.view_ids[0] % _IDS) for camera in work.cameras]
                self.server.hub.finish(work, layers, 0.0, 0.0, time.monotonic)

    def close(self) -> None:
        self._over.set()
        self.join()
        self.server.stop()


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument('--frames', type=int, default=10_000)
    frames = parser.parse_args().frames
    painter = Painter()
    with sync_playwright() as play:
        browser = chromium(play)
        page = browser.new_page(viewport={'width': _SIDE, 'height': _SIDE})
        page.goto(painter.server.url())
        while not page.evaluate('avatarXr.framesShown'):
            time.sleep(0.05)
        page.evaluate('avatarXr.bare = true')
        start, seen = time.monotonic(), []
        while len(seen) < frames:
            seen += page.evaluate(_WATCH, min(500, frames - len(seen)))
        seconds = time.monotonic() - start
        browser.close()
    painter.close()
    wrong = sum(view % _IDS != painted for _, view, painted in seen)
    views = len({view for _, view, _ in seen})
    where = (
        f'{len(seen)} frames of {views} views, {len(seen) / seconds:.0f} a second, headless '
        'Chromium, software GL, canvas read after each'
    )
    write_results(
        'xr_pairing',
        [
            Metric('xr.pairing_browser.mismatches', wrong, '', 'lower', where, COMMAND),
            Metric('xr.pairing_browser.frames', len(seen), '', 'higher', where, COMMAND),
        ],
    )


if __name__ == '__main__':
    main()
