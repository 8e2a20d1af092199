# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""One-Euro filter, holding of unseen joints, and the guard against traded sides."""

import numpy as np
import pytest
from made_person import Person

from avatar_ros.geometry import angle_between, quat_from_rotvec
from avatar_ros.tracking import HoldConfig, OneEuroConfig, OneEuroFilter
from avatar_ros.tracking.holding import RotationHolder
from avatar_ros.tracking.side_guard import SideGuard, swap_sides

# -- One-Euro --------------------------------------------------------------------------------


def test_a_constant_passes_unchanged() -> None:
    one_euro, value = OneEuroFilter(OneEuroConfig()), np.array([[1.0, -2.0, 3.0]])
    for _ in range(20):
        np.testing.assert_allclose(one_euro(value, 1 / 30), value)


def test_a_step_is_approached_without_overshoot_and_reached() -> None:
    one_euro = OneEuroFilter(OneEuroConfig(min_cutoff_hz=2.0, beta=1.0))
    one_euro(np.zeros(1), 1 / 60)
    steps = np.array([one_euro(np.ones(1), 1 / 60)[0] for _ in range(60)])
    assert (np.diff(steps) >= 0).all()
    assert 0 < steps[0] < 1
    assert steps.max() <= 1
    assert steps[-1] > 0.99


def test_without_beta_a_step_follows_the_same_curve_at_any_rate() -> None:
    reached = []
    for rate in (60, 240, 960):
        one_euro = OneEuroFilter(OneEuroConfig(min_cutoff_hz=1.0, beta=0.0))
        one_euro(np.zeros(1), 1 / rate)
        for _ in range(rate // 5):
            value = one_euro(np.ones(1), 1 / rate)
        reached.append(value[0])
    exact = 1 - np.exp(-2 * np.pi * 0.2)
    np.testing.assert_allclose(reached, exact, atol=0.04)
    assert abs(reached[2] - exact) < abs(reached[0] - exact)


def test_fast_motion_is_followed_more_closely_than_slow_noise() -> None:
    def behind(beta: float) -> float:
        one_euro = OneEuroFilter(OneEuroConfig(min_cutoff_hz=1.0, beta=beta))
        for k in range(60):
            value = one_euro(np.array([k / 30]), 1 / 30)
        return float(59 / 30 - value[0])

    assert behind(4.0) < 0.5 * behind(0.0)


def test_values_that_are_not_finite_keep_the_last_good_one() -> None:
    one_euro = OneEuroFilter(OneEuroConfig())
    for _ in range(5):
        good = one_euro(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), 1 / 30)
    bad = one_euro(np.array([[np.nan, 2.0, 3.0], [np.inf, 5.0, 6.0]]), 1 / 30)
    np.testing.assert_allclose(bad, good)
    again = one_euro(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), 1 / 30)
    np.testing.assert_allclose(again, good)


def test_no_time_passed_changes_nothing() -> None:
    one_euro = OneEuroFilter(OneEuroConfig())
    one_euro(np.zeros(3), 1 / 30)
    np.testing.assert_allclose(one_euro(np.ones(3), 0.0), 0.0)


def test_the_path_of_a_point_is_not_bent() -> None:
    one_euro = OneEuroFilter(OneEuroConfig())
    for k in range(30):
        point = one_euro(np.array([[0.1 * k, 0.2 * k, -0.3 * k]]), 1 / 30)[0]
    np.testing.assert_allclose(np.cross(point, [1, 2, -3]), 0, atol=1e-12)


# -- holding ---------------------------------------------------------------------------------

_REST = np.array([[1.0, 0, 0, 0]])
_BENT = quat_from_rotvec(np.array([[0.0, 0, 1.0]]))
_HOLD = HoldConfig(hold_s=0.5, fade_s=1.0, return_s=0.2)


def _degrees(quats: np.ndarray, target: np.ndarray) -> float:
    return float(np.degrees(angle_between(quats[0], target[0])))


def test_an_unseen_joint_is_held_then_fades_to_rest_and_returns() -> None:
    holder, dt = RotationHolder(_REST, _HOLD), 0.05
    shown, confidence = holder(_BENT, np.ones(1), dt)
    assert _degrees(shown, _BENT) < 1e-6  # at once: nothing was shown before
    assert confidence[0] == 1
    for _ in range(10):  # 0.5 s
        shown, confidence = holder(None, None, dt)
        assert _degrees(shown, _BENT) < 1e-6
        assert confidence[0] == 0
    way = [_degrees(holder(None, None, dt)[0], _REST) for _ in range(21)]
    assert (np.diff(way) <= 1e-9).all()
    assert 0 < way[10] < way[0]
    assert way[-1] < 1e-6
    back = [_degrees(holder(_BENT, np.ones(1), dt)[0], _BENT) for _ in range(5)]
    assert back[0] > 1  # glides in
    assert back[-1] < 1e-6


def test_what_is_seen_badly_is_not_believed() -> None:
    holder = RotationHolder(_REST, _HOLD)
    holder(_BENT, np.ones(1), 0.05)
    shown, confidence = holder(_REST, np.array([0.1]), 0.05)
    assert _degrees(shown, _BENT) < 1e-6
    assert confidence[0] == 0


def test_a_rotation_that_is_not_finite_is_not_believed() -> None:
    holder = RotationHolder(_REST, _HOLD)
    holder(_BENT, np.ones(1), 0.05)
    shown, _ = holder(np.full((1, 4), np.nan), np.ones(1), 0.05)
    assert _degrees(shown, _BENT) < 1e-6


# -- sides -----------------------------------------------------------------------------------


def _turned(yaw: float) -> Person:
    return Person(yaw).bend('left_shoulder', (0, 0, 0.9)).bend('right_shoulder', (0, 0, 1.0))


def test_an_estimator_that_takes_a_front_for_a_back_is_put_right() -> None:
    guard = SideGuard()
    truth = _turned(0.2).seen()
    for k in range(30):
        told = swap_sides(truth) if 10 <= k < 20 else truth
        believed = guard(told, 1 / 30)
        np.testing.assert_allclose(believed.pixels, truth.pixels)
        np.testing.assert_allclose(believed.world, truth.world, atol=1e-12)
    assert guard.corrected == 10


def test_a_change_of_mind_over_a_jumble_is_noticed() -> None:
    guard = SideGuard()
    truth = _turned(0.2).seen()
    jumble = _turned(np.pi / 2).seen()
    for k in range(60):
        told = truth
        if 10 <= k < 20:
            told = swap_sides(truth)
        if k in (10, 20):
            told = jumble
        believed = guard(told, 1 / 60)
        if k > 22:
            np.testing.assert_allclose(believed.world, truth.world, atol=1e-12)


@pytest.mark.parametrize('turn_s', [0.7, 2.0])
def test_a_real_turn_is_left_alone(turn_s: float) -> None:
    guard, steps = SideGuard(), round(turn_s * 30)
    for yaw in np.linspace(0, 2 * np.pi, steps):
        told = _turned(yaw).seen()
        assert guard(told, 1 / 30) is told
    assert guard.corrected == 0


def test_an_estimator_that_insists_for_two_seconds_is_believed() -> None:
    guard, truth = SideGuard(), _turned(0.2).seen()
    for _ in range(10):
        guard(truth, 0.05)
    insists = swap_sides(truth)
    corrected = [guard(insists, 0.05) is not insists for _ in range(80)]
    assert all(corrected[:39])
    assert not any(corrected[41:])


def test_a_guard_that_began_wrong_comes_round_although_the_estimator_wavers() -> None:
    guard, truth = SideGuard(), _turned(0.2).seen()
    wrong = swap_sides(truth)
    guard(wrong, 1 / 15)
    believed = [
        guard(wrong if k % 10 < 3 else truth, 1 / 15) for k in range(120)
    ]  # right seven times out of ten
    wrongly = [not np.allclose(b.pixels, truth.pixels) for b in believed]
    assert all(wrongly[:10])
    assert not any(wrongly[75:])


def test_swapping_twice_gives_the_same_landmarks() -> None:
    truth = _turned(0.7).seen()
    twice = swap_sides(swap_sides(truth))
    np.testing.assert_array_equal(twice.pixels, truth.pixels)
    np.testing.assert_allclose(twice.world, truth.world, atol=1e-15)
