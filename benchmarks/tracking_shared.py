# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What the parts of `benchmarks.tracking` share: their rows, joints that are compared, a replay."""

from typing import Literal

import numpy as np

from avatar_ros.body.skeletons import BLAZEPOSE_INDEX, SIDES, SMPLX
from avatar_ros.geometry import Camera
from avatar_ros.tracking import Landmarks
from avatar_ros.types import Image
from benchmarks.metrics import Metric

COMMAND = 'python -m benchmarks.tracking'
#: The joints of SMPL-X without face and fingers.
BODY = slice(0, 22)
_LIMBS = [
    f'{side}_{joint}'
    for side in SIDES
    for joint in ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
]
LIMB_JOINTS = SMPLX.rows(_LIMBS)
LIMB_LANDMARKS = [BLAZEPOSE_INDEX[name] for name in _LIMBS]
#: For the replay, which looks at none.
NO_PICTURE = np.zeros((1, 1, 3), np.uint8)


def metric(
    key: str,
    value: float,
    unit: str,
    conditions: str,
    better: Literal['lower', 'higher'] = 'lower',
) -> Metric:
    return Metric(f'tracking.{key}', float(value), unit, better, conditions, COMMAND)


class Replay:
    """An estimator that says what it is told to."""

    name = 'replay'

    def __init__(self) -> None:
        self.next = Landmarks()

    def estimate(self, rgb: Image, camera: Camera) -> Landmarks:
        return self.next

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass
