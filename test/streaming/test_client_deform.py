# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The page deforms the shipped avatars as the server does."""

import subprocess

import numpy as np
import pytest
from streaming.test_page_modules import HERE, _node

from avatar_ros.avatars.rig import rig_of
from avatar_ros.body import neutral_face
from avatar_ros.geometry import R_ROS_SMPL
from avatar_ros.render.reference import rotation_matrices
from benchmarks.xr_scene import MovingAvatar

EYE = np.array([0.4, 1.5, 2.0])


@pytest.mark.parametrize('name', ['demo', 'dressed'])
def test_page_poses_and_colours_gaussians_as_the_server_does(tmp_path, name):
    moving = MovingAvatar(60, name)
    avatar, placed = moving.player.avatar, moving.player.place(moving.body_pose(50))
    face = neutral_face()
    face.weights[:] = np.random.default_rng(0).random(len(face.weights)) * 0.7
    rig = rig_of(avatar)
    files = [tmp_path / part for part in ('rig', 'pose', 'out')]
    files[0].write_bytes(rig.file)
    files[1].write_bytes(rig.layout.encode(avatar, placed, face))
    eye = ','.join(map(str, EYE))
    script = HERE / 'page' / 'deform.mjs'
    subprocess.run([_node(), script, files[0], files[1], eye, files[2]], check=True, timeout=60)

    n, data = len(avatar), files[2].read_bytes()
    geometry = np.frombuffer(data, '<f4', 12 * n).reshape(n, 12)
    order = np.frombuffer(data, '<u4', n, 48 * n)
    colors = np.frombuffer(data, np.uint8, 4 * n, 52 * n).reshape(n, 4)
    g = avatar.deform(placed, face)
    means = g.means.numpy() @ R_ROS_SMPL
    far = np.linalg.norm(geometry[:, :3] - means, axis=1)
    assert np.percentile(far, 99) < 1.5e-3
    assert far.max() < 5e-3
    axes = R_ROS_SMPL.T @ rotation_matrices(g.quats.double()).numpy() * g.scales.numpy()[:, None]
    covariances = axes @ axes.transpose(0, 2, 1)
    upper = covariances[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    size = np.trace(covariances, axis1=1, axis2=2)[:, None]
    assert np.abs((geometry[:, 4:10] - upper) / size).max() < 0.1
    np.testing.assert_allclose(geometry[:, 3], g.opacities.numpy(), atol=0.003)

    assert np.array_equal(np.sort(order), np.arange(n))
    steps = np.diff(geometry[order, 2])  # the eye looks along -z: what is far comes first
    assert steps.min() > -1e-4
    shown = avatar.colors_for(R_ROS_SMPL @ EYE)[0] if avatar.view_dependent else g.colors
    wanted = shown.numpy().clip(0, 1)[order]
    assert np.abs(colors[:, :3] / 255 - wanted).max() < 0.01
