# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Eyes no further closed than the picture shows them.

MediaPipe's scores for blinking, squinting and looking down say the same thing more than once: an
avatar that adds them up, as ARKit's actions add up, shuts its eyes where a person smiles. Its
landmarks see how far the lids are apart. So what closes an eye is taken back until the eye of the
free face is as far open. It never opens wider than at rest.
"""

import numpy as np

from avatar_ros.body.skeletons import ARKIT_52
from avatar_ros.tracking.free_face import View, lid_of, points_of, view_of
from avatar_ros.types import FloatArray

#: Landmarks in the middle of the upper and lower lid. The upper one lies on the fold that the lid
#: comes out of.
LIDS = {'left': (386, 374), 'right': (159, 145)}
#: Apertures that differ by less are the noise of landmarks.
_NOISE_M = 0.0005
#: The free face's eyes are 9 mm open at rest, those of adults 8 to 11.
_OF_A_PERSON = 0.9
_STEPS = 8  # halvings of the share: 1/256 is far below the noise


def fit_lids(weights: FloatArray, pixels: FloatArray, R_camera_head: FloatArray) -> FloatArray:
    """ARKit weights (52,) whose eyes are at least as far open as those seen.

    Looking down lowers the lids too, and stays. Parameters and exceptions from the rule are those
    of `fit_lips`.
    """
    view = view_of(pixels, R_camera_head)
    if view is None:
        return weights
    result = weights
    for side, lids in LIDS.items():
        seen = _OF_A_PERSON * view.gap(*lids) - _NOISE_M
        if not aperture(weights, view, side) < seen:  # nor where a landmark is not finite
            continue
        rows = [
            ARKIT_52.index(f'{action}{side.capitalize()}')
            for action in ('eyeBlink', 'eyeSquint', 'cheekSquint')
        ]
        result = np.array(result, float)
        low, high = 0.0, 1.0  # shares of what is said
        for _ in range(_STEPS):
            share = (low + high) / 2
            result[rows] = share * weights[rows]
            if aperture(result, view, side) < seen:
                high = share
            else:
                low = share
        result[rows] = low * weights[rows]
    return result


def aperture(weights: FloatArray, view: View, side: str) -> float:
    """Metres that an eye of the free face is open, as the camera sees it; 0 if it is shut."""
    (upper, lower), moved = points_of(LIDS[side])
    lid, lid_moved = lid_of(side)
    edge = min(
        float(view.up @ (upper + moved[0] @ weights)),
        float((lid @ view.up + (view.up @ lid_moved) @ weights).min()),
    )
    return max(edge - float(view.up @ (lower + moved[1] @ weights)), 0.0)
