# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The calibration file that ROS's camera_calibration writes (camera_info YAML)."""

from pathlib import Path

import numpy as np
import yaml

from avatar_ros.geometry.camera import Camera
from avatar_ros.types import FloatArray

_MODELS = ('plumb_bob', 'rational_polynomial')


def load_camera_yaml(path: str | Path, frame_id: str = '') -> Camera:
    """Camera from a ``camera_info`` YAML file (camera_calibration_parsers format).

    :raises ValueError: naming the file and the entry that is missing or not usable.
    """
    path = Path(path).expanduser()
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f'calibration file {path} cannot be read: {error}') from None
    if not isinstance(content, dict):
        raise ValueError(f'calibration file {path} holds no mapping; expected camera_info YAML.')
    K = _matrix(path, content, 'camera_matrix', 9).reshape(3, 3)
    distortion = _matrix(path, content, 'distortion_coefficients', None)
    model = content.get('distortion_model', 'plumb_bob')
    if model not in _MODELS:
        raise ValueError(
            f'calibration file {path} has distortion_model {model!r}; '
            f'expected {" or ".join(_MODELS)}.'
        )
    width, height = content.get('image_width'), content.get('image_height')
    if not (isinstance(width, int) and isinstance(height, int) and min(width, height) > 0):
        raise ValueError(
            f'calibration file {path} has image_width, image_height = {width}, {height}; '
            'expected positive pixels.'
        )
    K = K.copy()
    K[:2, 2] += 0.5  # ROS has pixel centres at integers
    try:
        return Camera(
            K,
            width,
            height,
            distortion=distortion if np.any(distortion) else np.zeros(0),
            frame_id=frame_id,
        )
    except ValueError as error:
        raise ValueError(f'calibration file {path}: {error}') from None


def _matrix(path: Path, content: dict[str, object], key: str, count: int | None) -> FloatArray:
    entry = content.get(key)
    data = entry.get('data') if isinstance(entry, dict) else None
    if not isinstance(data, list) or (count is not None and len(data) != count):
        raise ValueError(
            f'calibration file {path} has no {key}.data with {count or "some"} numbers; '
            'expected the YAML that camera_calibration writes.'
        )
    try:
        values = np.asarray(data, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f'calibration file {path}: {key}.data holds no numbers.') from None
    return values
