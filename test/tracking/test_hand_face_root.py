# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Fingers, jaw and eyes, and where the person stands."""

import numpy as np
import pytest
from made_person import CAMERA, REST, Person, random_person

from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.skeletons import (
    ARKIT_52,
    ARKIT_INDEX,
    FINGERS,
    HAND_21,
    HAND_INDEX,
    SIDES,
    SMPLX,
    mirrored,
)
from avatar_ros.geometry import (
    R_OPTICAL_SMPL,
    angle_between,
    matrix_from_quat,
    matrix_from_rotvec,
    quat_from_rotvec,
    rigid,
)
from avatar_ros.tracking import HandIK, solve_translation
from avatar_ros.tracking.face import arkit_vector, eye_quats, jaw_quat
from avatar_ros.tracking.root import move_onto_rays

# -- hands -----------------------------------------------------------------------------------

_PARTS = {finger: ('mcp', 'pip', 'dip') for finger in FINGERS} | {'thumb': ('cmc', 'mcp', 'ip')}


def _hand(side: str, quats: np.ndarray, R_root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (21, 3) of a posed hand, and the wrist's global rotation."""
    T = forward_kinematics(SMPLX, REST.joints, quats, rigid(R_root, [0, 0, 2.0]))
    world = np.zeros((len(HAND_21), 3))
    wrist = SMPLX.index[f'{side}_wrist']
    world[HAND_INDEX['wrist']] = T[wrist, :3, 3]
    for finger in FINGERS:
        rows = [SMPLX.index[f'{side}_{finger}{k}'] for k in (1, 2, 3)]
        for part, row in zip(_PARTS[finger], rows, strict=True):
            world[HAND_INDEX[f'{finger}_{part}']] = T[row, :3, 3]
        bone = REST.joints[rows[2]] - REST.joints[rows[1]]  # the last goes on like the one before
        world[HAND_INDEX[f'{finger}_tip']] = T[rows[2], :3, :3] @ bone + T[rows[2], :3, 3]
    return world, T[wrist, :3, :3]


def _flat() -> np.ndarray:
    return np.tile([1.0, 0, 0, 0], (len(SMPLX), 1))


@pytest.mark.parametrize('side', SIDES)
def test_a_flat_hand_gives_no_rotation(side: str) -> None:
    world, R_wrist = _hand(side, _flat(), R_OPTICAL_SMPL)
    R, quats = HandIK(side, REST.joints)(world)
    np.testing.assert_allclose(R, R_wrist, atol=1e-6)
    for quat in quats.values():
        assert np.degrees(angle_between(quat, [1.0, 0, 0, 0])) < 0.01


@pytest.mark.parametrize('side', SIDES)
@pytest.mark.parametrize('seed', range(5))
def test_bent_fingers_are_found_again(seed: int, side: str) -> None:
    rng, quats = np.random.default_rng(seed), _flat()
    for finger in FINGERS:
        rows = [SMPLX.index[f'{side}_{finger}{k}'] for k in (1, 2, 3)]
        bones = np.diff(REST.joints[rows], axis=0)
        for row, bone in zip(rows, [*bones, bones[-1]], strict=True):
            axis = np.cross(bone, [0, -1, 0])  # towards the palm; the twist of a bone is not seen
            bend = rng.uniform(0, 1.3) * axis / np.linalg.norm(axis)
            quats[row] = quat_from_rotvec(bend)
    R_root = R_OPTICAL_SMPL @ matrix_from_rotvec(rng.normal(size=3))
    world, R_wrist = _hand(side, quats, R_root)
    R, found = HandIK(side, REST.joints)(world)
    np.testing.assert_allclose(R, R_wrist, atol=1e-6)
    assert len(found) == 15
    for joint, quat in found.items():
        off = angle_between(quats[SMPLX.index[joint]], quat)
        assert np.degrees(off) < 0.01, joint


# -- face ------------------------------------------------------------------------------------


def test_the_jaw_opens_down() -> None:
    chin = np.array([0, -0.03, 0.1])
    moved = matrix_from_quat(jaw_quat({'jawOpen': 1.0})) @ chin
    assert moved[1] < chin[1] - 0.02
    np.testing.assert_allclose(jaw_quat({}), [1, 0, 0, 0])


@pytest.mark.parametrize(
    ('weights', 'axis', 'sign'),
    [
        ({'eyeLookOutLeft': 1.0, 'eyeLookInRight': 1.0}, 0, 1),  # x is the person's left
        ({'eyeLookInLeft': 1.0, 'eyeLookOutRight': 1.0}, 0, -1),
        ({'eyeLookUpLeft': 1.0, 'eyeLookUpRight': 1.0}, 1, 1),
        ({'eyeLookDownLeft': 1.0, 'eyeLookDownRight': 1.0}, 1, -1),
    ],
)
def test_both_eyes_look_where_the_weights_say(
    weights: dict[str, float], axis: int, sign: int
) -> None:
    for quat in eye_quats(weights).values():
        gaze = matrix_from_quat(quat) @ [0, 0, 1]
        assert sign * gaze[axis] > 0.3


def test_scores_are_taken_by_name_and_kept_in_range() -> None:
    vector = arkit_vector({'jawOpen': 0.5, 'mouthSmileLeft': 2.0, '_neutral': 0.9})
    assert vector[ARKIT_INDEX['jawOpen']] == 0.5
    assert vector[ARKIT_INDEX['mouthSmileLeft']] == 1.0
    assert vector.sum() == 1.5
    assert all(mirrored(name) in ARKIT_52 for name in ARKIT_52)


# -- root ------------------------------------------------------------------------------------


def test_the_translation_of_exact_data_is_exact() -> None:
    person = random_person(1)
    points = person.rest.posed(person.joints)
    found = solve_translation(CAMERA, CAMERA.project(points), person.world, np.ones(33))
    np.testing.assert_allclose(found, (points[23] + points[24]) / 2, atol=1e-9)


def test_another_origin_of_the_points_moves_the_translation_only() -> None:
    body, shift = random_person(2).seen(), np.array([0.3, -0.1, 0.2])
    plain = solve_translation(CAMERA, body.pixels, body.world, body.visibility)
    moved = solve_translation(CAMERA, body.pixels, body.world + shift, body.visibility)
    np.testing.assert_allclose(moved, plain - shift, atol=1e-9)


def test_the_same_picture_at_another_resolution_gives_the_same_translation() -> None:
    body = random_person(3).seen()
    small = solve_translation(CAMERA.scaled(320, 240), body.pixels / 2, body.world, body.visibility)
    large = solve_translation(CAMERA, body.pixels, body.world, body.visibility)
    np.testing.assert_allclose(small, large, atol=1e-9)


def test_fewer_than_two_landmarks_are_refused() -> None:
    body, weights = random_person(4).seen(), np.zeros(33)
    weights[0] = 1.0
    with pytest.raises(ValueError, match='at least two landmarks'):
        solve_translation(CAMERA, body.pixels, body.world, weights)


def test_landmarks_that_agree_with_their_pixels_stay_on_their_rays() -> None:
    body = random_person(5).seen()
    moved = move_onto_rays(CAMERA, body.pixels, body.world, body.visibility)
    np.testing.assert_allclose(moved, body.world, atol=1e-9)


def test_a_landmark_beside_its_pixel_is_moved_to_the_ray_as_far_as_it_is_visible() -> None:
    body = Person().seen()
    elbow = 13
    wrong = body.world.copy()
    wrong[elbow, 0] += 0.1
    far = np.abs(move_onto_rays(CAMERA, body.pixels, wrong, body.visibility) - body.world)
    assert far[elbow, 0] < 0.01
    hidden = body.visibility.copy()
    hidden[elbow] = 0.0
    kept = move_onto_rays(CAMERA, body.pixels, wrong, hidden)
    np.testing.assert_allclose(kept[elbow], wrong[elbow])
