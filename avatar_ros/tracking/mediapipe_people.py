# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""MediaPipe for several people: a BlazePose graph each, which follows its person by itself.

MediaPipe's own landmarker for several poses runs its detector and the landmark network for every
slot that is free, in every image. Here a graph that follows nobody is sent to look now and then
only, in a picture in which those who are known are painted over. Its detector sees 224 pixels, in
which people far from a wide camera are too small; so graphs look through square windows, and each
follows its person through one of about twice their size.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avatar_ros.body.skeletons import BLAZEPOSE_INDEX, SIDES
from avatar_ros.geometry import Camera
from avatar_ros.tracking.landmarks import BodyLandmarks, FaceLandmarks, HandLandmarks
from avatar_ros.tracking.mediapipe_estimator import BLANK, MediaPipeEstimator
from avatar_ros.tracking.people_tracker import Details, SeenPeople
from avatar_ros.types import FloatArray, Image

_LOOK_EVERY = 6  # images, while somebody is followed
_MARGIN = 0.12  # of the body's height, painted over around it
_SAME = 0.3  # lengths of the trunk
_MISSES = 2  # images in which a graph may see nobody before it is sent to look elsewhere
_WINDOW = 2.0  # sizes of the body
_SMALL = 0.3  # of the window: it is made smaller
_EDGE = 0.06  # of the window: it is moved
_LEAST_PX = 160
Window = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels."""
_TRUNK = [BLAZEPOSE_INDEX[f'{side}_{part}'] for side in SIDES for part in ('shoulder', 'hip')]


@dataclass
class _Follower:
    """What a graph follows: through which part of the picture, and where the body was last."""

    window: Window
    body: BodyLandmarks
    misses: int = 0

    def recentre(self, rgb: Image) -> bool:
        """Move the window if the body is about to leave it, or is small in it."""
        height, width = rgb.shape[:2]
        low, high = _box(self.body)
        size = float((high - low).max())
        x0, y0, x1, y1 = self.window
        side = max(x1 - x0, y1 - y0)
        # An edge of the picture is no edge of the window's own.
        edges = (
            (low[0] - x0, x0),
            (low[1] - y0, y0),
            (x1 - high[0], width - x1),
            (y1 - high[1], height - y1),
        )
        near = any(beyond > 0 and room < _EDGE * side for room, beyond in edges)
        if not near and size > _SMALL * side:
            return False
        reach = max(_WINDOW * size, float(_LEAST_PX)) / 2
        a = np.clip((low + high) / 2 - reach, 0, (width, height)).astype(int)
        b = np.clip((low + high) / 2 + reach, 0, (width, height)).astype(int)
        window = (int(a[0]), int(a[1]), int(b[0]), int(b[1]))
        if (
            min(b - a) < _LEAST_PX / 4
            or np.abs(np.subtract(window, self.window)).max() < _EDGE * side
        ):
            return False
        self.window = window
        return True


class MediaPipePeopleEstimator(MediaPipeEstimator):
    """Up to `max_people`: bodies, and if asked for faces and hands."""

    def __init__(self, *, max_people: int = 4, **options: Any) -> None:
        super().__init__(**options, graphs=max_people)

    def reset(self) -> None:
        super().reset()
        self._following: dict[int, _Follower] = {}
        self._look_in = 0
        self._looks = 0
        self._turn = 0

    def estimate_people(
        self, rgb: Image, camera: Camera, known: Mapping[str, BodyLandmarks]
    ) -> SeenPeople:
        looks = {
            graph: self._pool.submit(self._look, graph, rgb, follower.window, camera)
            for graph, follower in self._following.items()
        }
        # Faces and hands beside the bodies, where they were in the image before.
        details = self._pool.submit(self._details_of_people, rgb, camera, dict(known))
        for graph, look in looks.items():
            follower, body = self._following[graph], look.result()
            if self._is_lost(graph, follower, body):
                del self._following[graph]
                self._forget(graph)
            elif body is not None and follower.recentre(rgb):
                self._forget(graph)  # what it remembers lies in the window before
        self._look_around(rgb, camera)
        bodies = [f.body for f in self._following.values() if not f.misses]
        return SeenPeople(bodies, details.result())

    def _look(self, graph: int, rgb: Image, window: Window, camera: Camera) -> BodyLandmarks | None:
        x0, y0, x1, y1 = window
        return self._read_body(graph, rgb[y0:y1, x0:x1], camera, (x0, y0))

    def _is_lost(self, graph: int, follower: '_Follower', body: BodyLandmarks | None) -> bool:
        """Note the body, unless the graph has jumped onto somebody whom another one follows."""
        if body is None:
            follower.misses += 1
            return follower.misses > _MISSES
        before, follower.body, follower.misses = follower.body, body, 0
        others = [f.body for g, f in self._following.items() if g != graph and not f.misses]
        return _apart(body, before) > _SAME / 2 and any(_apart(body, o) < _SAME for o in others)

    def _look_around(self, rgb: Image, camera: Camera) -> None:
        """Send a graph that follows nobody to find somebody."""
        idle = [graph for graph in range(self.graphs) if graph not in self._following]
        self._look_in -= 1
        if not idle or (self._following and self._look_in > 0):
            return
        self._look_in = _LOOK_EVERY
        windows = _windows(rgb)
        window = windows[self._looks % len(windows)]
        self._looks += 1
        picture = rgb
        if self._following:
            picture = rgb.copy()
            for follower in self._following.values():
                _paint_over(picture, follower.body)
        body = self._look(idle[0], picture, window, camera)
        if body is None:
            return
        if any(_apart(body, f.body) < _SAME for f in self._following.values()):
            self._forget(idle[0])
            return
        self._following[idle[0]] = _Follower(window, body)
        self._look_in = 0  # where one has come, there may be more

    def _details_of_people(
        self, rgb: Image, camera: Camera, known: dict[str, BodyLandmarks]
    ) -> dict[str, Details]:
        """Everybody's face, and one hand of one person an image."""
        hand_of, side = self._whose_hand(list(known))
        result: dict[str, Details] = {}
        for person_id, body in known.items():
            face: FaceLandmarks | None = None
            hands: dict[str, HandLandmarks] = {}
            if self._wants_face:
                face = self._estimate_face(rgb, camera, body)
            if self._wants_hands and person_id == hand_of:
                hand = self._estimate_hand(rgb, body, side)
                if hand is not None:
                    hands[side] = hand
            result[person_id] = face, hands
        return result

    def _whose_hand(self, people: list[str]) -> tuple[str, str]:
        self._turn += 1
        if not people:
            return '', SIDES[0]
        return people[self._turn // 2 % len(people)], SIDES[self._turn % 2]

    def _forget(self, graph: int) -> None:
        self._bodies[graph].process(BLANK)


def _apart(a: BodyLandmarks, b: BodyLandmarks) -> float:
    """Mean distance in the picture of the landmarks that both see, in lengths of the trunk."""
    weight = a.visibility * b.visibility + 1e-6
    distance = float((weight * np.linalg.norm(a.pixels - b.pixels, axis=1)).sum() / weight.sum())
    return distance / min(_trunk_px(a), _trunk_px(b))


def _trunk_px(body: BodyLandmarks) -> float:
    left_shoulder, left_hip, right_shoulder, right_hip = body.pixels[_TRUNK]
    up: FloatArray = (left_shoulder + right_shoulder - left_hip - right_hip) / 2
    return max(1.0, float(np.linalg.norm(up)))


def _windows(rgb: Image) -> list[Window]:
    """Where to look: at everything, then through overlapping squares along the longer side."""
    height, width = rgb.shape[:2]
    side, length = min(height, width), max(height, width)
    squares = math.ceil(2 * (length - side) / side)
    starts = [round(k * (length - side) / squares) for k in range(squares + 1)] if squares else []
    if width >= height:
        return [(0, 0, width, height), *((x, 0, x + side, side) for x in starts)]
    return [(0, 0, width, height), *((0, y, side, y + side) for y in starts)]


def _box(body: BodyLandmarks) -> tuple[FloatArray, FloatArray]:
    """Least and largest pixel (2,) of what is seen of a body."""
    seen = body.pixels[body.visibility > 0.3]
    seen = seen if len(seen) > 1 else body.pixels
    return seen.min(axis=0), seen.max(axis=0)


def _paint_over(picture: Image, body: BodyLandmarks) -> None:
    height, width = picture.shape[:2]
    low, high = _box(body)
    margin = _MARGIN * max(float((high - low).max()), 16.0)
    x0, y0 = (int(v) for v in np.clip(low - margin, 0, (width, height)))
    x1, y1 = (int(v) for v in np.clip(high + margin, 0, (width, height)))
    picture[y0:y1, x0:x1] = 127
