# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Sixteen cameras as NeRSemble has them: an arc before the face, at three heights."""

import numpy as np

from avatar_ros.geometry import Camera, look_at

CAMERAS = 16
#: The cameras of the photographs from which HeadGAP makes a head.
PHOTOGRAPHS = ('00', '08', '15')
_DISTANCE_M, _FOV_DEG = 0.9, 22.0
#: Above the neck joint, which stands at the origin; the face looks along z.
_TARGET = np.array([0.0, 0.105, 0.03])


def nersemble_rig(size: int) -> list[Camera]:
    """The cameras, ``00`` at the person's right; ``08`` is in front."""
    cameras = []
    for k, azimuth in enumerate(np.radians(np.linspace(-64, 64, CAMERAS))):
        name = f'{k:02d}'
        elevation = np.radians(2.0 if name in PHOTOGRAPHS else (2.0, 22.0, -12.0)[k % 3])
        way = np.array(
            [
                np.sin(azimuth) * np.cos(elevation),
                np.sin(elevation),
                np.cos(azimuth) * np.cos(elevation),
            ]
        )
        T = look_at(_TARGET + _DISTANCE_M * way, _TARGET)
        cameras.append(Camera.from_fov(size, size, _FOV_DEG, frame_id=name).at(T))
    return cameras
