# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What clients get of an avatar and of its poses, read back by hand from docs/xr_protocol.md."""

from dataclasses import replace

import numpy as np
import pytest
from made_bundles import random_bundle, random_pose
from safetensors.numpy import load
from test_pose_basis import bundle as based_bundle

from avatar_ros.avatars import NetworkAvatar, SkinnedAvatar, load_bundle, shipped_avatars
from avatar_ros.avatars.rig import rig_of, weight_steps
from avatar_ros.avatars.rig_pose import MAX_BYTES
from avatar_ros.body import FaceExpression, neutral_face
from avatar_ros.gaussians.spherical_harmonics import rgb_from_sh0
from avatar_ros.geometry import R_ROS_SMPL, matrix_from_quat, quat_from_rotvec, rigid


def read_pose(tensors, data):
    """Position, quaternions, expression weights, coefficients of a pose's bytes."""
    bits, at = int.from_bytes(data, 'little'), 0

    def number(width):
        nonlocal at
        value, at = (bits >> at) & ((1 << width) - 1), at + width
        return value

    def share(width):
        top = (1 << (width - 1)) - 1
        return (number(width) - top) / top

    place, face, coefficient = (int(b) for b in tensors['bits'])
    reach = ((1 << (place - 1)) - 1) * tensors['position_step'][0]
    position = np.array([share(place) for _ in range(3)]) * reach
    quats = np.zeros((len(tensors['joint_bits']), 4))
    for quat, width in zip(quats, tensors['joint_bits'], strict=True):
        largest = number(2)
        for k in {0, 1, 2, 3} - {largest}:
            quat[k] = share(int(width)) / np.sqrt(2)
        quat[largest] = np.sqrt(1 - (quat**2).sum())
    weights = np.zeros(len(tensors['face_scale']))
    if len(weights):
        most = np.frombuffer(number(32).to_bytes(4, 'little'), '<f4')[0]
        weights[:] = [share(face) * most for _ in weights]
    limits = tensors['pose_limit']
    return position, quats, weights, np.array([share(coefficient) * limit for limit in limits])


def angles(a, b):
    """Radians between quaternions."""
    return 2 * np.arccos(np.abs((a * b).sum(-1)).clip(0, 1))


def placed_pose(seed=3):
    T = rigid(matrix_from_quat(quat_from_rotvec([0.2, 0.3, 1.1])), np.array([1.5, -0.7, 0.9]))
    return replace(random_pose(seed), T_frame_root=T)


@pytest.fixture(params=['demo', 'dressed'])
def shipped(request):
    return SkinnedAvatar(load_bundle(shipped_avatars()[request.param]))


def test_file_holds_the_gaussians_to_within_a_step(shipped):
    g, tensors = shipped.bundle.gaussians, load(rig_of(shipped).file)

    def spread(name):
        low, step = tensors[f'{name}_range']
        return low + tensors[name] * step

    assert np.abs(spread('means') - g.means.numpy()).max() < 3e-5
    assert np.abs(spread('log_scales') - np.log(g.scales.numpy())).max() < 0.015
    assert np.abs(spread('rgb') - rgb_from_sh0(g.colors[:, 0].numpy())).max() < 0.006
    assert np.abs(tensors['opacities'] / 255 - g.opacities.numpy()).max() < 0.002
    unit = g.quats.numpy() / np.linalg.norm(g.quats.numpy(), axis=1, keepdims=True)
    found = tensors['quats'] / np.linalg.norm(tensors['quats'], axis=1, keepdims=True)
    assert angles(found, unit).max() < 0.016  # rounding to 127ths moves by at most so much
    harmonics = tensors['sh'] * tensors['sh_scale'][:, None]
    np.testing.assert_allclose(harmonics, g.colors[:, 1:].numpy(), atol=1e-3)
    np.testing.assert_array_equal(tensors['skin_joints'], shipped.bundle.skin_joints)
    assert np.abs(tensors['skin_weights'] / 255 - shipped.bundle.skin_weights).max() < 0.004
    assert (tensors['skin_weights'].sum(1, dtype=int) == 255).all()


def test_pose_comes_back_and_no_rounding_moves_anything_far(shipped):
    rig, pose = rig_of(shipped), placed_pose()
    tensors = load(rig.file)
    rng = np.random.default_rng(0)
    face = replace(neutral_face(), weights=rng.random(52), confidence=1.0)
    data = rig.layout.encode(shipped, pose, face)
    assert len(data) == rig.layout.size <= MAX_BYTES
    position, quats, weights, coefficients = read_pose(tensors, data)
    T = pose.T_frame_root
    np.testing.assert_allclose(position, R_ROS_SMPL.T @ T[:3, 3], atol=6e-5)
    wanted = shipped.joints.posed_rotations(pose, face)
    # The farthest that a joint carries moves by so many metres.
    moved = angles(quats, wanted)[1:] * shipped.joints.reach()[1:]
    assert moved.max() < 7e-4
    root = R_ROS_SMPL @ matrix_from_quat(quats[0])
    np.testing.assert_allclose(root, T[:3, :3] @ matrix_from_quat(wanted[0]), atol=1e-5)
    np.testing.assert_allclose(weights, shipped.expression_weights(face), atol=0.009)
    limit = tensors['pose_limit']
    assert (np.abs(coefficients - shipped.pose_coefficients(pose)) <= limit / 4000).all()


@pytest.mark.parametrize('components', [0, 1, 16, 64])
def test_pose_with_up_to_64_coefficients_fits(components):
    demo = load_bundle(shipped_avatars()['demo'])
    rng = np.random.default_rng(components)
    basis = replace(
        demo.pose_basis,
        regression=rng.normal(0, 1, (len(demo.pose_basis.centres), components)).astype(np.float32),
        limit=np.full(components, 2.0, np.float32),
        values=np.zeros((4, components, len(demo), 3), np.int8),
        scale=np.ones((components, 4), np.float32),
    )
    avatar = SkinnedAvatar(replace(demo, pose_basis=basis))
    rig = rig_of(avatar)
    data = rig.layout.encode(avatar, placed_pose(), None)
    assert len(data) <= MAX_BYTES
    _, quats, _, coefficients = read_pose(load(rig.file), data)
    wanted = avatar.pose_coefficients(placed_pose())
    np.testing.assert_allclose(coefficients, wanted, atol=2.0 / (1 << 7))
    rotations = avatar.joints.posed_rotations(placed_pose(), None)
    assert (angles(quats, rotations)[1:] * avatar.joints.reach()[1:]).max() < 3e-3


def test_file_says_how_joints_carry_canonical_points():
    avatar = SkinnedAvatar(based_bundle())
    tensors, pose = load(rig_of(avatar).file), placed_pose()
    A, _ = avatar.joints.motion(pose, None)
    rotations = avatar.joints.posed_rotations(pose, None)
    turn = [pose.T_frame_root[:3, :3] @ matrix_from_quat(rotations[0])]
    place = [pose.T_frame_root[:3, 3]]
    for joint in range(1, len(rotations)):
        parent = tensors['parents'][joint]
        turn.append(turn[parent] @ matrix_from_quat(rotations[joint]))
        place.append(place[parent] + turn[parent] @ tensors['joint_offsets'][joint])
    for joint, (R, t) in enumerate(zip(turn, place, strict=True)):
        bind = matrix_from_quat(tensors['bind_quats'][joint])
        np.testing.assert_allclose(R @ bind, A[joint, :, :3], atol=1e-6)
        moved = R @ tensors['bind_moves'][joint] + t
        np.testing.assert_allclose(moved, A[joint, :, 3], atol=1e-5)


def test_weights_keep_their_sum_when_rounded():
    weights = np.random.default_rng(1).random((500, 4)) ** 3
    steps = weight_steps(weights)
    assert (steps.sum(1, dtype=int) == 255).all()
    exact = weights / weights.sum(1, keepdims=True)
    assert np.abs(steps / 255 - exact).max() <= 1 / 255


def test_what_a_client_cannot_compute_is_refused_with_the_reason():
    class Other(SkinnedAvatar):
        pass

    assert issubclass(NetworkAvatar, SkinnedAvatar)
    with pytest.raises(ValueError, match='not a linear one'):
        rig_of(Other(random_bundle()))
    small = based_bundle()
    basis = small.pose_basis
    many = replace(
        basis,
        limit=np.ones(65, np.float32),
        regression=np.zeros((len(basis.centres), 65), np.float32),
        values=np.zeros((4, 65, len(small), 3), np.int8),
        scale=np.ones((65, 4), np.float32),
    )
    with pytest.raises(ValueError, match='65 components; 64 fit'):
        rig_of(SkinnedAvatar(replace(small, pose_basis=many)))


def test_pose_that_is_not_finite_is_refused():
    avatar = SkinnedAvatar(random_bundle())
    layout = rig_of(avatar).layout
    pose = placed_pose()
    pose.rotations[5, 1] = np.nan
    with pytest.raises(ValueError, match='not finite'):
        layout.encode(avatar, pose, None)
    face = FaceExpression('arkit52', ('jawOpen',), np.array([np.inf]), confidence=1.0)
    with pytest.raises(ValueError, match='jawOpen'):
        layout.encode(avatar, placed_pose(), face)
