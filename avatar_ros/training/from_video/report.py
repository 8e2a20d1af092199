# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""How well a fitted body agrees with the videos: in pixels, millimetres and as overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from avatar_ros.body.model import BodyModel
from avatar_ros.geometry import Camera
from avatar_ros.training.from_video.fit import Fit, body_mesh
from avatar_ros.types import Array, FloatArray


@dataclass(frozen=True)
class CameraReport:
    """Agreement in one camera."""

    name: str
    error_px: float
    """Median distance of the body's landmarks from those that are seen, in the kept pictures."""
    error_mm: float
    """The same at the person's distance."""
    mask_iou: float
    """Mean overlap of the mask with the projected body, 0..1; NaN if no mask was looked at."""
    shift_px: tuple[float, float] = (0.0, 0.0)
    """How far the principal point was moved from where the calibration has it."""

    def __str__(self) -> str:
        return (
            f'{self.name}: landmarks off by {self.error_px:.1f} px ({self.error_mm:.0f} mm), '
            f'mask overlaps the body by {100 * self.mask_iou:.0f} %, principal point moved by '
            f'{self.shift_px[0]:+.1f}, {self.shift_px[1]:+.1f} px'
        )


def silhouette(camera: Camera, vertices: FloatArray, faces: Array) -> Array:
    """Picture (H, W) uint8, 255 where a body with vertices (V, 3) in the world is seen."""
    picture = np.zeros((camera.height, camera.width), np.uint8)
    depth = vertices @ camera.T_camera_world[2, :3] + camera.T_camera_world[2, 3]
    pixels = camera.project(vertices) - 0.5
    # In 1/16 pixels, as OpenCV takes them.
    corners = np.round(np.clip(pixels, -1e4, 1e4) * 16).astype(np.int32)[faces]
    for triangle in corners[(depth[faces] > 0.05).all(1)]:
        cv2.fillConvexPoly(picture, triangle, 255, cv2.LINE_8, 4)
    return picture


def overlap(a: Array, b: Array) -> float:
    """Intersection over union of two masks."""
    a, b = a > 127, b > 127
    return float((a & b).sum() / max((a | b).sum(), 1))


def report(
    names: Sequence[str],
    cameras: Sequence[Camera],
    model: BodyModel,
    fit: Fit,
    masks: Sequence[Sequence[Array | None]],
    instants: int = 12,
) -> list[CameraReport]:
    """Agreement in every camera; masks (C of T) are of the undistorted, shifted `cameras`.

    Overlap is measured at `instants` instants, spread over the time.
    """
    rows = np.unique(np.linspace(0, len(fit.rotvecs) - 1, instants).astype(int))
    meshes = {row: body_mesh(model, fit, row) for row in rows}
    result = []
    for k, (name, camera) in enumerate(zip(names, cameras, strict=True)):
        found = [
            overlap(mask, silhouette(camera, meshes[row], model.faces))
            for row in rows
            if (mask := masks[k][row]) is not None
        ]
        iou = float(np.mean(found)) if found else float('nan')
        u, v = fit.shift_px[k].tolist()
        result.append(
            CameraReport(name, float(fit.error_px[k]), float(fit.error_mm[k]), iou, (u, v))
        )
    return result
