# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Lips as far apart as the picture shows them.

MediaPipe's scores tell jaw and smile well, but call lips that part in a smile a smile with a shut
mouth. Its landmarks see the gap. So the scores that move lips apart or together are changed until
the lips of the free face, made to do what the scores say, are as far apart as those in the picture.
"""

from functools import cache

import numpy as np

from avatar_ros.body.model import free_body_path, free_landmarks_path, load_body_model
from avatar_ros.body.skeletons import ARKIT_52, SIDES
from avatar_ros.types import FloatArray

#: Landmarks of the face mesh: inner lips above and below, outer corners of the eyes.
UPPER, LOWER, EYES = 13, 14, (33, 263)
#: Numbers of landmarks of that mesh, without and with irises.
_MESH = (468, 478)
#: What parts the lips, in the order in which it is asked for; the jaw comes last.
_PARTING = (
    tuple(f'mouth{way}{side.capitalize()}' for way in ('LowerDown', 'UpperUp') for side in SIDES),
    ('jawOpen',),
)
_CLOSING = ('mouthClose',)
#: Gaps that differ by less are the noise of landmarks.
_NOISE_M = 0.001
#: Cosine of the head's turn below which lips are foreshortened so much that noise would move them.
_MIN_FACING = 0.75


def fit_lips(weights: FloatArray, pixels: FloatArray, R_camera_head: FloatArray) -> FloatArray:
    """ARKit weights (52,) whose lips are as far apart as those seen, as nearly as 0..1 allows.

    Weak perspective: what is compared is the gap as the camera sees it, for a face with the free
    face's distance of eyes. Weights stay as they are if the face is turned too far, landmarks are
    not finite, or they are those of another estimator.

    :param weights: (52,) in the order of `ARKIT_52`.
    :param pixels: (L, 2) landmarks of MediaPipe's face mesh.
    :param R_camera_head: (3, 3) SMPL axes of the head to optical axes.
    """
    if len(pixels) not in _MESH or -R_camera_head[2, 2] < _MIN_FACING:
        return weights
    eyes, closed, moved = _free_lips()
    flat = R_camera_head[:2]
    apart = np.linalg.norm(pixels[EYES[1]] - pixels[EYES[0]])
    scale = float(apart / np.linalg.norm(flat @ eyes))
    if not 1e-6 < scale < np.inf:
        return weights
    up = flat[:, 1] / np.linalg.norm(flat[:, 1])
    seen = max(float(up @ (pixels[UPPER] - pixels[LOWER])) / scale, 0.0)
    gains = up @ flat @ moved
    missing = seen - max(float(up @ flat @ closed + gains @ weights), 0.0)
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


@cache
def _free_lips() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of the free face, in metres: from eye to eye (3,), from the lower to the upper lip at rest
    (3,), and how each of the 52 actions changes that (3, 52)."""
    model = load_body_model(free_body_path('flame'))
    with np.load(free_landmarks_path()) as arrays:
        rows = {int(k): i for i, k in enumerate(arrays['landmark_indices'])}
        corners = model.faces[arrays['lmk_face_idx']]
        bary = arrays['lmk_b_coords']

    def point(values: FloatArray, landmark: int) -> FloatArray:
        row = rows[landmark]
        return np.asarray(np.tensordot(bary[row], values[corners[row]], axes=1))

    rest, order = model.template, [model.expression_names.index(name) for name in ARKIT_52]
    moved = model.expression_dirs[..., order]
    eyes = point(rest, EYES[1]) - point(rest, EYES[0])
    closed, change = (point(values, UPPER) - point(values, LOWER) for values in (rest, moved))
    return eyes, closed, change
