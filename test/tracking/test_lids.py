# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Eyes are no further closed than the landmarks say."""

import numpy as np
import pytest
from tracking.test_lips import seen as seen_landmarks
from tracking.test_lips import weights

from avatar_ros.body import ARKIT_52
from avatar_ros.geometry import R_OPTICAL_SMPL, matrix_from_rotvec
from avatar_ros.tracking.free_face import lid_of, view_of
from avatar_ros.tracking.lids import LIDS, aperture, fit_lids

SIDES = tuple(LIDS)


def both(**values):
    return weights(
        **{f'{name}{side}': v for name, v in values.items() for side in ('Left', 'Right')}
    )


SMILE = both(eyeBlink=0.26, eyeSquint=0.46, cheekSquint=0.1, mouthSmile=0.9)
NARROWED = both(eyeSquint=0.46, mouthSmile=0.9)


def seen(w, R=R_OPTICAL_SMPL):
    """Landmarks of the free face; those of upper lids lie on the edge of the lid."""
    pixels = seen_landmarks(w, R)
    for side, (upper, _) in LIDS.items():
        rest, moved = lid_of(side)
        edge = ((rest + moved @ w) @ R.T)[:, :2] * 3000 + 200
        up = -R[:2, 1]
        lowest = edge[np.argmax(edge @ up)]
        if lowest @ up > pixels[upper] @ up:
            pixels[upper] = lowest
    return pixels


def apertures(w, R=R_OPTICAL_SMPL):
    view = view_of(seen(weights(), R), R)
    return [aperture(w, view, side) for side in SIDES]


def shown(w, R=R_OPTICAL_SMPL):
    """At least so far open must eyes be that the landmarks show like this."""
    return [0.9 * a - 0.0005 for a in apertures(w, R)]


@pytest.mark.parametrize('turn', [(0, 0, 0), (0.25, 0, 0), (-0.25, 0, 0), (0, 0.6, 0), (0, 0, 0.7)])
def test_what_is_said_twice_closes_the_eyes_once_wherever_the_head_looks(turn):
    R = R_OPTICAL_SMPL @ matrix_from_rotvec(turn)
    assert max(apertures(SMILE, R)) < min(apertures(NARROWED, R)) - 0.001
    found = fit_lids(SMILE, seen(NARROWED, R), R)
    assert apertures(found, R) == pytest.approx(shown(NARROWED, R), abs=0.0002)
    assert (found <= SMILE).all()
    assert (found >= 0).all()


@pytest.mark.parametrize('w', [weights(), both(eyeBlink=1.0), both(eyeBlink=0.3), SMILE])
def test_weights_that_agree_with_the_landmarks_stay(w):
    assert fit_lids(w, seen(w), R_OPTICAL_SMPL) is w


def test_shut_eyes_are_shut():
    assert apertures(both(eyeBlink=1.0)) == [0, 0]
    assert min(apertures(weights())) > 0.006


def test_a_wink_opens_the_other_eye_alone():
    found = fit_lids(both(eyeBlink=1.0), seen(weights(eyeBlinkLeft=1.0)), R_OPTICAL_SMPL)
    assert found[ARKIT_52.index('eyeBlinkLeft')] == 1
    left, right = apertures(found)
    assert left == 0
    assert right == pytest.approx(shown(weights())[1], abs=0.0002)


def test_what_follows_a_slow_blink_has_no_jumps():
    said = both(eyeSquint=0.5)
    path = []
    for closed in np.linspace(0, 1, 101):
        w = said + both(eyeBlink=closed)
        path.append(apertures(fit_lids(w, seen(both(eyeBlink=closed)), R_OPTICAL_SMPL))[0])
    assert np.abs(np.diff(path)).max() < 0.0004  # 12 mm in a hundred steps, and what halving leaves
    assert path[-1] == 0


def test_what_cannot_be_measured_changes_no_eye():
    aside = R_OPTICAL_SMPL @ matrix_from_rotvec([0, 1.2, 0])
    for pixels, R in (
        (seen(NARROWED, aside), aside),
        (np.zeros((4, 2)), R_OPTICAL_SMPL),
        (np.zeros((468, 2)), R_OPTICAL_SMPL),
        (np.full((468, 2), np.nan), R_OPTICAL_SMPL),
    ):
        assert fit_lids(SMILE, pixels, R) is SMILE
