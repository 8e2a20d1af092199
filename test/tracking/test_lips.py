# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Lips are as far apart as the landmarks say."""

import numpy as np
import pytest

from avatar_ros.body import ARKIT_52
from avatar_ros.body.model import free_body_path, free_landmarks_path, load_body_model
from avatar_ros.geometry import R_OPTICAL_SMPL, matrix_from_rotvec
from avatar_ros.tracking.lips import LOWER, UPPER, fit_lips

MODEL = load_body_model(free_body_path('flame'))
ROWS = [MODEL.expression_names.index(name) for name in ARKIT_52]


def weights(**values: float) -> np.ndarray:
    return np.array([values.get(name, 0.0) for name in ARKIT_52])


def points(w: np.ndarray) -> np.ndarray:
    """(468, 3) landmarks of the free face."""
    vertices = MODEL.template + MODEL.expression_dirs[..., ROWS] @ w
    with np.load(free_landmarks_path()) as arrays:
        found = np.zeros((468, 3))
        corners = vertices[MODEL.faces[arrays['lmk_face_idx']]]
        found[arrays['landmark_indices']] = np.einsum('lk,lkc->lc', arrays['lmk_b_coords'], corners)
    return found


def seen(w: np.ndarray, R: np.ndarray = R_OPTICAL_SMPL) -> np.ndarray:
    """(468, 2) pixels, from far away."""
    return (points(w) @ R.T)[:, :2] * 3000 + 200


def gap_m(w: np.ndarray) -> float:
    lips = points(w)
    return max(lips[UPPER, 1] - lips[LOWER, 1], 0.0)


SMILE = weights(mouthSmileLeft=0.9, mouthSmileRight=0.9)
PARTED = SMILE + weights(
    mouthUpperUpLeft=0.8, mouthUpperUpRight=0.8, mouthLowerDownLeft=0.8, mouthLowerDownRight=0.8
)


@pytest.mark.parametrize('turn', [(0, 0, 0), (0.25, 0, 0), (-0.25, 0, 0), (0, 0.6, 0), (0, 0, 0.7)])
@pytest.mark.parametrize('true', [PARTED, SMILE + weights(jawOpen=0.5), weights(jawOpen=0.9)])
def test_a_smile_said_to_be_shut_is_parted_wherever_the_head_looks(true, turn):
    R = R_OPTICAL_SMPL @ matrix_from_rotvec(turn)
    found = fit_lips(SMILE, seen(true, R), R)
    assert gap_m(SMILE) < 0.001
    assert gap_m(found) == pytest.approx(gap_m(true), abs=0.004, rel=0.15)
    assert found.min() >= 0
    assert found.max() <= 1


def test_lips_that_are_shut_over_an_open_jaw_are_closed():
    shut = weights(jawOpen=0.5, mouthClose=0.5)
    found = fit_lips(weights(jawOpen=0.5), seen(shut), R_OPTICAL_SMPL)
    assert gap_m(found) == pytest.approx(gap_m(shut), abs=0.002)
    assert found[ARKIT_52.index('jawOpen')] == 0.5


@pytest.mark.parametrize('w', [weights(), weights(jawOpen=0.4), SMILE * 0.3])
def test_weights_that_agree_with_the_landmarks_stay(w):
    np.testing.assert_array_equal(fit_lips(w, seen(w), R_OPTICAL_SMPL), w)


def test_what_cannot_be_measured_changes_nothing():
    aside = R_OPTICAL_SMPL @ matrix_from_rotvec([0, 1.2, 0])
    for pixels, R in (
        (seen(PARTED, aside), aside),
        (np.zeros((4, 2)), R_OPTICAL_SMPL),
        (np.zeros((468, 2)), R_OPTICAL_SMPL),
        (np.full((468, 2), np.nan), R_OPTICAL_SMPL),
    ):
        assert fit_lips(SMILE, pixels, R) is SMILE
