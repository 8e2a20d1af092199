# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The camera: intrinsics, distortion and pose, in OpenCV's conventions."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from avatar_ros.geometry.rigid import rigid, transform_points
from avatar_ros.types import Array, FloatArray


def _eye4() -> FloatArray:
    return np.eye(4)


def _no_distortion() -> FloatArray:
    return np.zeros(0)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with optional lens distortion.

    Pixel centres lie at half integers (gsplat, OpenGL): the image spans ``0..width``.
    """

    K: FloatArray
    """Intrinsics (3, 3) in pixels."""
    width: int
    height: int
    T_camera_world: FloatArray = field(default_factory=_eye4)
    """Viewmat (4, 4): maps world points to optical axes (x right, y down, z forward)."""
    distortion: FloatArray = field(default_factory=_no_distortion)
    """OpenCV coefficients k1 k2 p1 p2 k3 ... (``plumb_bob``, ``rational_polynomial``)."""
    frame_id: str = ''

    def __post_init__(self) -> None:
        K = np.asarray(self.K, dtype=float)
        if K.shape != (3, 3):
            raise ValueError(f'camera intrinsics K have shape {K.shape}; expected (3, 3).')
        if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0):
            raise ValueError(
                f'camera has fx = {K[0, 0]:g}, fy = {K[1, 1]:g}; both must be positive. The camera '
                'is not calibrated: run camera_calibration, or give calibration_file or fov_deg.'
            )
        if self.width <= 0 or self.height <= 0:
            raise ValueError(
                f'camera image is {self.width}x{self.height} pixels; expected at least 1x1.'
            )
        object.__setattr__(self, 'K', K)
        object.__setattr__(self, 'T_camera_world', np.asarray(self.T_camera_world, dtype=float))
        object.__setattr__(self, 'distortion', np.asarray(self.distortion, dtype=float).ravel())

    @classmethod
    def from_fov(cls, width: int, height: int, fov_y_deg: float, **kwargs: object) -> 'Camera':
        """Ideal camera with the given vertical field of view, principal point in the middle."""
        if not 0 < fov_y_deg < 180:
            raise ValueError(f'vertical field of view is {fov_y_deg} degrees; expected 0..180.')
        f = 0.5 * height / np.tan(np.radians(fov_y_deg) / 2)
        K = np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1.0]])
        return cls(K, width, height, **kwargs)  # type: ignore[arg-type]

    @classmethod
    def from_tangents(
        cls, width: int, height: int, tangents: ArrayLike, **kwargs: object
    ) -> 'Camera':
        """Ideal camera whose picture spans x/z and y/z from left to right and up to down.

        :param tangents: left, right, up, down in optical axes (y down, so up < down).
        :raises ValueError: if it spans nothing.
        """
        left, right, up, down = np.asarray(tangents, dtype=float)
        if not (right - left > 1e-6 and down - up > 1e-6):
            raise ValueError(
                f'frustum left {left:g}, right {right:g}, up {up:g}, down {down:g} is empty; '
                'expected left < right and up < down (image axes: y down).'
            )
        fx, fy = width / (right - left), height / (down - up)
        K = np.array([[fx, 0, -left * fx], [0, fy, -up * fy], [0, 0, 1.0]])
        return cls(K, width, height, **kwargs)  # type: ignore[arg-type]

    @property
    def tangents(self) -> FloatArray:
        """(4,) left, right, up, down of the frustum in optical axes; the inverse of the above."""
        (fx, cx), (fy, cy) = self.K[0, [0, 2]], self.K[1, [1, 2]]
        return np.array([-cx / fx, (self.width - cx) / fx, -cy / fy, (self.height - cy) / fy])

    @property
    def position(self) -> FloatArray:
        """Optical centre (3,) in world coordinates."""
        T = self.T_camera_world
        return -T[:3, :3].T @ T[:3, 3]

    def at(self, T_camera_world: ArrayLike) -> 'Camera':
        """The same camera, standing elsewhere."""
        return replace(self, T_camera_world=np.asarray(T_camera_world, dtype=float))

    def scaled(self, width: int, height: int) -> 'Camera':
        """The same view on another pixel grid."""
        scale = np.diag([width / self.width, height / self.height, 1.0])
        return replace(self, K=scale @ self.K, width=width, height=height)

    def project(self, points_world: ArrayLike) -> Array:
        """Pixels (N, 2) of world points (N, 3), lens distortion included."""
        import cv2

        points = transform_points(self.T_camera_world, points_world)
        if not self.distortion.size:
            uv = points @ self.K.T
            return uv[:, :2] / uv[:, 2:]
        pixels, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), self.K, self.distortion)
        return np.asarray(pixels[:, 0])

    def rays(self, pixels: ArrayLike) -> Array:
        """Undistorted normalised coordinates (N, 2): x/z and y/z of the viewing rays of pixels."""
        import cv2

        pixels = np.asarray(pixels, dtype=float).reshape(-1, 2)
        if not self.distortion.size:
            return (pixels - self.K[:2, 2]) / self.K[[0, 1], [0, 1]]
        return np.asarray(cv2.undistortPoints(pixels[:, None], self.K, self.distortion)[:, 0])


def look_at(eye: ArrayLike, target: ArrayLike, up: ArrayLike = (0.0, 1.0, 0.0)) -> FloatArray:
    """T_camera_world (4, 4) of a camera at `eye` that sees `target` in its middle.

    :raises ValueError: if the eye is at the target, or the line of sight runs along `up`.
    """
    eye, up = np.asarray(eye, dtype=float), np.asarray(up, dtype=float)
    forward = np.asarray(target, dtype=float) - eye
    right = np.cross(forward, up)
    if np.linalg.norm(forward) < 1e-9 or np.linalg.norm(right) < 1e-9 * np.linalg.norm(forward):
        raise ValueError(
            f'look_at: eye {eye!r} and target {target!r} give no view with up = {up!r}.'
        )
    forward = forward / np.linalg.norm(forward)
    right = right / np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    return rigid(R, -R @ eye)
