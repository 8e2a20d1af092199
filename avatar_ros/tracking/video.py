# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures from webcams, video files and network streams, through OpenCV."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from avatar_ros.assets import DEMOS, asset_path
from avatar_ros.types import Image

LOOPS = ('repeat', 'pingpong', 'once')
_MAX_PINGPONG_BYTES = 400_000_000
_OPEN_TIMEOUT_MS = 5000


class VideoError(RuntimeError):
    """An input that cannot be opened or has stopped giving pictures."""


class VideoSource:
    """RGB pictures (H, W, 3) at most `max_side` pixels long, at the source's own pace.

    Live inputs (webcam, stream) are read as fast as they come. Files are played in real time:
    pictures that would be late are skipped, as a camera would have done.

    :raises VideoError: if the input cannot be opened.
    :raises MissingAssetError: if a demo clip was not fetched.
    """

    def __init__(
        self, name: str, *, rate_hz: float = 30.0, max_side: int = 0, loop: str = 'repeat'
    ) -> None:
        self.name = str(asset_path(DEMOS[name].asset)) if name in DEMOS else name
        self.rate_hz = rate_hz
        self.max_side = max_side
        self.loop = loop
        self.live = not Path(self.name).expanduser().is_file()
        self._capture = self._open()

    def _open(self) -> cv2.VideoCapture:
        if self.name.isdigit() or self.name.startswith('/dev/video'):
            capture = cv2.VideoCapture(int(self.name.removeprefix('/dev/video')))
        elif self.live and '://' in self.name:
            timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_TIMEOUT_MS]
            timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, _OPEN_TIMEOUT_MS]
            capture = cv2.VideoCapture(self.name, cv2.CAP_FFMPEG, timeouts)
        else:
            capture = cv2.VideoCapture(str(Path(self.name).expanduser()))
        if not capture.isOpened():
            capture.release()
            raise VideoError(
                f'input {self.name!r} cannot be opened. Expected a webcam number (0), /dev/videoN, '
                f'a video file, a stream such as rtsp://host/path, or {" or ".join(DEMOS)}. '
                'Check that it exists, that no other program uses it and that you may read it.'
            )
        if self.live:
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not the oldest
            if self.rate_hz > 0:
                capture.set(cv2.CAP_PROP_FPS, self.rate_hz)
        return capture

    def reopen(self) -> None:
        """Open the input again after it was lost.

        :raises VideoError: if it is still not there.
        """
        self._capture.release()
        self._capture = self._open()

    def close(self) -> None:
        """Release the device or file."""
        self._capture.release()

    def pictures(self, keep_going: Callable[[], bool]) -> Iterator[Image]:
        """Pictures in real time while `keep_going()`; ends with the file unless it loops.

        :raises VideoError: if a live input stops giving pictures.
        """
        if self.live:
            yield from self._live_pictures(keep_going)
        else:
            yield from self._file_pictures(keep_going)

    def _live_pictures(self, keep_going: Callable[[], bool]) -> Iterator[Image]:
        while keep_going():
            ok, bgr = self._capture.read()
            if not ok or bgr is None:
                raise VideoError(
                    f'input {self.name!r} stopped giving pictures. '
                    'Was the camera unplugged or the stream ended?'
                )
            yield self._prepared(np.asarray(bgr, dtype=np.uint8))

    def _file_pictures(self, keep_going: Callable[[], bool]) -> Iterator[Image]:
        file_fps = self._capture.get(cv2.CAP_PROP_FPS) or 30.0
        rate = min(self.rate_hz, file_fps) if self.rate_hz > 0 else file_fps
        due = time.monotonic()
        for picture in self._decoded(file_fps / rate, keep_going):
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            elif wait < -1.0:  # the machine was asleep: do not catch up in a rush
                due = time.monotonic()
            if not keep_going():
                return
            yield picture
            due += 1.0 / rate

    def _decoded(self, step: float, keep_going: Callable[[], bool]) -> Iterator[Image]:
        """Every `step`-th picture of the file, again and again if it loops."""
        kept: list[Image] = []
        while keep_going():
            index, wanted, given = 0, 0.0, 0
            while keep_going():
                if not self._capture.grab():
                    break
                if index >= wanted - 1e-6:
                    ok, bgr = self._capture.retrieve()
                    if not ok or bgr is None:
                        break
                    picture = self._prepared(np.asarray(bgr, dtype=np.uint8))
                    if self.loop == 'pingpong':
                        kept.append(picture)
                        self._check_memory(kept)
                    yield picture
                    given += 1
                    wanted += step
                index += 1
            if given == 0 and keep_going():
                raise VideoError(f'video file {self.name} holds no picture that OpenCV can decode.')
            if self.loop == 'once':
                return
            if self.loop == 'pingpong':
                yield from self._back_and_forth(kept, keep_going)
                return
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)

    def _back_and_forth(self, kept: list[Image], keep_going: Callable[[], bool]) -> Iterator[Image]:
        # Neither end is shown twice in a row.
        cycle = kept[-2:0:-1] + kept if len(kept) > 1 else kept
        while keep_going():
            yield from cycle

    def _check_memory(self, kept: list[Image]) -> None:
        if len(kept) * kept[0].nbytes > _MAX_PINGPONG_BYTES:
            raise VideoError(
                f'{self.name} is too long to be played back and forth: {len(kept)} pictures '
                'already fill 400 MB. Use loop:=repeat, or a smaller max_side.'
            )

    def _prepared(self, bgr: Image) -> Image:
        height, width = bgr.shape[:2]
        if 0 < self.max_side < max(height, width):
            scale = self.max_side / max(height, width)
            size = round(width * scale), round(height * scale)
            bgr = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
