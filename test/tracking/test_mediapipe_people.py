# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The real estimator on pictures with several people, made of real videos side by side."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from helpers import asset_or_skip

from avatar_ros.body.pose import TrackingState
from avatar_ros.geometry import Camera
from avatar_ros.tracking import PeopleTracker, TrackerResult, create_people_estimator
from avatar_ros.tracking.mediapipe_people import MediaPipePeopleEstimator, _windows
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.types import Image

VIDEOS = ('body.mp4', 'body_cam01.mp4', 'body_cam03.mp4', 'body_cam04.mp4')
TILE = (300, 534)


@pytest.fixture(scope='module')
def estimator() -> Iterator[MediaPipePeopleEstimator]:
    pytest.importorskip('mediapipe')
    made = create_people_estimator('mediapipe', max_people=4, face=False, hands=False)
    assert isinstance(made, MediaPipePeopleEstimator)
    yield made
    made.close()


def side_by_side(names: tuple[str, ...], count: int) -> Iterator[Image]:
    captures = [cv2.VideoCapture(str(asset_or_skip(name))) for name in names]
    for _ in range(count):
        tiles = [cv2.resize(capture.read()[1], TILE) for capture in captures]
        yield np.ascontiguousarray(np.concatenate(tiles, axis=1)[..., ::-1])


def track(
    estimator: MediaPipePeopleEstimator, pictures: Iterator[Image]
) -> list[list[TrackerResult]]:
    tracker = PeopleTracker(estimator, free_rest_landmarks())
    tracker.reset()
    results = []
    for k, rgb in enumerate(pictures):
        camera = Camera.from_fov(rgb.shape[1], rgb.shape[0], 50.0)
        results.append(tracker.process(rgb, camera, k * 50_000_000))
    return results


@pytest.mark.slow
@pytest.mark.parametrize('people', [2, 4])
def test_everybody_is_found_once_and_keeps_the_id(
    estimator: MediaPipePeopleEstimator, people: int
) -> None:
    results = track(estimator, side_by_side(VIDEOS[:people], 60))
    settled = results[30:]
    assert all(len(image) == people for image in settled)
    assert len({r.pose.person_id for image in results for r in image}) == people
    seen = [r.pose.state == TrackingState.TRACKED for image in settled for r in image]
    assert np.mean(seen) > 0.95
    for image in settled:  # each in their own tile
        tiles = {
            int(np.median(r.landmarks.body.pixels[:, 0]) // TILE[0])
            for r in image
            if r.landmarks.body is not None
        }
        assert len(tiles) == sum(r.landmarks.body is not None for r in image)


def test_an_empty_room_is_empty(estimator: MediaPipePeopleEstimator) -> None:
    results = track(estimator, iter([np.full((240, 640, 3), 90, np.uint8)] * 5))
    assert [r.pose.state for r in results[-1]] == [TrackingState.LOST]


def test_windows_cover_the_picture_with_overlap() -> None:
    for height, width in ((480, 640), (640, 1440), (900, 300), (400, 400)):
        windows = _windows(np.zeros((height, width, 3), np.uint8))
        assert windows[0] == (0, 0, width, height)
        covered = np.zeros((height, width), int)
        for x0, y0, x1, y1 in windows[1:]:
            assert x1 - x0 == y1 - y0 == min(height, width)
            covered[y0:y1, x0:x1] += 1
        assert len(windows) == 1 or covered.min() >= 1
