# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Canonical poses and baked pose bases: files, engines, and poses far from all known ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_bundles import random_bundle, random_pose

from avatar_ros.avatars import BundleError, PoseBasis, SkinnedAvatar, load_bundle, save_bundle
from avatar_ros.body import SMPLX, rest_pose
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.training.body.canonical_body import canonical_quats

N, K, M = 60, 4, 7
JOINTS = SMPLX.joints[1:22]


def basis(seed: int = 0) -> PoseBasis:
    rng = np.random.default_rng(seed)
    return PoseBasis(
        joints=JOINTS,
        centres=quat_from_rotvec(rng.normal(0, 0.4, (M, 21, 3))).astype(np.float32),
        length_scale=1.5,
        regression=rng.normal(0, 1, (M, K)).astype(np.float32),
        limit=np.full(K, 2.0, np.float32),
        values=rng.integers(-127, 128, (4, K, N, 3)).astype(np.int8),
        scale=np.full((K, 4), 1e-4, np.float32),
        training=M - 2,
    )


def bundle(sh_degree: int = 0):
    quats = canonical_quats(SMPLX).numpy().astype(np.float32)
    return replace(random_bundle(N, sh_degree), canonical=quats, pose_basis=basis())


@pytest.mark.parametrize('name', ['folder', 'file.zip'])
def test_round_trip(tmp_path, name):
    save_bundle(tmp_path / name, bundle())
    found = load_bundle(tmp_path / name)
    np.testing.assert_allclose(found.canonical, bundle().canonical, atol=1e-6)
    for field in ('centres', 'regression', 'limit', 'values', 'scale', 'joints', 'training'):
        np.testing.assert_array_equal(
            getattr(found.pose_basis, field), getattr(basis(), field), err_msg=field
        )


def test_bundles_without_them_stay_in_version_1(tmp_path):
    import json

    save_bundle(tmp_path / 'old', random_bundle(N))
    assert json.loads((tmp_path / 'old' / 'avatar.json').read_text())['version'] == 1
    save_bundle(tmp_path / 'new', bundle())
    assert json.loads((tmp_path / 'new' / 'avatar.json').read_text())['version'] == 2


@pytest.mark.parametrize('sh_degree', [0, 1, 3])
def test_both_engines_deform_alike(sh_degree):
    avatar = SkinnedAvatar(bundle(sh_degree))
    for seed in range(3):
        pose = random_pose(seed, 0.3)
        here = avatar.deform(pose)
        eye = np.array([0.3, 1.0, 2.0])
        kept = [t.clone() for t in (here.means, here.quats, here.scales, here.colors)]
        colors = avatar.colors_for(eye).clone()
        there = avatar.deform_torch(pose)
        unit = torch.nn.functional.normalize
        for a, b in zip(kept, (there.means, there.quats, there.scales, there.colors), strict=True):
            if a.shape[1] == 4:
                a, b = unit(a, dim=1), unit(b, dim=1)
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)
        # The numba colours against torch's formula for the same Gaussians.
        from avatar_ros.gaussians.spherical_harmonics import evaluate_sh
        from avatar_ros.geometry.torch_rotations import quat_conjugate, quat_rotate

        means, turns = there.means, avatar._posed[1]
        away = quat_rotate(quat_conjugate(turns), means - torch.tensor(eye, dtype=torch.float32))
        expected = evaluate_sh(avatar.bundle.gaussians.colors.float(), away)
        expected = (expected + avatar._color_change).clamp_min(0)
        torch.testing.assert_close(colors[0], expected, atol=1e-4, rtol=1e-3)


def test_in_the_canonical_pose_nothing_moves():
    b = replace(bundle(), pose_basis=None)
    avatar = SkinnedAvatar(b)
    pose = replace(rest_pose(), rotations=b.canonical.astype(float))
    root = np.eye(4)
    root[:3, 3] = b.rest_joints[0]
    found = avatar.deform(replace(pose, T_frame_root=root))
    torch.testing.assert_close(found.means, b.gaussians.means, atol=1e-5, rtol=0)


def test_a_canonical_pose_is_only_another_way_to_write_the_same_avatar():
    """A rigidly bound bundle, moved into the star pose by hand, plays like the original."""
    plain = random_bundle(N)
    one = np.zeros((N, 4), np.float32)
    one[:, 0] = 1
    plain = replace(plain, skin_weights=one, expression=None)
    star = replace(rest_pose(), rotations=canonical_quats(SMPLX).numpy())
    root = np.eye(4)
    root[:3, 3] = plain.rest_joints[0]
    moved = SkinnedAvatar(plain).deform(replace(star, T_frame_root=root))
    written = replace(
        plain,
        gaussians=replace(plain.gaussians, means=moved.means.clone(), quats=moved.quats.clone()),
        canonical=canonical_quats(SMPLX).numpy(),
    )
    pose = random_pose(4)
    a, b = SkinnedAvatar(plain).deform(pose), SkinnedAvatar(written).deform(pose)
    torch.testing.assert_close(a.means, b.means, atol=1e-5, rtol=0)


def test_far_from_all_poses_nothing_changes_and_the_distance_says_so():
    b = basis()
    near = b.centres[0].astype(float)
    assert b.distance(near) == pytest.approx(0, abs=1e-3)
    far = quat_from_rotvec(np.full((21, 3), 1.6))
    assert b.distance(far) > 1
    assert np.abs(b.coefficients(far)).max() < 0.05 * np.abs(b.coefficients(near)).max()
    wild = replace(b, regression=b.regression * 1e4)
    assert (np.abs(wild.coefficients(near)) <= b.limit).all()
    avatar = SkinnedAvatar(bundle())
    avatar.deform(random_pose(1, 2.0))
    assert avatar.pose_distance > 0.5
    assert np.isnan(SkinnedAvatar(random_bundle(N)).pose_distance)


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (lambda t: t.pop('pose_values'), 'pose_values'),
        (lambda t: t.update(pose_values=t['pose_values'][:, :, :-1].copy()), 'pose_values'),
        (lambda t: t.update(pose_regression=t['pose_regression'] * np.nan), 'pose_regression'),
        (lambda t: t.update(canonical=t['canonical'] * 3), 'canonical'),
        (lambda t: t.update(pose_centres=t['pose_centres'][:, :5].copy()), 'pose_centres'),
    ],
)
def test_damage_is_named(tmp_path, change, says):
    from safetensors.numpy import load_file, save_file

    save_bundle(tmp_path / 'b', bundle())
    file = tmp_path / 'b' / 'avatar.safetensors'
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    with pytest.raises(BundleError, match=says):
        load_bundle(tmp_path / 'b')


def test_unknown_joint_of_a_basis_is_refused(tmp_path):
    import json

    save_bundle(tmp_path / 'b', bundle())
    file = tmp_path / 'b' / 'avatar.json'
    values = json.loads(file.read_text())
    values['pose_basis']['joints'][3] = 'tail'
    file.write_text(json.dumps(values))
    with pytest.raises(BundleError, match='tail'):
        load_bundle(tmp_path / 'b')
