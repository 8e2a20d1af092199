# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""ARKit scores -> jaw and eye rotations (SMPL axes, relative to the head)."""

from collections.abc import Mapping

import numpy as np

from avatar_ros.body.skeletons import ARKIT_52, SIDES
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.types import FloatArray

#: Rotation at score 1, radians. ARKit defines no angles; these are the ends of an eye's usual
#: reach (about 35 degrees to the side, 25 up and down) and a wide open jaw.
JAW_OPEN_RAD = 0.35
EYE_SIDE_RAD = 0.6
EYE_UP_RAD = 0.45


def arkit_vector(weights: Mapping[str, float]) -> FloatArray:
    """Weights (52,) in the order of `ARKIT_52`; unknown names are left out, missing ones are 0."""
    return np.clip([weights.get(name, 0.0) for name in ARKIT_52], 0.0, 1.0)


def jaw_quat(weights: Mapping[str, float]) -> FloatArray:
    """Rotation (4,) wxyz of the jaw joint: opening turns about x, moving the chin down."""
    return quat_from_rotvec([JAW_OPEN_RAD * weights.get('jawOpen', 0.0), 0.0, 0.0])


def eye_quats(weights: Mapping[str, float]) -> dict[str, FloatArray]:
    """Side -> rotation (4,) wxyz of the eyeball; looking up turns about -x, to the left about y."""
    quats = {}
    for side in SIDES:
        name = side.capitalize()
        up = weights.get(f'eyeLookUp{name}', 0.0) - weights.get(f'eyeLookDown{name}', 0.0)
        out = weights.get(f'eyeLookOut{name}', 0.0) - weights.get(f'eyeLookIn{name}', 0.0)
        left = out if side == 'left' else -out
        quats[side] = quat_from_rotvec([-EYE_UP_RAD * up, EYE_SIDE_RAD * left, 0.0])
    return quats
