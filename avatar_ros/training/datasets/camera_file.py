# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""JSON of a capture folder: ``cameras.json``, and reading of any such file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avatar_ros.geometry import Camera
from avatar_ros.training.capture import CaptureError


def read_json(path: Path) -> dict[str, Any]:
    """An object.

    :raises CaptureError: if the file is missing, no JSON, or holds something else.
    """
    try:
        values = json.loads(path.read_text())
    except OSError as error:
        raise CaptureError(
            f'{path}: cannot be read ({error.strerror}). A capture is a folder with images/, '
            'masks/, cameras.json and poses.npz; see docs/captures.md.'
        ) from error
    except ValueError as error:
        raise CaptureError(f'{path}: is not JSON ({error}).') from error
    if not isinstance(values, dict):
        raise CaptureError(f'{path}: holds a {type(values).__name__}; expected an object.')
    return values


def read_cameras(path: Path) -> dict[str, Camera]:
    """The cameras of a ``cameras.json``.

    :raises CaptureError: naming the camera and the field that is wrong.
    """
    result = {}
    for name, values in read_json(path).items():
        try:
            T = np.array(values['T_camera_world'], float)
            K, distortion = np.array(values['K'], float), values.get('distortion') or []
            if T.shape != (4, 4) or not np.isfinite(T).all():
                raise ValueError(f'T_camera_world has shape {T.shape}; expected 4x4 numbers')
            R = T[:3, :3]
            if np.abs(R @ R.T - np.eye(3)).max() > 1e-2 or np.linalg.det(R) < 0:
                raise ValueError('T_camera_world is no rotation and translation')
            size = int(values['width']), int(values['height'])
            result[name] = Camera(K, *size, T, np.array(distortion, float), name)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CaptureError(
                f'{path}: camera {name!r}: {error}. Expected width, height, K (3x3), '
                'T_camera_world (4x4, world to camera) and optionally distortion.'
            ) from error
    if not result:
        raise CaptureError(f'{path}: has no cameras.')
    return result


def write_cameras(path: Path, cameras: Mapping[str, Camera]) -> None:
    """Write a ``cameras.json``."""
    values = {
        name: {
            'width': c.width,
            'height': c.height,
            'K': c.K.tolist(),
            'T_camera_world': c.T_camera_world.tolist(),
            'distortion': c.distortion.tolist(),
        }
        for name, c in cameras.items()
    }
    path.write_text(json.dumps(values, indent=1) + '\n')
