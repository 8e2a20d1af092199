# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What must hold for the avatar of `make demo`: one that our own CHASE trained."""

import numpy as np
import pytest
import torch

from avatar_ros.avatars import SkinnedAvatar, load_avatar, shipped_avatars
from avatar_ros.avatars.motion import demo_motion, stance
from avatar_ros.body import ARKIT_52, SMPLX, BodyPose, FaceExpression, rest_pose
from avatar_ros.geometry import Camera, look_at, quat_from_rotvec
from avatar_ros.render import rasterize


@pytest.fixture(scope='module')
def demo() -> SkinnedAvatar:
    avatar = load_avatar('demo')
    assert isinstance(avatar, SkinnedAvatar)
    return avatar


def face(**weights: float) -> FaceExpression:
    return FaceExpression('arkit52', ARKIT_52, np.array([weights.get(n, 0.0) for n in ARKIT_52]))


def in_stance(name: str) -> BodyPose:
    rotations = quat_from_rotvec(stance(name))
    return BodyPose(SMPLX, np.eye(4), rotations, np.ones(55))


def test_it_was_trained_and_says_how(demo):
    about = demo.bundle.provenance
    assert about['method'] == 'chase'
    assert about['preset'] == 'cpu'
    assert about['evaluation']['novel_view']['psnr'] > 28
    assert demo.bundle.licence == 'CC0-1.0'
    assert demo.bundle.pose_basis is not None
    assert demo.bundle.canonical is not None
    assert shipped_avatars()['demo'].stat().st_size < 12e6


def test_it_stands_upright_in_metres_and_faces_forward(demo):
    means = demo.deform(rest_pose()).means.numpy()
    low, high = np.quantile(means, [0.0005, 0.9995], axis=0)
    assert 1.6 < high[1] - low[1] < 2.0
    assert 1.5 < high[0] - low[0] < 2.0
    assert abs(demo.ground_height(rest_pose()) - low[1]) < 0.05


def test_an_arm_bends_on_its_own_side(demo):
    still = demo.deform(rest_pose()).means.clone()
    rotations = rest_pose().rotations.copy()
    rotations[SMPLX.index['left_elbow']] = quat_from_rotvec([0, -1.0, 0])
    pose = BodyPose(SMPLX, np.eye(4), rotations, np.ones(55))
    moved = (demo.deform(pose).means - still).norm(dim=1)
    far = still[moved > 0.05]
    assert len(far) > 100
    assert float(far[:, 0].min()) > 0.2, 'x is the left of the person'


def test_jaw_and_lids_move_the_face(demo):
    still = demo.deform(rest_pose()).means.clone()
    for action, least in (('jawOpen', 0.015), ('eyeBlinkLeft', 0.004), ('mouthSmileLeft', 0.004)):
        moved = (demo.deform(rest_pose(), face(**{action: 1.0})).means - still).norm(dim=1)
        assert float(moved.max()) > least
        rest = still[moved > 1e-4]
        assert float(rest[:, 1].min()) > float(still[:, 1].max()) - 0.4


def test_no_pose_explodes(demo):
    rng = np.random.default_rng(0)
    for angle in (0.5, 1.5, 3.0):
        rotations = quat_from_rotvec(rng.normal(0, angle, (55, 3)))
        rotations[0] = (1, 0, 0, 0)
        drawn = demo.deform(BodyPose(SMPLX, np.eye(4), rotations, np.ones(55)))
        assert torch.isfinite(drawn.means).all()
        assert float(drawn.means.abs().max()) < 2.0
        assert float(drawn.scales.max()) < 0.5
        assert demo.pose_distance > 0
    demo.deform(in_stance('relaxed'))
    near = demo.pose_distance
    demo.deform(BodyPose(SMPLX, np.eye(4), rotations, np.ones(55)))
    assert demo.pose_distance > near


@pytest.mark.parametrize('name', ['relaxed', 'walking', 'arms up'])
def test_there_are_no_holes_in_the_trunk(demo, name):
    pose = in_stance(name)
    gaussians = demo.deform(pose)
    target = demo.joint_positions(pose)[SMPLX.index['spine2']]
    view = look_at(target + np.array([0, 0, 2.0]), target)
    camera = Camera.from_fov(96, 96, 5.0, T_camera_world=view)
    assert float(rasterize(gaussians, [camera]).alphas.min()) > 0.9


def test_it_plays_the_built_in_motion(demo):
    motion = demo_motion()
    for frame in range(0, len(motion), 30):
        drawn = demo.deform(motion.pose(frame), motion.face(frame))
        assert torch.isfinite(drawn.means).all()
