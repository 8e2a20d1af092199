# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from transforms3d.quaternions import mat2quat

from avatar_ros import geometry as g
from avatar_ros.geometry import single

R = Rotation.random(500, random_state=1).as_matrix()
HALF_TURNS = Rotation.from_rotvec(
    np.pi
    * np.random.default_rng(2).normal(size=(50, 3))
    / np.linalg.norm(np.random.default_rng(2).normal(size=(50, 3)), axis=1, keepdims=True)
).as_matrix()
ALL = np.concatenate([R, HALF_TURNS, np.eye(3)[None]])


def test_quaternion_and_matrix_are_a_round_trip():
    np.testing.assert_allclose(g.matrix_from_quat(g.quat_from_matrix(ALL)), ALL, atol=1e-12)


def test_rotation_vector_and_matrix_are_a_round_trip_even_at_half_a_turn():
    np.testing.assert_allclose(g.matrix_from_rotvec(g.rotvec_from_matrix(ALL)), ALL, atol=1e-7)


def test_quaternions_agree_with_transforms3d():
    ours = g.quat_from_matrix(R[:50])
    theirs = np.array([mat2quat(m) for m in R[:50]])
    np.testing.assert_allclose(np.abs((ours * theirs).sum(1)), 1.0, atol=1e-12)


def test_product_of_quaternions_is_product_of_matrices():
    a, b = g.quat_from_matrix(R[:100]), g.quat_from_matrix(R[100:200])
    np.testing.assert_allclose(
        g.matrix_from_quat(g.quat_multiply(a, b)), R[:100] @ R[100:200], atol=1e-12
    )


def test_ros_order_is_a_round_trip_and_identity_is_0001():
    q = g.quat_from_matrix(R[:20])
    np.testing.assert_array_equal(g.quat_from_xyzw(g.xyzw_from_quat(q)), q)
    np.testing.assert_array_equal(g.xyzw_from_quat([1, 0, 0, 0]), [0, 0, 0, 1])


def test_slerp_goes_at_constant_speed_along_the_shorter_arc():
    a, b = g.quat_from_matrix(R[0]), -g.quat_from_matrix(R[1])
    t = np.linspace(0, 1, 11)
    path = g.slerp(a, b, t)
    whole = g.angle_between(a, b)
    np.testing.assert_allclose(g.angle_between(a, path), whole * t, atol=1e-9)
    assert whole <= np.pi


def test_quaternion_without_length_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r'length 0.*\(0, 0, 0, 1\)'):
        g.normalize_quat([0.0, 0, 0, 0])


def test_compiled_twins_agree_with_the_array_functions():
    for m in ALL:
        v = single.rotvec_of(np.ascontiguousarray(m))
        np.testing.assert_allclose(single.matrix_of(v), m, atol=1e-7)
        if np.linalg.norm(v) < 3.1:
            np.testing.assert_allclose(v, g.rotvec_from_matrix(m), atol=1e-8)


def test_smallest_rotation_turns_a_onto_b_and_no_further():
    rng = np.random.default_rng(3)
    for _ in range(50):
        a, b = (single.unit(v) for v in rng.normal(size=(2, 3)))
        turn = single.smallest_rotation(a, b)
        np.testing.assert_allclose(turn @ a, b, atol=1e-9)
        angle = np.linalg.norm(single.rotvec_of(turn))
        assert angle == pytest.approx(np.arccos(np.clip(a @ b, -1, 1)), abs=1e-7)
