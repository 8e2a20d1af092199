# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The avatar-locked viewport: cameras at the eyes that look at the avatar and just contain it.

Turning the head changes nothing in such a picture, so the client can do that alone, and no pixel
is spent on the room. Eyes of one viewer share an orientation (a rectified pair).

Inside the server everything is in the renderer's stage frame (REP-103: z up); on the wire eyes
are in scene axes (SMPL's: y up) with OpenGL's axes of their own. Here is where one becomes the
other.
"""

from collections.abc import Sequence

import numpy as np

from avatar_ros.geometry import (
    R_OPTICAL_SMPL,
    R_ROS_SMPL,
    Camera,
    invert_rigid,
    look_at,
    matrix_from_quat,
    quat_from_matrix,
    quat_from_xyzw,
    rigid,
    xyzw_from_quat,
)
from avatar_ros.types import FloatArray

#: Room around the avatar as a share of its picture, so that a raised hand finds some.
_MARGIN = 0.08
#: The frustum shrinks when the avatar has filled less of its width or height than this ...
_LOOSE = 0.6
#: ... for so long.
_PATIENCE_S = 2.0
#: The avatar may walk so far before the camera turns after it.
_WANDER_M = 0.25
_MAX_TANGENT = 1.6
_NEAREST_M = 0.2


class LockedViewport:
    """The frustum of one stream. It seldom changes: one that breathes costs bits."""

    def __init__(self) -> None:
        self._aim: FloatArray | None = None
        self._tangents: FloatArray | None = None
        self._loose_since_s: float | None = None

    @property
    def aspect(self) -> float:
        """Width over height of its pictures."""
        if self._tangents is None:
            return 1.0
        left, right, up, down = self._tangents
        return float(np.clip((right - left) / (down - up), 0.4, 2.0))

    def cameras(self, eyes: Sequence[Camera], points: FloatArray, now_s: float) -> list[Camera]:
        """Cameras at the eyes, in the stage frame and of the eyes' size, around points (n, 3).

        An eye that touches the avatar, where nothing can contain it, looks where it looks.
        """
        positions = np.array([eye.position for eye in eyes])
        middle = positions.mean(0)
        low, high = points.min(0), points.max(0)
        centre = (low + high) / 2
        if self._aim is None or np.linalg.norm(centre - self._aim) > _WANDER_M:
            self._aim = centre
        near = np.linalg.norm(points - middle, axis=1).min() < _NEAREST_M
        forward = self._aim - middle
        if near or np.linalg.norm(forward) < _NEAREST_M:
            self._tangents = None
            return list(eyes)
        R = look_at(middle, self._aim, _up_beside(forward))[:3, :3]
        seen = (points[None] - positions[:, None]) @ R.T
        if (seen[..., 2] < _NEAREST_M / 2).any():
            self._tangents = None
            return list(eyes)
        x, y = seen[..., 0] / seen[..., 2], seen[..., 1] / seen[..., 2]
        tangents = self._hold(np.array([x.min(), x.max(), y.min(), y.max()]), now_s)
        size = eyes[0].width, eyes[0].height
        return [
            Camera.from_tangents(*size, tangents).at(rigid(R, -R @ position))
            for position in positions
        ]

    def _hold(self, needed: FloatArray, now_s: float) -> FloatArray:
        """Left, right, up, down that contain what is needed."""
        low, high = needed[::2], needed[1::2]
        span = (high - low) * (1 + 2 * _MARGIN)
        held = self._tangents
        if held is not None:
            held_span = held[1::2] - held[::2]
            if not (span < _LOOSE * held_span).any():
                self._loose_since_s = None
            elif self._loose_since_s is None:
                self._loose_since_s = now_s
            since = self._loose_since_s
            if since is None or now_s - since < _PATIENCE_S:
                if (held[::2] <= low).all() and (held[1::2] >= high).all():
                    return held
                span = np.maximum(span, held_span)
        middle = (low + high) / 2
        tangents = np.stack([middle - span / 2, middle + span / 2], 1).ravel()
        # The optical axis stays inside: what clients may rely on.
        axis = 0.01 * np.array([-1, 1, -1, 1])
        kept = np.where(axis < 0, np.minimum(tangents, axis), np.maximum(tangents, axis))
        self._tangents = np.clip(kept, -_MAX_TANGENT, _MAX_TANGENT)
        self._loose_since_s = None
        return self._tangents


def _up_beside(forward: FloatArray) -> FloatArray:
    """Up, or something else if the view goes straight up or down."""
    steep = abs(forward[2]) > 0.98 * np.linalg.norm(forward)
    return np.array([1.0, 0.0, 0.0]) if steep else np.array([0.0, 0.0, 1.0])


def cameras_of_eyes(views: FloatArray, width: int, height: int) -> list[Camera]:
    """Eyes of the wire (n, 11) as cameras in the stage frame."""
    cameras = []
    for row in views:
        R = R_ROS_SMPL @ matrix_from_quat(quat_from_xyzw(row[3:7])) @ R_OPTICAL_SMPL
        left, right, down, up = row[7:]
        camera = Camera.from_tangents(width, height, (left, right, -up, -down))
        cameras.append(camera.at(invert_rigid(rigid(R, R_ROS_SMPL @ row[:3]))))
    return cameras


def eyes_of_cameras(cameras: Sequence[Camera]) -> FloatArray:
    """The inverse: (n, 11) for the wire."""
    rows = []
    for camera in cameras:
        R = R_ROS_SMPL.T @ camera.T_camera_world[:3, :3].T @ R_OPTICAL_SMPL
        left, right, up, down = camera.tangents
        rows.append(
            np.concatenate([
                R_ROS_SMPL.T @ camera.position, xyzw_from_quat(quat_from_matrix(R)),
                (left, right, -down, -up),
            ])
        )  # fmt: skip
    return np.array(rows)


def in_scene(points: FloatArray) -> FloatArray:
    """Points (..., 3) of the stage frame in scene axes."""
    return np.asarray(points @ R_ROS_SMPL)
