# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What the tracker saw, drawn over the picture: left in orange, right in blue."""

from collections.abc import Sequence

import cv2
import numpy as np

from avatar_ros.body.pose import TrackingState
from avatar_ros.body.skeletons import BLAZEPOSE_33, BLAZEPOSE_BONES
from avatar_ros.tracking.landmarks import Landmarks
from avatar_ros.types import Array, FloatArray, Image

_LEFT, _RIGHT, _MIDDLE = (255, 150, 30), (60, 160, 255), (235, 235, 235)
_MIN_VISIBILITY = 0.35


def draw_overlay(
    rgb: Image,
    landmarks: Landmarks | Sequence[Landmarks],
    state: TrackingState,
    *,
    max_side: int = 480,
) -> Image:
    """A smaller copy of the picture with body, face and hands of one or several drawn in."""
    scale = min(1.0, max_side / max(rgb.shape[:2]))
    canvas = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for person in [landmarks] if isinstance(landmarks, Landmarks) else landmarks:
        _draw_person(canvas, person, scale)
    if state != TrackingState.TRACKED:
        text = f'{state.name.lower()}: nobody seen'
        cv2.putText(canvas, text, (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 80, 80), 2)
    return np.asarray(canvas, dtype=np.uint8)


def _draw_person(canvas: Array, landmarks: Landmarks, scale: float) -> None:
    if landmarks.body is not None:
        points = landmarks.body.pixels * scale
        seen = landmarks.body.visibility >= _MIN_VISIBILITY
        for a, b in BLAZEPOSE_BONES:
            if seen[a] and seen[b]:
                cv2.line(canvas, _at(points[a]), _at(points[b]), _color(a, b), 2, cv2.LINE_AA)
        for k in range(11, len(points)):
            if seen[k]:
                cv2.circle(canvas, _at(points[k]), 3, _color(k, k), -1, cv2.LINE_AA)
    if landmarks.face is not None:
        for point in landmarks.face.pixels[::4] * scale:
            cv2.circle(canvas, _at(point), 1, (120, 255, 160), -1)
    for side, hand in landmarks.hands.items():
        color = _LEFT if side == 'left' else _RIGHT
        for point in hand.pixels * scale:
            cv2.circle(canvas, _at(point), 2, color, -1, cv2.LINE_AA)


def _at(point: FloatArray) -> tuple[int, int]:
    return int(np.clip(point[0], -9999, 9999)), int(np.clip(point[1], -9999, 9999))


def _color(a: int, b: int) -> tuple[int, int, int]:
    sides = {BLAZEPOSE_33[k].split('_')[0] for k in (a, b)}
    if sides == {'left'}:
        return _LEFT
    return _RIGHT if sides == {'right'} else _MIDDLE
