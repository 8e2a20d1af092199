# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What the page shows from where the eye is now, of a frame that was rendered for where it was.

``python -m benchmarks.xr_reprojection``: the real page holds a decoded frame, its eye moves on as a
walking head does in 100 ms, and the canvas is compared with a fresh render from there. The rival
turns the same picture and leaves its place alone. Needs Chromium and `pip install playwright`.
"""

import argparse
import time
from contextlib import closing
from typing import Any

import numpy as np

from avatar_ros.geometry import quat_from_rotvec, quat_multiply
from avatar_ros.streaming.xr.encoder import h264_encoder_name
from avatar_ros.types import Array
from benchmarks.metrics import Metric, write_results
from benchmarks.xr_glass import chromium
from benchmarks.xr_pose_lane import PoseServer, canvas, psnr, wait_shown

COMMAND = 'python -m benchmarks.xr_reprojection'
STALE_S, SPEED_M_S, TURN_DEG_S = 0.1, 0.8, 60.0
#: Ways to walk (x right, y up, z back), each with a turn of the head to the left or right.
WALKS = (((1, 0, 0), 1), ((-1, 0, 0), 1), ((0.7, 0, -0.7), -1), ((0, 1, 0), 1), ((0, 0, -1), -1))
_SIDE, _HEIGHT = 480, 464
_FROM = {'position': [0.0, 1.4, 2.2], 'orientation': [0.0, 0.0, 0.0, 1.0]}
#: As wide as a headset's eye would be cropped to the avatar, so that no pixel is wasted.
_TANGENTS = [-0.55, 0.55, -0.75, 0.35]
_LOOK = """
eye => {
  Object.defineProperty(avatarXr.view, 'eye', { get: () => eye, configurable: true });
  avatarXr.view.version++;
}
"""


def moved(walk: tuple[float, ...], turn: int) -> dict[str, list[float]]:
    """The eye after so long."""
    direction = np.array(walk) / np.linalg.norm(walk)
    position = np.array(_FROM['position']) + direction * SPEED_M_S * STALE_S
    quat = quat_from_rotvec([0, np.radians(turn * TURN_DEG_S * STALE_S), 0])
    start = np.roll(_FROM['orientation'], 1)
    orientation = np.roll(quat_multiply(quat, start), -1)
    return {'position': position.tolist(), 'orientation': orientation.tolist()}


def look(page: Any, eye: dict[str, list[float]]) -> Array:
    """The canvas from this eye; the frame stays."""
    page.evaluate(_LOOK, {**eye, 'tangents': _TANGENTS})
    time.sleep(0.1)
    return canvas(page)


def compare(pixels: Array, puppet: PoseServer, eye: dict[str, list[float]]) -> tuple[float, float]:
    """PSNR on avatar pixels and IoU of what is opaque, against a fresh render."""
    height, width = pixels.shape[:2]
    rgb, alpha = puppet.rendered({**eye, 'tangents': _TANGENTS}, width, height)
    a, b = pixels[..., 3] > 127, alpha > 0.5
    return psnr(pixels, rgb, alpha), float((a & b).sum() / (a | b).sum())


def hold_a_frame(page: Any) -> None:
    """Frames of this eye have come for a while; the last of them stays."""
    page.evaluate('avatarXr.bare = true; avatarXr.hold = false')
    page.evaluate(_LOOK, {**_FROM, 'tangents': _TANGENTS})
    wait_shown(page, 30)
    end = time.monotonic() + 60
    while page.evaluate('avatarXr.lastFrame.height') != _HEIGHT:  # a busy machine had less
        if time.monotonic() > end:
            raise RuntimeError('the machine is too busy for pictures of full size')
        time.sleep(0.05)
    page.evaluate('avatarXr.hold = true')


def measure(browser: Any, avatar: str) -> list[Metric]:
    with closing(PoseServer(avatar, height=_HEIGHT)) as puppet:
        page = browser.new_page(viewport={'width': _SIDE, 'height': _SIDE})
        page.goto(puppet.server.url())
        wait_shown(page, 1)
        hold_a_frame(page)
        still = compare(look(page, _FROM), puppet, _FROM)
        ours, turned = [], []
        for walk, turn in WALKS:
            eye = moved(walk, turn)
            ours.append(compare(look(page, eye), puppet, eye))
            only_turned = {**_FROM, 'orientation': eye['orientation']}
            turned.append(compare(look(page, only_turned), puppet, eye))
        page.close()
    db, rival = np.array([d for d, _ in ours]), np.array([d for d, _ in turned])
    overlap = min(i for _, i in ours)
    where = (
        f'{STALE_S * 1e3:g} ms stale, {SPEED_M_S:g} m/s and {TURN_DEG_S:g} degrees/s, '
        f'{len(WALKS)} ways to walk, {_SIDE}x{_SIDE} canvas of {_HEIGHT} pixel pictures '
        f'({h264_encoder_name()}), avatar {avatar}, headless Chromium, software GL'
    )
    return [
        metric(avatar, 'still_psnr_db', still[0], 'dB', 'higher', f'without any motion; {where}'),
        metric(avatar, 'still_iou', still[1], '', 'higher', f'without any motion; {where}'),
        metric(avatar, 'psnr_db', float(np.median(db)), 'dB', 'higher',
               f'avatar pixels, median; {where}'),
        metric(avatar, 'psnr_worst_db', float(db.min()), 'dB', 'higher', where),
        metric(avatar, 'iou', overlap, '', 'higher', f'worst; {where}'),
        metric(avatar, 'over_rotation_db', float(np.median(db - rival)), 'dB', 'higher',
               f'median gain over turning the picture; {where}'),
    ]  # fmt: skip


def metric(avatar: str, key: str, value: float, unit: str, better: str, where: str) -> Metric:
    key = f'xr.reprojection.{avatar}.{key}'
    return Metric(key, value, unit, better, where, COMMAND)  # type: ignore[arg-type]


def main() -> None:
    from playwright.sync_api import sync_playwright

    argparse.ArgumentParser(prog=COMMAND, description=__doc__).parse_args()
    with sync_playwright() as play:
        browser = chromium(play)
        metrics = [m for name in ('demo', 'dressed') for m in measure(browser, name)]
        browser.close()
    write_results('xr_reprojection', metrics)


if __name__ == '__main__':
    main()
