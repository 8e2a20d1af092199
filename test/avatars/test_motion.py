# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace

import numpy as np
import pytest

from avatar_ros.avatars.motion import STANCES, demo_motion, load_motion, stance
from avatar_ros.body import ARKIT_52, SMPL, SMPLX, rest_pose
from avatar_ros.geometry import matrix_from_rotvec, quat_from_rotvec, rotvec_from_quat

FRAMES = 6


def random_rotvecs(joints: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, (FRAMES, joints, 3))


def write(tmp_path, **fields):
    path = tmp_path / 'walk.npz'
    np.savez(path, **fields)
    return path


@pytest.mark.parametrize(
    ('root', 'body', 'trans'),
    [('global_orient', 'body_pose', 'transl'), ('root_orient', 'pose_body', 'trans')],
)
def test_smplx_fields_land_on_their_joints(tmp_path, root, body, trans):
    rotvecs = random_rotvecs(55)
    path = write(
        tmp_path,
        **{
            root: rotvecs[:, 0],
            body: rotvecs[:, 1:22].reshape(FRAMES, -1),
            trans: np.arange(18.0).reshape(6, 3),
        },
        jaw_pose=rotvecs[:, 22],
        left_hand_pose=rotvecs[:, 25:40].reshape(FRAMES, -1),
        right_hand_pose=rotvecs[:, 40:],
        mocap_framerate=np.array(60.0),
    )
    motion = load_motion(path, up='y')
    expected = rotvecs.copy()
    expected[:, 23:25] = 0
    np.testing.assert_allclose(motion.rotvecs, expected, atol=1e-12)
    assert (motion.fps, len(motion), motion.duration_s) == (60.0, 6, 0.1)
    np.testing.assert_allclose(motion.translation[2], [6, 7, 8])


@pytest.mark.parametrize(
    ('joints', 'of'),
    [(24, SMPL.joints), (52, SMPLX.joints[:22] + SMPLX.joints[25:]), (55, SMPLX.joints)],
)
def test_amass_poses_are_mapped_by_name(tmp_path, joints, of):
    rotvecs = random_rotvecs(joints)
    motion = load_motion(write(tmp_path, poses=rotvecs.reshape(FRAMES, -1)), up='y')
    for i, name in enumerate(of):
        if name in SMPLX.index:
            np.testing.assert_allclose(
                motion.rotvecs[:, SMPLX.index[name]], rotvecs[:, i], atol=1e-12
            )
    assert motion.fps == 30


@pytest.mark.parametrize('up', ['auto', 'z'])
def test_world_with_z_up_is_turned_upright(tmp_path, up):
    """AMASS: a standing person is turned by 90 degrees about x, and height is along z."""
    rotvecs = np.zeros((FRAMES, 55, 3))
    rotvecs[:, 0, 0] = np.pi / 2
    trans = np.tile([1.0, 2.0, 0.9], (FRAMES, 1))
    motion = load_motion(write(tmp_path, poses=rotvecs.reshape(FRAMES, -1), trans=trans), up)
    np.testing.assert_allclose(matrix_from_rotvec(motion.rotvecs[:, 0])[0], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(motion.translation[0], [1.0, 0.9, -2.0])


def test_world_with_y_up_stays(tmp_path):
    rotvecs = np.zeros((FRAMES, 55, 3))
    rotvecs[:, 0, 1] = 0.7
    motion = load_motion(write(tmp_path, poses=rotvecs.reshape(FRAMES, -1)))
    np.testing.assert_allclose(motion.rotvecs, rotvecs, atol=1e-12)


def test_pose_carries_the_root_in_the_transform(tmp_path):
    rotvecs = random_rotvecs(55)
    motion = load_motion(write(tmp_path, poses=rotvecs.reshape(FRAMES, -1)), up='y')
    pose = motion.pose(3)
    np.testing.assert_allclose(pose.rotations[0], [1, 0, 0, 0])
    np.testing.assert_allclose(pose.T_frame_root[:3, :3], matrix_from_rotvec(rotvecs[3, 0]))
    np.testing.assert_allclose(rotvec_from_quat(pose.rotations[1:]), rotvecs[3, 1:], atol=1e-9)
    assert pose.stamp_ns == 100_000_000


def test_arkit_expression_is_played_and_others_are_not(tmp_path):
    poses = random_rotvecs(55).reshape(FRAMES, -1)
    weights = np.random.default_rng(0).random((FRAMES, 52))
    motion = load_motion(write(tmp_path, poses=poses, expression=weights), up='y')
    assert motion.face(2).weights_for(('jawOpen',)) == weights[2, ARKIT_52.index('jawOpen')]
    flame = load_motion(write(tmp_path, poses=poses, expression=weights[:, :10]), up='y')
    assert flame.face(2) is None


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        ({}, 'no body pose'),
        ({'poses': np.zeros((4, 100))}, 'SMPL-H'),
        ({'poses': np.zeros(3)}, 'poses has shape'),
        ({'poses': np.zeros((0, 165))}, 'empty'),
        ({'poses': np.full((4, 165), np.nan)}, 'not finite'),
        ({'body_pose': np.zeros((4, 63)), 'left_hand_pose': np.zeros((4, 6))}, 'PCA'),
        ({'body_pose': np.zeros((4, 63)), 'transl': np.zeros((3, 3))}, 'transl'),
        ({'poses': np.zeros((4, 165)), 'mocap_framerate': np.array(0.0)}, 'frames a second'),
        ({'poses': np.zeros((4, 165)), 'mocap_framerate': np.array('fast')}, 'one number'),
        ({'poses': np.array([['a']])}, 'poses'),
    ],
)
def test_wrong_motion_is_named(tmp_path, fields, expected):
    with pytest.raises(ValueError, match=expected):
        load_motion(write(tmp_path, **fields))


def test_motion_that_is_no_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match='built-in clip: demo'):
        load_motion('dance')
    (tmp_path / 'x.npz').write_bytes(b'not a zip')
    with pytest.raises(ValueError, match='not a readable'):
        load_motion(tmp_path / 'x.npz')
    with pytest.raises(ValueError, match='auto, y or z'):
        load_motion(tmp_path / 'x.npz', up='x')


def test_demo_clip_is_smooth_and_ends_where_it_began():
    motion = demo_motion()
    assert motion.duration_s == pytest.approx(5.0)
    step = np.abs(np.diff(motion.rotvecs, axis=0)).max()
    assert step < 0.3  # radians in a thirtieth of a second
    assert np.abs(motion.rotvecs[-1] - motion.rotvecs[0]).max() < 0.05
    assert motion.expression.max() <= 1.0
    assert motion.expression.min() >= 0.0
    assert motion.at(0) == 0
    assert motion.at(99) == len(motion) - 1


@pytest.mark.parametrize('name', STANCES)
def test_stances_but_walking_are_mirror_images(name):
    rotvecs = stance(name)
    if name == 'walking':
        return
    for joint in SMPLX.joints:
        if joint.startswith('left_'):
            other = rotvecs[SMPLX.index[joint.replace('left_', 'right_')]]
            np.testing.assert_allclose(rotvecs[SMPLX.index[joint]], other * [1, -1, -1])


def test_arms_go_up_and_knees_bend_backwards(dressed):
    """The signs of the stances, on the shipped avatar."""

    def joints(name):
        pose = replace(rest_pose(), rotations=quat_from_rotvec(stance(name)))
        return {j: dressed.joint_positions(pose)[i] for i, j in enumerate(SMPLX.joints)}

    up, down, sitting = joints('arms up'), joints('relaxed'), joints('sitting')
    for side in ('left', 'right'):
        assert up[f'{side}_wrist'][1] > up['head'][1]
        assert down[f'{side}_wrist'][1] < down['spine1'][1]
        assert sitting[f'{side}_knee'][2] > sitting[f'{side}_hip'][2] + 0.3
        assert sitting[f'{side}_ankle'][1] < sitting[f'{side}_knee'][1] - 0.3
    with pytest.raises(ValueError, match='relaxed'):
        stance('handstand')
