# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Smoothed poses: less noise, little lag, and no memory of what is over."""

from dataclasses import replace

import numpy as np
import pytest

from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.geometry import (
    angle_between,
    matrix_from_rotvec,
    quat_from_matrix,
    quat_from_rotvec,
    rigid,
)
from avatar_ros.tracking.pose_filter import PoseFilter

DT_NS = 33_333_333
ELBOW = SMPLX.index['left_elbow']
STILL = np.random.default_rng(5).normal(0, 0.4, (len(SMPLX), 3))
STILL[0] = 0.0


def pose(rotvecs=STILL, place=(0.3, -1.0, 2.0), turn=(0.2, 1.5, -0.4), k=0, **changes):
    made = BodyPose(
        SMPLX,
        rigid(matrix_from_rotvec(turn), place),
        quat_from_rotvec(rotvecs),
        np.ones(len(SMPLX)),
        k * DT_NS,
        'camera',
        'somebody',
    )
    return replace(made, **changes)


def noisy(rng, k, sigma=0.03):
    rotvecs = STILL + rng.normal(0, sigma, STILL.shape)
    rotvecs[0] = 0.0
    turn = np.array([0.2, 1.5, -0.4]) + rng.normal(0, sigma, 3)
    return pose(rotvecs, np.array([0.3, -1.0, 2.0]) + rng.normal(0, 0.01, 3), turn, k)


def filtered(poses):
    smooth = PoseFilter()
    return [smooth(p) for p in poses]


def spread(poses):
    """Root mean square of what joints turn (rad), the root turns (rad) and the pelvis moves (m)."""
    clean = pose()
    root = quat_from_matrix(clean.T_frame_root[:3, :3])
    joints = [angle_between(p.rotations, clean.rotations) for p in poses]
    roots = [angle_between(quat_from_matrix(p.T_frame_root[:3, :3]), root) for p in poses]
    places = [np.linalg.norm(p.T_frame_root[:3, 3] - clean.T_frame_root[:3, 3]) for p in poses]
    return np.array([np.sqrt(np.mean(np.square(v))) for v in (joints, roots, places)])


def test_a_person_who_stands_still_is_less_noisy_and_stands_where_he_stood():
    rng = np.random.default_rng(0)
    seen = [noisy(rng, k) for k in range(300)]
    shown = filtered(seen)
    assert (spread(shown[30:]) < 0.6 * spread(seen[30:])).all()
    places = np.array([p.T_frame_root[:3, 3] for p in shown[30:]])
    np.testing.assert_allclose(places.mean(axis=0), [0.3, -1.0, 2.0], atol=0.003)


@pytest.mark.parametrize('speed', [0.5, 1.0, 2.0, 4.0, 8.0])
def test_steady_motion_is_late_by_no_more_than_the_cutoff_allows(speed):
    seen = []
    for k in range(90):
        rotvecs = np.zeros_like(STILL)
        rotvecs[ELBOW] = [0, speed * k * DT_NS * 1e-9, 0]
        seen.append(
            pose(rotvecs, (speed * k * DT_NS * 1e-9, 0, 0), (0, speed * k * DT_NS * 1e-9, 0), k)
        )
    shown = filtered(seen)
    bound_s = 1 / (2 * np.pi * (2.0 + 4.0 * speed))
    late = seen[-1].T_frame_root[0, 3] - shown[-1].T_frame_root[0, 3]
    assert 0 < late / speed <= 1.05 * bound_s
    for a, b in (
        (seen[-1].rotations[ELBOW], shown[-1].rotations[ELBOW]),
        *[[quat_from_matrix(p.T_frame_root[:3, :3]) for p in (seen[-1], shown[-1])]],
    ):
        assert 0 < angle_between(a, b) / speed <= 1.05 * bound_s


def test_a_still_pose_passes_unchanged_and_only_root_and_joints_are_touched():
    for shown in filtered([pose(k=k) for k in range(5)]):
        np.testing.assert_allclose(shown.T_frame_root, pose().T_frame_root, atol=1e-12)
        assert angle_between(shown.rotations, pose().rotations).max() < 1e-6
    shown = filtered([pose(k=3, betas=np.ones(10), source='zed')])[0]
    assert (shown.stamp_ns, shown.source, shown.person_id) == (3 * DT_NS, 'zed', 'somebody')
    np.testing.assert_array_equal(shown.betas, np.ones(10))


def test_a_moved_and_turned_world_moves_and_turns_what_is_shown():
    rng = np.random.default_rng(1)
    seen = [noisy(rng, k) for k in range(40)]
    T = rigid(matrix_from_rotvec([0.7, -1.9, 0.4]), [5.0, -2.0, 0.5])
    moved = [replace(p, T_frame_root=T @ p.T_frame_root) for p in seen]
    for a, b in zip(filtered(seen), filtered(moved), strict=True):
        np.testing.assert_allclose(T @ a.T_frame_root, b.T_frame_root, atol=1e-9)
        np.testing.assert_allclose(a.rotations, b.rotations, atol=1e-12)


def test_the_sign_of_a_quaternion_means_nothing():
    rng = np.random.default_rng(2)
    seen = [noisy(rng, k) for k in range(20)]
    flipped = [
        replace(p, rotations=p.rotations * rng.choice([-1, 1], (len(SMPLX), 1))) for p in seen
    ]
    for a, b in zip(filtered(seen), filtered(flipped), strict=True):
        assert angle_between(a.rotations[1:], b.rotations[1:]).max() < 1e-6
        assert np.linalg.norm(b.rotations, axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    'changes',
    [
        {'stamp_ns': 4 * DT_NS},  # a bag that starts again
        {'stamp_ns': 9 * DT_NS + 1_100_000_000},  # somebody who was away
        {'stamp_ns': 10 * DT_NS, 'frame_id': 'another'},
        {'stamp_ns': 10 * DT_NS, 'person_id': 'another'},
    ],
)
def test_what_is_over_does_not_linger(changes):
    smooth = PoseFilter()
    for k in range(10):
        smooth(pose(k=k))
    there = pose(-STILL, (3.0, 0, 0), (0, -1.0, 0), **changes)
    shown = smooth(there)
    np.testing.assert_allclose(shown.T_frame_root, there.T_frame_root, atol=1e-12)
    assert angle_between(shown.rotations, there.rotations).max() < 1e-6


def test_a_joint_that_was_not_seen_comes_back_where_it_is():
    smooth, sure = PoseFilter(), np.ones(len(SMPLX))
    unsure = sure.copy()
    unsure[ELBOW] = 0.0
    smooth(pose(k=0))
    hidden = np.array(STILL)
    hidden[ELBOW] = 0.0
    shown = smooth(pose(hidden, k=1, confidence=unsure))
    assert angle_between(shown.rotation('left_elbow'), [1.0, 0, 0, 0]) < 1e-6
    other = np.array(STILL)
    other[ELBOW] = [0, -2.0, 0]
    shown = smooth(pose(other, k=2))
    assert angle_between(shown.rotation('left_elbow'), quat_from_rotvec([0, -2.0, 0])) < 1e-6


def test_two_people_do_not_mix():
    smooth, rng = PoseFilter(), np.random.default_rng(3)
    mine = [noisy(rng, k) for k in range(20)]
    for k, (seen, alone) in enumerate(zip(mine, filtered(mine), strict=True)):
        shown = smooth(seen)
        np.testing.assert_array_equal(shown.T_frame_root, alone.T_frame_root)
        np.testing.assert_array_equal(shown.rotations, alone.rotations)
        smooth(pose(-STILL, (9.0, 0, 0), k=k, person_id='another'))


def test_a_turn_goes_the_short_way():
    smooth = PoseFilter()
    a, b = quat_from_rotvec([0, 0, 3.0]), quat_from_rotvec([0, 0, -3.0])
    first, second = (np.tile([1.0, 0, 0, 0], (len(SMPLX), 1)) for _ in range(2))
    first[ELBOW], second[ELBOW] = a, b
    smooth(pose(k=0, rotations=first))
    shown = smooth(pose(k=1, rotations=second)).rotation('left_elbow')
    assert angle_between(shown, a) + angle_between(shown, b) == pytest.approx(
        angle_between(a, b), abs=1e-6
    )
