# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Video files as input: order of pictures, rate, and what is said of files that are no videos."""

import itertools
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar_ros.tracking.video import VideoError, VideoSource

_COUNT = 6


@pytest.fixture(scope='module')
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures 64x48 at 60 Hz, each a little brighter in red."""
    path = tmp_path_factory.mktemp('video') / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 60.0, (64, 48))
    for k in range(_COUNT):
        writer.write(np.full((48, 64, 3), (0, 0, 20 + 40 * k), np.uint8))
    writer.release()
    return path


def _numbers(source: VideoSource, count: int) -> list[int]:
    """Which pictures come, read off their brightness."""
    pictures = itertools.islice(source.pictures(lambda: True), count)
    numbers = [round((float(p[..., 0].mean()) - 20) / 40) for p in pictures]
    source.close()
    return numbers


def test_once_ends_with_the_file(clip: Path) -> None:
    assert _numbers(VideoSource(str(clip), rate_hz=0, loop='once'), 20) == [0, 1, 2, 3, 4, 5]


def test_repeat_starts_again(clip: Path) -> None:
    numbers = _numbers(VideoSource(str(clip), rate_hz=0, loop='repeat'), 14)
    assert numbers == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1]


def test_pingpong_goes_back_and_shows_neither_end_twice(clip: Path) -> None:
    numbers = _numbers(VideoSource(str(clip), rate_hz=0, loop='pingpong'), 16)
    assert numbers == [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5]


def test_a_lower_rate_skips_pictures_and_keeps_real_time(clip: Path) -> None:
    source = VideoSource(str(clip), rate_hz=20, loop='repeat')
    start = time.monotonic()
    numbers = _numbers(source, 8)
    assert numbers == [0, 3, 0, 3, 0, 3, 0, 3]
    assert time.monotonic() - start > 6 / 20


def test_pictures_are_rgb_and_no_larger_than_asked_for(clip: Path) -> None:
    picture = next(VideoSource(str(clip), max_side=32).pictures(lambda: True))
    assert picture.shape == (24, 32, 3)
    picture = list(itertools.islice(VideoSource(str(clip)).pictures(lambda: True), 6))[-1]
    assert picture[..., 0].mean() > 100 > picture[..., 2].mean()


def test_it_stops_when_told_to(clip: Path) -> None:
    left = iter([True] * 4)
    pictures = VideoSource(str(clip), rate_hz=0).pictures(lambda: next(left, False))
    assert len(list(pictures)) < 4


def test_a_missing_file_is_named_with_what_could_be_given(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r'missing\.mp4.*cannot be opened.*webcam number'):
        VideoSource(str(tmp_path / 'missing.mp4'))


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'text.mp4'
    path.write_text('not a video')
    with pytest.raises(VideoError, match=r'text\.mp4'):
        next(VideoSource(str(path)).pictures(lambda: True))
