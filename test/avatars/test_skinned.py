# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_bundles import random_bundle, random_pose

from avatar_ros.avatars import Avatar, SkinnedAvatar
from avatar_ros.avatars.joints import eye_rotation
from avatar_ros.body import (
    ARKIT_52,
    SMPL,
    SMPLX,
    BodyPose,
    FaceExpression,
    neutral_face,
    rest_pose,
)
from avatar_ros.geometry import (
    angle_between,
    matrix_from_quat,
    quat_from_rotvec,
    rigid,
    rotvec_from_quat,
)


def face(confidence: float = 1.0, **weights: float) -> FaceExpression:
    values = np.array([weights.get(name, 0.0) for name in ARKIT_52])
    return FaceExpression('arkit52', ARKIT_52, values, confidence=confidence)


def copied(gaussians):
    return replace(gaussians, means=gaussians.means.clone(), quats=gaussians.quats.clone())


def same_rotations(a, b, atol: float = 1e-3) -> None:
    assert float(angle_between(a.double().numpy(), b.double().numpy()).max()) < atol


def test_skinned_avatar_is_an_avatar(bundle):
    assert isinstance(SkinnedAvatar(bundle), Avatar)


def test_rest_pose_gives_the_stored_gaussians(bundle):
    where_it_rests = rigid(np.eye(3), bundle.rest_joints[0])
    posed = SkinnedAvatar(bundle).deform(replace(rest_pose(), T_frame_root=where_it_rests))
    torch.testing.assert_close(posed.means, bundle.gaussians.means, atol=2e-6, rtol=0)
    same_rotations(posed.quats, bundle.gaussians.quats)
    torch.testing.assert_close(posed.scales, bundle.gaussians.scales)


@pytest.mark.parametrize('seed', range(4))
def test_numba_and_torch_agree(bundle, seed):
    avatar = SkinnedAvatar(bundle)
    pose = replace(random_pose(seed, 1.0), T_frame_root=rigid(np.diag([1, -1, -1]), [0.1, 2, 3]))
    smile = face(jawOpen=0.4, mouthSmileLeft=0.9)
    fast, plain = avatar.deform(pose, smile), avatar.deform_torch(pose, smile)
    torch.testing.assert_close(fast.means, plain.means, atol=3e-6, rtol=0)
    torch.testing.assert_close(fast.quats, plain.quats, atol=3e-6, rtol=0)
    torch.testing.assert_close(fast.colors, plain.colors)


@pytest.mark.parametrize('seed', range(4))
def test_moving_the_root_moves_every_gaussian_rigidly(bundle, seed):
    rng = np.random.default_rng(seed)
    R = matrix_from_quat(quat_from_rotvec(rng.normal(0, 2, 3)))
    t = rng.normal(0, 2, 3)
    avatar, pose, smile = SkinnedAvatar(bundle), random_pose(seed), face(mouthSmileRight=1.0)
    at_origin = copied(avatar.deform(pose, smile))
    moved = avatar.deform(replace(pose, T_frame_root=rigid(R, t)), smile)
    rotated = torch.from_numpy((at_origin.means.double().numpy()) @ R.T + t)
    torch.testing.assert_close(moved.means.double(), rotated, atol=2e-5, rtol=0)
    expected = R @ matrix_from_quat(at_origin.quats.double().numpy())
    np.testing.assert_allclose(matrix_from_quat(moved.quats.double().numpy()), expected, atol=1e-5)


def test_half_turn_of_the_root_has_no_special_angle(bundle):
    """A person who looks into the camera is turned by exactly 180 degrees."""
    avatar = SkinnedAvatar(bundle)
    pose = replace(rest_pose(), T_frame_root=rigid(np.diag([1.0, -1.0, -1.0]), np.zeros(3)))
    posed = avatar.deform(pose)
    assert torch.isfinite(posed.quats).all()
    expected = np.diag([1.0, -1.0, -1.0]) @ matrix_from_quat(
        bundle.gaussians.quats.double().numpy()
    )
    np.testing.assert_allclose(matrix_from_quat(posed.quats.double().numpy()), expected, atol=1e-5)


def test_pelvis_lies_at_the_root(bundle):
    avatar = SkinnedAvatar(bundle)
    root = rigid(np.eye(3), [1.0, 2.0, 3.0])
    A, _ = avatar.joints.motion(replace(random_pose(1), T_frame_root=root), None)
    np.testing.assert_allclose(A[0, :, :3] @ bundle.rest_joints[0] + A[0, :, 3], [1, 2, 3])


def test_permuted_gaussians_give_permuted_results(bundle):
    order = np.random.default_rng(0).permutation(len(bundle))
    g = bundle.gaussians
    shuffled = replace(
        bundle,
        gaussians=replace(
            g,
            **{
                n: getattr(g, n)[order] for n in ('means', 'quats', 'scales', 'opacities', 'colors')
            },
        ),
        skin_joints=bundle.skin_joints[order],
        skin_weights=bundle.skin_weights[order],
        expression=None,
    )
    a = SkinnedAvatar(replace(bundle, expression=None)).deform(random_pose(3))
    b = SkinnedAvatar(shuffled).deform(random_pose(3))
    torch.testing.assert_close(a.means[order], b.means)
    torch.testing.assert_close(a.quats[order], b.quats)


def test_smpl_pose_moves_the_joints_that_both_skeletons_have(bundle):
    avatar = SkinnedAvatar(bundle)
    smpl = random_pose(5, skeleton=SMPL)
    rotations = rest_pose().rotations.copy()
    shared = [j for j in SMPL.joints if j in SMPLX.index]
    rotations[SMPLX.rows(shared)] = smpl.rotations[SMPL.rows(shared)]
    as_smplx = replace(rest_pose(), rotations=rotations)
    expected = copied(avatar.deform(as_smplx))
    torch.testing.assert_close(avatar.deform(smpl).means, expected.means)


def test_expression_moves_the_basis_and_nothing_else(bundle):
    avatar = SkinnedAvatar(bundle)
    still = copied(avatar.deform(rest_pose())).means
    moved = avatar.deform(rest_pose(), face(mouthSmileLeft=0.5)).means - still
    basis = bundle.expression
    expected = np.zeros((len(bundle), 3), np.float32)
    expected[basis.index] = 0.5 * basis.values[1] * basis.scale[1]
    np.testing.assert_allclose(moved.numpy(), expected, atol=2e-6)
    np.testing.assert_allclose(basis.offsets([0, 0.5, 0]), expected[basis.index], atol=1e-7)


def test_previous_expression_leaves_no_trace(bundle):
    avatar = SkinnedAvatar(bundle)
    before = copied(avatar.deform(random_pose(1)))
    avatar.deform(random_pose(2), face(jawOpen=1.0))
    torch.testing.assert_close(avatar.deform(random_pose(1)).means, before.means)


def test_face_that_is_not_seen_changes_nothing(bundle):
    avatar, pose = SkinnedAvatar(bundle), random_pose(7)
    without = copied(avatar.deform(pose))
    torch.testing.assert_close(avatar.deform(pose, neutral_face()).means, without.means)
    hidden = face(confidence=0.0, jawOpen=1.0)
    torch.testing.assert_close(avatar.deform(pose, hidden).means, without.means)


def test_jaw_is_opened_once(bundle):
    """By the basis if it drives the jaw, otherwise by the joint."""
    turned = quat_from_rotvec([0.4, 0, 0])
    expression = replace(face(jawOpen=1.0), jaw=turned)
    row = SMPLX.index['jaw']
    pose = replace(rest_pose(), rotations=rest_pose().rotations.copy())
    pose.rotations[row] = turned

    def jaw_angle(avatar, expression):
        _, turns = avatar.joints.motion(pose, expression)
        return float(angle_between(turns[SMPLX.index['head']], turns[row]))

    by_basis = SkinnedAvatar(bundle)
    by_joint = SkinnedAvatar(
        replace(bundle, expression=replace(bundle.expression, drives_jaw=False))
    )
    assert jaw_angle(by_basis, expression) == pytest.approx(0)
    assert jaw_angle(by_basis, None) == pytest.approx(0.4)
    assert jaw_angle(by_joint, expression) == pytest.approx(0.4)
    flame = FaceExpression('flame', ('expression_0',), np.ones(1), jaw=turned)
    assert jaw_angle(by_basis, flame) == pytest.approx(0.4)


def test_eyes_turn_with_the_face_message(bundle):
    avatar = SkinnedAvatar(bundle)
    expression = replace(face(), left_eye=quat_from_rotvec([0, 0.3, 0]))
    _, turns = avatar.joints.motion(rest_pose(), expression)
    np.testing.assert_allclose(
        rotvec_from_quat(turns[SMPLX.index['left_eye_smplhf']]), [0, 0.3, 0], atol=1e-9
    )
    np.testing.assert_allclose(
        rotvec_from_quat(turns[SMPLX.index['right_eye_smplhf']]), 0, atol=1e-9
    )


@pytest.mark.parametrize(
    ('action', 'side', 'axis', 'sign'),
    [
        ('eyeLookOutLeft', 'left', 1, 1),  # to the person's left: about +y
        ('eyeLookInLeft', 'left', 1, -1),
        ('eyeLookInRight', 'right', 1, 1),
        ('eyeLookOutRight', 'right', 1, -1),
        ('eyeLookDownLeft', 'left', 0, 1),
        ('eyeLookUpRight', 'right', 0, -1),
    ],
)
def test_eye_look_weights_turn_the_eyes_where_there_is_no_rotation(action, side, axis, sign):
    rotvec = rotvec_from_quat(eye_rotation(face(**{action: 1.0}), side))
    assert np.argmax(np.abs(rotvec)) == axis
    assert np.sign(rotvec[axis]) == sign
    other = 'right' if side == 'left' else 'left'
    np.testing.assert_allclose(rotvec_from_quat(eye_rotation(face(**{action: 1.0}), other)), 0)


def test_view_dependent_colours_turn_with_the_body():
    bundle = random_bundle(sh_degree=2)
    avatar = SkinnedAvatar(bundle)
    eye = np.array([0.3, 0.2, 3.0])
    avatar.deform(rest_pose())
    at_rest = avatar.colors_for(eye)
    R = matrix_from_quat(quat_from_rotvec([0.3, 2.0, -0.5]))
    t = np.array([1.0, 0, 0])
    avatar.deform(replace(rest_pose(), T_frame_root=rigid(R, t)))
    torch.testing.assert_close(avatar.colors_for(R @ eye + t), at_rest, atol=1e-5, rtol=0)
    assert at_rest.shape == (1, len(bundle), 3)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_pose_that_is_not_finite_is_refused(bundle, bad):
    pose = random_pose(0)
    pose.rotations[5] = bad
    with pytest.raises(ValueError, match='not finite'):
        SkinnedAvatar(bundle).deform(pose)
    with pytest.raises(ValueError, match='jawOpen'):
        SkinnedAvatar(bundle).deform(rest_pose(), face(jawOpen=bad))


def test_pose_with_missing_rotations_is_refused(bundle):
    pose = BodyPose(SMPLX, np.eye(4), np.zeros((3, 4)), np.ones(3))
    with pytest.raises(ValueError, match='55'):
        SkinnedAvatar(bundle).deform(pose)


def test_ground_follows_the_feet_and_the_direction_of_up(bundle):
    avatar = SkinnedAvatar(bundle)
    here = avatar.ground_height(rest_pose())
    lifted = replace(rest_pose(), T_frame_root=rigid(np.eye(3), [0, 0.5, 0]))
    base = replace(rest_pose(), T_frame_root=rigid(np.eye(3), [0, 0, 0]))
    assert avatar.ground_height(lifted) - avatar.ground_height(base) == pytest.approx(0.5)
    assert here == pytest.approx(float(avatar.sole_points(rest_pose())[:, 1].min()))
    sideways = avatar.ground_height(rest_pose(), np.array([1.0, 0, 0]))
    assert sideways == pytest.approx(float(avatar.sole_points(rest_pose())[:, 0].min()))
