# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Calibrations of several cameras, and points that they see at once.

Pose2Sim's demo is one real person seen by four calibrated cameras: it comes as an asset.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from avatar_ros.assets import asset_path
from avatar_ros.geometry import Camera, rigid
from avatar_ros.types import Array, FloatArray, Image

#: Camera of the calibration -> its video. The first two see the person from the front.
VIDEOS = {
    'cam01': 'body_cam01.mp4',
    'cam02': 'body.mp4',
    'cam03': 'body_cam03.mp4',
    'cam04': 'body_cam04.mp4',
}
FRONT = ('cam01', 'cam02')
FPS = 60.0
_ROBUST_PX = 12.0  # a view that is further off than this counts less


def load_cameras(path: Path | None = None) -> dict[str, Camera]:
    """Cameras of a Qualisys calibration (.qca.txt), in metres, with OpenCV's axes."""
    cameras = {}
    path = path or asset_path('body_calibration.qca.txt')
    for node in ET.parse(path).iter('camera'):

        def numbers(name: str, node: ET.Element = node) -> dict[str, float]:
            found = node.find(name)
            if found is None:
                raise ValueError(f'{path}: a camera has no <{name}>.')
            return {key: float(text) for key, text in found.attrib.items() if _number(text)}

        inner, view, pose = map(numbers, ('intrinsic', 'fov_video', 'transform'))
        # Lengths are in 1/64 pixel.
        K = np.array(
            [
                [inner['focalLengthU'] / 64, 0, inner['centerPointU'] / 64 - view['left']],
                [0, inner['focalLengthV'] / 64, inner['centerPointV'] / 64 - view['top']],
                [0, 0, 1.0],
            ]
        )
        distortion = [
            inner[name] / 64
            for name in (
                'radialDistortion1',
                'radialDistortion2',
                'tangentalDistortion1',
                'tangentalDistortion2',
            )
        ]
        # Camera to world by columns, y up and looking along -z; millimetres.
        R = np.array([[pose[f'r{a}{b}'] for b in (1, 2, 3)] for a in (1, 2, 3)])
        R = np.diag([1.0, -1.0, -1.0]) @ R
        position = np.array([pose[axis] for axis in 'xyz']) / 1000
        size = int(view['right']) + 1, int(view['bottom']) + 1
        serial = node.attrib['serial']
        cameras[serial] = Camera(K, *size, rigid(R, -R @ position), np.array(distortion), serial)
    return cameras


def frames(video: str) -> Iterator[Image]:
    """All pictures of a fetched video, RGB."""
    capture = cv2.VideoCapture(str(asset_path(video)))
    while True:
        ok, bgr = capture.read()
        if not ok:
            return
        yield np.ascontiguousarray(bgr[..., ::-1])


def triangulate(cameras: Sequence[Camera], pixels: Array, visibility: Array) -> FloatArray:
    """World points (L, 3) from pixels (C, L, 2), each view weighted by its visibility (C, L).

    Views that disagree with the others (an estimator that took left for right) lose their weight.
    """
    points = np.zeros((pixels.shape[1], 3))
    for k in range(len(points)):
        seen = visibility[:, k] ** 2
        weight = seen
        for _ in range(4):
            rows, right = [], []
            for camera, pixel, w in zip(cameras, pixels[:, k], weight, strict=True):
                u, v = camera.rays(pixel)[0]
                across = w * np.array([[1, 0, -u], [0, 1, -v]])
                rows.append(across @ camera.T_camera_world[:3, :3])
                right.append(-across @ camera.T_camera_world[:3, 3])
            points[k] = np.linalg.lstsq(np.concatenate(rows), np.concatenate(right), rcond=None)[0]
            off = [
                float(np.linalg.norm(camera.project(points[None, k])[0] - pixel))
                for camera, pixel in zip(cameras, pixels[:, k], strict=True)
            ]
            weight = seen / (1 + (np.array(off) / _ROBUST_PX) ** 2)
    return points


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
