# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What to believe of a person whose lower half is not in the picture (a webcam at a desk).

Estimators guess the hips then, and a wrong guess bends the whole trunk. The less the hips are
seen, the more they are put where those of an upright person would be: straight below the
shoulders, for a camera that stands about level, and as far apart as the shoulders are turned.
"""

import numpy as np

from avatar_ros.body.skeletons import BLAZEPOSE_INDEX
from avatar_ros.tracking.landmarks import BodyLandmarks
from avatar_ros.types import FloatArray

_SEEN, _UNSEEN = 0.7, 0.3  # visibility of the hips from which, and up to which, they (do not) count
_TRUNK_OVER_SHOULDERS = 1.35  # length of the trunk over the width of the shoulders
_HIPS_OVER_SHOULDERS = 0.62
_DOWN = np.array([0.0, 1.0, 0.0])  # optical axes
_LEFT_HIP, _RIGHT_HIP, _LEFT_SHOULDER, _RIGHT_SHOULDER = (
    BLAZEPOSE_INDEX[name] for name in ('left_hip', 'right_hip', 'left_shoulder', 'right_shoulder')
)
_BELOW_HIPS = {
    side: [
        i
        for name, i in BLAZEPOSE_INDEX.items()
        if name.startswith(side) and name.endswith(('knee', 'ankle', 'heel', 'foot_index'))
    ]
    for side in ('left', 'right')
}


def hips_seen(body: BodyLandmarks) -> float:
    """0 (only guessed) .. 1 (seen)."""
    visibility = float(body.visibility[[_LEFT_HIP, _RIGHT_HIP]].min())
    return float(np.clip((visibility - _UNSEEN) / (_SEEN - _UNSEEN), 0.0, 1.0))


def upright_where_unseen(body: BodyLandmarks, world: FloatArray) -> FloatArray:
    """World landmarks (33, 3) with hips (and the legs on them) moved as far as they are unseen."""
    doubt = 1.0 - hips_seen(body)
    if doubt == 0.0:
        return world
    across = world[_LEFT_SHOULDER] - world[_RIGHT_SHOULDER]
    width = float(np.linalg.norm(across))
    level = across - _DOWN * (across @ _DOWN)
    length = float(np.linalg.norm(level))
    if width < 1e-3 or length < 0.2 * width:
        return world  # lying or seen from above: no upright guess
    middle = (world[_LEFT_SHOULDER] + world[_RIGHT_SHOULDER]) / 2
    hips = middle + _TRUNK_OVER_SHOULDERS * width * _DOWN
    half = 0.5 * _HIPS_OVER_SHOULDERS * width * level / length
    result = world.copy()
    for side, hip, guess in (
        ('left', _LEFT_HIP, hips + half),
        ('right', _RIGHT_HIP, hips - half),
    ):
        shift = doubt * (guess - world[hip])
        result[[hip, *_BELOW_HIPS[side]]] += shift
    return result
