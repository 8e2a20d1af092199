# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace

import numpy as np
import pytest

from avatar_ros.body.skeletons import BLAZEPOSE_INDEX
from avatar_ros.geometry import R_OPTICAL_SMPL, matrix_from_rotvec
from avatar_ros.tracking import BodyIK, BodyLandmarks
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.tracking.unseen import upright_where_unseen

HIPS = [BLAZEPOSE_INDEX[name] for name in ('left_hip', 'right_hip')]
LEGS = [
    i for n, i in BLAZEPOSE_INDEX.items() if n.endswith(('knee', 'ankle', 'heel', 'foot_index'))
]


def person(turn_deg=0.0, hips_seen=1.0) -> BodyLandmarks:
    R = R_OPTICAL_SMPL @ matrix_from_rotvec([0, np.radians(turn_deg), 0])
    world = free_rest_landmarks().points @ R.T
    visibility = np.ones(33)
    visibility[HIPS + LEGS] = hips_seen
    return BodyLandmarks(world[:, :2] * 100, world - world[HIPS].mean(0), visibility)


def bent_by_a_wrong_guess(body: BodyLandmarks) -> BodyLandmarks:
    """The estimator takes hips and legs for 35 cm nearer than they are."""
    world = body.world.copy()
    world[HIPS + LEGS] += [0, 0, -0.35]
    return replace(body, world=world)


def pitch_deg(body: BodyLandmarks, world) -> float:
    """How far the trunk leans from the vertical."""
    up = BodyIK(free_rest_landmarks())(world).R_camera_root @ [0, 1, 0]
    return float(np.degrees(np.arccos(np.clip(up @ [0, -1, 0], -1, 1))))


def test_seen_hips_are_believed_whatever_they_do():
    body = bent_by_a_wrong_guess(person())
    assert upright_where_unseen(body, body.world) is body.world


@pytest.mark.parametrize('turn_deg', [0, 40, -60])
def test_person_whose_hips_are_not_seen_is_upright(turn_deg):
    body = bent_by_a_wrong_guess(person(turn_deg, hips_seen=0.1))
    assert pitch_deg(body, body.world) > 20
    assert pitch_deg(body, upright_where_unseen(body, body.world)) < 8


def test_shoulders_arms_and_head_stay_where_they_are():
    body = bent_by_a_wrong_guess(person(hips_seen=0.0))
    moved = upright_where_unseen(body, body.world)
    above = [i for i in range(33) if i not in HIPS + LEGS]
    np.testing.assert_array_equal(moved[above], body.world[above])


def test_doubt_grows_smoothly_with_what_is_not_seen():
    shift = []
    for seen in np.linspace(0, 1, 21):
        body = bent_by_a_wrong_guess(person(hips_seen=seen))
        moved = upright_where_unseen(body, body.world)
        shift.append(np.linalg.norm((moved - body.world)[HIPS]))
    assert np.all(np.diff(shift) <= 1e-12)
    assert max(-np.diff(shift)) < 0.2 * shift[0]


def test_someone_who_lies_is_left_alone():
    body = person(hips_seen=0.0)
    lying = body.world @ matrix_from_rotvec([0, 0, np.pi / 2]).T
    assert upright_where_unseen(body, lying) is lying
