# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Lips as far apart as the picture shows them.

MediaPipe's scores tell jaw and smile well, but call lips that part in a smile a smile with a shut
mouth. Its landmarks see the gap. So the scores that move lips apart or together are changed until
the lips of the free face, made to do what the scores say, are as far apart as those in the picture.
"""

import numpy as np

from avatar_ros.body.skeletons import ARKIT_52, SIDES
from avatar_ros.tracking.free_face import points_of, view_of
from avatar_ros.types import FloatArray

#: Landmarks of the face mesh: inner lips above and below.
UPPER, LOWER = 13, 14
#: What parts the lips, in the order in which it is asked for; the jaw comes last.
_PARTING = (
    tuple(f'mouth{way}{side.capitalize()}' for way in ('LowerDown', 'UpperUp') for side in SIDES),
    ('jawOpen',),
)
_CLOSING = ('mouthClose',)
#: Gaps that differ by less are the noise of landmarks.
_NOISE_M = 0.001


def fit_lips(weights: FloatArray, pixels: FloatArray, R_camera_head: FloatArray) -> FloatArray:
    """ARKit weights (52,) whose lips are as far apart as those seen, as nearly as 0..1 allows.

    Weak perspective: what is compared is the gap as the camera sees it, for a face with the free
    face's distance of eyes. Weights stay as they are if the face is turned too far, landmarks are
    not finite, or they are those of another estimator.

    :param weights: (52,) in the order of `ARKIT_52`.
    :param pixels: (L, 2) landmarks of MediaPipe's face mesh.
    :param R_camera_head: (3, 3) SMPL axes of the head to optical axes.
    """
    view = view_of(pixels, R_camera_head)
    if view is None:
        return weights
    (upper, lower), moved = points_of((UPPER, LOWER))
    gains = view.up @ (moved[0] - moved[1])
    shown = max(float(view.up @ (upper - lower) + gains @ weights), 0.0)
    missing = max(view.gap(UPPER, LOWER), 0.0) - shown
    if not abs(missing) >= _NOISE_M:  # nor where a landmark is not finite
        return weights
    result = np.array(weights, float)
    missing -= np.copysign(_NOISE_M, missing)
    jaw = ARKIT_52.index('jawOpen')
    for names in _PARTING if missing > 0 else (*_PARTING[:1], _CLOSING):
        rows = [ARKIT_52.index(name) for name in names]
        gain = float(gains[rows].sum())
        # All of a group change alike, until the first of them can do no more.
        low, high = -result[rows].min(), 1 - result[rows].max()
        if names == _CLOSING:
            # Lips close over an open jaw no further than it is open.
            high = max(float(result[jaw] - result[rows[0]]), 0.0)
        step = float(np.clip(missing / gain, low, high))
        result[rows] += step
        missing -= gain * step
    return result
