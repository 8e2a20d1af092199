# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""SMPL-X poses as the 20 hinges of REP-155: round trips, directions, and the URDF itself."""

import sys
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
from body.urdf_reader import SAME, link_positions
from helpers import REPOSITORY

from avatar_ros.body import SMPLX, rest_pose
from avatar_ros.body.foreign import REP155_JOINTS
from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.rep155 import LIMITS, Rep155Human, limits
from avatar_ros.body.rep155_urdf import urdf
from avatar_ros.geometry import R_ROS_SMPL, invert_rigid, matrix_from_rotvec, rigid
from avatar_ros.tracking.adapters import rep155 as adapter
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks

sys.path.insert(0, str(REPOSITORY / 'test/tracking'))
from made_person import random_person

REST = free_rest_landmarks()
HUMAN = Rep155Human(REST.joints)


def pose_of(seed):
    from dataclasses import replace

    return replace(rest_pose(), rotations=random_person(seed).quats)


def smpl_positions(pose):
    """SMPL-X joints (3,) in the axes of ``body``, by name."""
    T = forward_kinematics(SMPLX, REST.joints, pose.rotations, pose.T_frame_root)
    T_body_frame = invert_rigid(HUMAN.T_frame_body(pose))
    return {joint: (T_body_frame @ T[row])[:3, 3] for joint, row in SMPLX.index.items()}


def joint_state(angles, body_id='p7'):
    stamp = SimpleNamespace(sec=1, nanosec=0)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id=''),
        name=[f'{joint}_{body_id}' for joint in angles],
        position=list(angles.values()),
    )


def hinges(rng):
    """Angles within the limits, clear of where two hinges do the same."""
    angles = {joint: rng.uniform(*(0.9 * np.array(limits(joint)))) for joint in REP155_JOINTS}
    for letter in 'lr':
        angles[f'{letter}_p_shoulder'] = rng.uniform(0.1, 3.0)
    return angles


def test_hanging_arms_are_zero_and_stretched_ones_a_right_angle():
    stretched = HUMAN.angles(rest_pose())
    for joint, angle in stretched.items():
        expected = np.pi / 2 if joint.endswith('p_shoulder') else 0.0
        assert angle == pytest.approx(expected, abs=1e-9), joint
    assert list(stretched) == list(REP155_JOINTS)


@pytest.mark.parametrize('seed', range(20))
def test_hinges_to_a_pose_and_back_are_the_same_hinges(seed):
    angles = hinges(np.random.default_rng(seed))
    pose = adapter.body_pose(joint_state(angles), REST)
    back = HUMAN.angles(pose)
    for joint, angle in angles.items():
        assert back[joint] == pytest.approx(angle, abs=1e-6), joint
    np.testing.assert_allclose(HUMAN.T_frame_body(pose), np.eye(4), atol=1e-9)


@pytest.mark.parametrize('seed', range(10))
def test_pose_to_hinges_to_pose_keeps_where_limbs_and_face_point(seed):
    pose = pose_of(seed)
    T = forward_kinematics(SMPLX, REST.joints, pose.rotations)
    back = adapter.body_pose(joint_state(HUMAN.angles(pose)), REST)
    T_back = forward_kinematics(SMPLX, REST.joints, back.rotations)

    def bone(T, a, b):
        way = T[SMPLX.index[b], :3, 3] - T[SMPLX.index[a], :3, 3]
        return way / np.linalg.norm(way)

    for side in ('left', 'right'):
        for a, b in (('shoulder', 'elbow'), ('elbow', 'wrist'), ('hip', 'knee'), ('knee', 'ankle')):
            a, b = f'{side}_{a}', f'{side}_{b}'
            np.testing.assert_allclose(bone(T_back, a, b), bone(T, a, b), atol=0.02, err_msg=b)
    head = SMPLX.index['head']
    np.testing.assert_allclose(T_back[head, :3, :3], T[head, :3, :3], atol=1e-6)


@pytest.mark.parametrize('seed', range(5))
def test_forward_kinematics_of_the_urdf_are_ours(seed):
    angles = HUMAN.angles(pose_of(seed))
    found = link_positions(urdf(HUMAN, 'p7'), angles, 'p7')
    placed = {'body': np.eye(4)}
    for link, T in HUMAN.transforms(angles).items():
        parent = next(k.parent for k in HUMAN.links if k.name == link)
        placed[link] = placed[parent] @ T
        np.testing.assert_allclose(placed[link], found[link], atol=1e-5)


def test_urdf_is_one_tree_of_the_twenty_hinges():
    robot = ET.fromstring(urdf(HUMAN, 'p7'))
    links = [link.get('name') for link in robot.findall('link')]
    children = [joint.find('child').get('link') for joint in robot.findall('joint')]
    assert len(set(links)) == len(links)
    assert sorted(children) == sorted(set(links) - {'body_p7'})
    movable = {j.get('name') for j in robot.findall('joint') if j.get('type') == 'revolute'}
    assert movable == {f'{joint}_p7' for joint in REP155_JOINTS}
    assert {'head_p7', 'torso_p7', 'l_wrist_p7', 'r_ankle_p7'} <= set(links)


@pytest.mark.parametrize('seed', range(10))
def test_limbs_of_the_urdf_lie_in_the_person_when_the_trunk_is_straight(seed):
    pose = pose_of(seed)
    for joint in ('spine1', 'spine2', 'spine3', 'neck', 'head'):
        pose.rotations[SMPLX.index[joint]] = [1, 0, 0, 0]
    found = link_positions(urdf(HUMAN, 'x'), HUMAN.angles(pose), 'x')
    truth = smpl_positions(pose)
    for link, joint in SAME.items():
        np.testing.assert_allclose(found[link][:3, 3], truth[joint], atol=1e-3, err_msg=link)


def test_left_is_left_and_forward_is_forward():
    found = link_positions(urdf(HUMAN, 'x'), dict.fromkeys(REP155_JOINTS, 0.0), 'x')
    assert found['l_wrist'][1, 3] > 0.1 > -0.1 > found['r_wrist'][1, 3]
    assert found['head'][2, 3] > found['torso'][2, 3] > 0 > found['l_ankle'][2, 3]
    assert found['l_wrist'][2, 3] < found['l_elbow'][2, 3] < found['l_shoulder'][2, 3]
    bent = dict.fromkeys(REP155_JOINTS, 0.0) | {'l_elbow': 1.5, 'r_knee': -1.5, 'waist': 0.5}
    moved = link_positions(urdf(HUMAN, 'x'), bent, 'x')
    assert moved['l_wrist'][0, 3] > found['l_wrist'][0, 3] + 0.1, 'a bent elbow reaches forward'
    assert moved['r_ankle'][0, 3] < found['r_ankle'][0, 3] - 0.1, 'a bent knee goes back'
    assert moved['head'][0, 3] > found['head'][0, 3] + 0.1, 'a bow goes forward'
    face = HUMAN.T_head_face
    assert face[0, 3] > 0.03
    assert np.allclose(face[:3, :3], np.eye(3))


def test_arms_that_swing_through_hanging_do_not_flip_their_hinges():
    before = None
    path = []
    for k in range(400):
        swing = 0.5 * np.cos(0.05 * k)
        angles = dict.fromkeys(REP155_JOINTS, 0.0)
        hanging = adapter.body_pose(joint_state(angles), REST)
        row = SMPLX.index['left_shoulder']
        R = R_ROS_SMPL.T @ matrix_from_rotvec([0.0, swing, 0.0]) @ R_ROS_SMPL
        from avatar_ros.geometry import matrix_from_quat, quat_from_matrix

        hanging.rotations[row] = quat_from_matrix(R @ matrix_from_quat(hanging.rotations[row]))
        before = HUMAN.angles(hanging, before)
        path.append([before[f'l_{k}_shoulder'] for k in 'ypr'])
    steps = np.abs(np.diff(path, axis=0)).max(axis=0)
    assert steps.max() < 0.1


def test_a_pose_of_a_head_only_is_refused():
    from avatar_ros.body import FLAME

    with pytest.raises(ValueError, match='whole body'):
        HUMAN.angles(rest_pose(FLAME))


def test_where_the_body_stands_is_the_middle_of_the_hips():
    pose = rest_pose(T_frame_root=rigid(np.eye(3), [1.0, 2.0, 3.0]))
    T = forward_kinematics(SMPLX, REST.joints, pose.rotations, pose.T_frame_root)
    hips = T[SMPLX.rows(('left_hip', 'right_hip')), :3, 3].mean(0)
    np.testing.assert_allclose(HUMAN.T_frame_body(pose)[:3, 3], hips, atol=1e-12)
    assert set(LIMITS) >= {'waist', 'elbow', 'knee'}
