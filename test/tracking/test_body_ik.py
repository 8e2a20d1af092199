# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Landmarks -> rotations: exact landmarks give the pose back, mirrored ones the mirrored pose."""

import numpy as np
import pytest
from helpers import asset_or_skip
from made_person import REST, Person, random_person

from avatar_ros.body.skeletons import BLAZEPOSE_33, BLAZEPOSE_INDEX, SIDES, SMPLX, mirrored
from avatar_ros.geometry import R_OPTICAL_SMPL, angle_between, matrix_from_rotvec
from avatar_ros.tracking import BodyIK
from benchmarks.motions import load_motion
from benchmarks.tracking_clips import clip_errors, round_trip_errors

_CLIPS = (
    *('backflip', 'cartwheel', 'crawl', 'dance_a', 'dance_b', 'getup_facedown', 'getup_faceup'),
    *('jump', 'kick', 'punch', 'roll', 'run', 'spin', 'spinkick', 'walk'),
)
_SWAP_LANDMARKS = [BLAZEPOSE_INDEX[mirrored(name)] for name in BLAZEPOSE_33]
_SWAP_JOINTS = [SMPLX.index.get(mirrored(name), row) for row, name in enumerate(SMPLX.joints)]


@pytest.mark.parametrize('clip', _CLIPS)
def test_exact_landmarks_of_a_clip_give_its_joints_back(clip: str) -> None:
    path = asset_or_skip('motions') / f'humanoid3d_{clip}.txt'
    frame_mm = clip_errors(load_motion(path), REST).mean(axis=1)
    assert frame_mm.mean() < 12
    assert frame_mm.max() < 30


def test_exact_landmarks_of_any_pose_give_its_joints_back() -> None:
    people = [random_person(seed) for seed in range(40)]
    errors = [round_trip_errors(BodyIK(REST), p.quats, p.T_root).mean() for p in people]
    assert np.mean(errors) < 12
    # Three vertebrae turn as one here, and differently there: that cannot be seen.
    assert max(errors) < 30


def test_the_t_pose_gives_no_rotation() -> None:
    solved = BodyIK(REST)(Person().world)
    np.testing.assert_allclose(solved.R_camera_root, R_OPTICAL_SMPL, atol=0.01)
    turned = angle_between(solved.quats, [1.0, 0, 0, 0])
    assert np.degrees(turned.max()) < 2


@pytest.mark.parametrize('seed', range(6))
def test_mirrored_landmarks_give_the_mirrored_pose(seed: int) -> None:
    world = random_person(seed).world
    plain = BodyIK(REST)(world).quats
    reflected = BodyIK(REST)(world[_SWAP_LANDMARKS] * [-1, 1, 1]).quats
    expected = plain[_SWAP_JOINTS] * [1, 1, -1, -1]
    # The free body is symmetric to a few millimetres only.
    assert np.degrees(angle_between(reflected, expected)[:22].max()) < 6


@pytest.mark.parametrize('seed', range(6))
def test_turning_the_landmarks_turns_the_root_and_nothing_else(seed: int) -> None:
    world, R = random_person(seed).world, matrix_from_rotvec([0.3, 0.9, -0.2])
    plain, turned = BodyIK(REST)(world), BodyIK(REST)(world @ R.T)
    np.testing.assert_allclose(turned.R_camera_root, R @ plain.R_camera_root, atol=1e-6)
    np.testing.assert_allclose(turned.quats, plain.quats, atol=1e-6)


@pytest.mark.parametrize('factor', [0.6, 1.3])
def test_a_person_of_any_size_with_the_same_directions_bends_alike(factor: float) -> None:
    world = random_person(3).world
    plain, scaled = BodyIK(REST)(world), BodyIK(REST)(factor * world)
    # Not exactly: the way from a landmark to the joint is that of the rest body.
    assert np.degrees(angle_between(plain.quats, scaled.quats).max()) < 12


@pytest.mark.parametrize('side', SIDES)
@pytest.mark.parametrize('limb', ['arm', 'leg'])
def test_a_limb_that_slowly_straightens_and_bends_again_never_jumps(limb: str, side: str) -> None:
    ik, sign = BodyIK(REST), 1.0 if side == 'left' else -1.0
    joint = 'shoulder' if limb == 'arm' else 'hip'
    before, largest = None, 0.0
    for angle in np.abs(np.linspace(-1.5, 1.5, 301)):  # 0.57 degrees an image
        person = Person()
        if limb == 'arm':
            person.bend(f'{side}_shoulder', (0, -0.3 * sign, -0.6 * sign))
            person.bend(f'{side}_elbow', (0, -sign * angle, 0))
        else:
            person.bend(f'{side}_hip', (-0.5, 0, 0)).bend(f'{side}_knee', (angle, 0, 0))
        quats = ik(person.world).quats[SMPLX.index[f'{side}_{joint}']]
        if before is not None:
            largest = max(largest, np.degrees(angle_between(before, quats)))
        before = quats
    assert largest < 3


def test_the_head_follows_a_face_that_is_given() -> None:
    R_head = R_OPTICAL_SMPL @ matrix_from_rotvec([0, 0.6, 0])
    solved = BodyIK(REST)(Person().world, R_head)
    np.testing.assert_allclose(solved.R_camera_joint['head'], R_head, atol=0.02)
