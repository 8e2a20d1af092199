# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""CHASE: which poses are similar, and that carrying Gaussians there is what deforming there is."""

import numpy as np
import torch
from torch.autograd import gradcheck

from avatar_ros.avatars.network.body_network import Posed
from avatar_ros.body.skeletons import SMPLX
from avatar_ros.body.torch_kinematics import skin
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.training.body.adjustment import (
    Adjustment,
    farthest_points,
    pose_distances,
    similar_poses,
)
from avatar_ros.training.body.canonical_body import CanonicalBody
from avatar_ros.training.body.config import ChaseConfig
from avatar_ros.training.datasets import load_capture


def rotvecs(seed, scale=0.3):
    return np.random.default_rng(seed).normal(0, scale, (55, 3))


def test_distance_is_zero_for_the_same_pose_and_counts_root_and_limbs():
    poses = np.zeros((4, 55, 3))
    poses[1, 0, 1] = 0.5
    poses[2, SMPLX.index['left_knee'], 0] = 0.6
    poses[3, SMPLX.index['left_index1'], 0] = 1.0
    d = pose_distances(SMPLX, quat_from_rotvec(poses))
    np.testing.assert_allclose(np.diag(d), 0, atol=1e-6)
    np.testing.assert_allclose(d[0, 1], 0.5, atol=1e-6)
    np.testing.assert_allclose(d[0, 2], 0.6 / 12, atol=1e-6)
    np.testing.assert_allclose(d[0, 3], 0, atol=1e-6)


def test_at_most_three_similar_poses_that_are_apart_in_time():
    config = ChaseConfig()
    d = np.abs(np.subtract.outer(np.arange(40), np.arange(40))) * 0.02
    found = similar_poses(d, range(40), config)
    assert found[0] == [5, 6, 7]
    assert all(len(v) <= 3 and all(abs(b - a) >= 5 for b in v) for a, v in found.items())
    far = similar_poses(d + 10, range(40), config)
    assert far[0] == [5], 'if none is similar, the nearest'
    assert similar_poses(d, [0, 20], config)[0] == [20]


def test_farthest_points_spread():
    points = np.random.default_rng(0).random((500, 3))
    rows = farthest_points(points, 20)
    assert len(set(rows.tolist())) == 20
    gaps = np.linalg.norm(points[rows][:, None] - points[rows], axis=-1) + 9 * np.eye(20)
    assert gaps.min() > 0.15


def posed_at(body, points, weights, pose):
    moved, turns = skin(points, weights, pose.motion)
    quats = torch.tensor([[1.0, 0, 0, 0]]).expand(len(points), 4)
    from avatar_ros.geometry.torch_rotations import quat_multiply

    scales = torch.ones_like(points)
    return Posed(moved, quat_multiply(turns, quats), scales, turns, torch.zeros(len(points), 1))


def test_carried_gaussians_lie_where_deformed_ones_do(small_capture):
    """On the body itself, where both are linear blend skinning, within centimetres; and back."""
    body = CanonicalBody(load_capture(small_capture).subject)
    points, weights = body.sample(400, np.random.default_rng(0))
    points, weights = (torch.from_numpy(x).float() for x in (points, weights))
    adjustment = Adjustment(body, ChaseConfig())
    a, b = (
        body.pose_input(torch.from_numpy(rotvecs(s)).float(), torch.tensor([0.1 * s, 1, 0]))
        for s in (1, 2)
    )
    rows = adjustment.bind(points)
    here, there = (posed_at(body, points, weights, pose) for pose in (a, b))
    carried = adjustment(here, points, rows, a.motion, b.motion)
    error = (carried.means - there.means).norm(dim=1)
    assert float(error.median()) < 0.01
    assert float((here.means - there.means).norm(dim=1).median()) > 0.1
    agree = (carried.quats * there.quats).sum(1).abs()
    assert float(agree.median()) > 0.99
    back = adjustment(carried, points, rows, b.motion, a.motion)
    assert float((back.means - here.means).norm(dim=1).median()) < 0.01
    same = adjustment(here, points, rows, a.motion, a.motion)
    torch.testing.assert_close(same.means, here.means, atol=1e-4, rtol=1e-3)


def test_gradients_reach_the_avatar_and_the_radii(small_capture):
    body = CanonicalBody(load_capture(small_capture).subject)
    adjustment = Adjustment(body, ChaseConfig(nodes=20)).double()
    points = body.vertices[::2500].double()
    a, b = (body.pose_input(torch.from_numpy(rotvecs(s)).float(), torch.zeros(3)) for s in (1, 2))
    from avatar_ros.body.torch_kinematics import JointMotion

    start, end = (JointMotion(p.motion.A.double(), p.motion.turns.double()) for p in (a, b))
    rows = adjustment.bind(points)
    quats = torch.nn.functional.normalize(torch.randn(len(points), 4, dtype=torch.float64), dim=1)
    ones = torch.ones_like(points)

    def carried(means, radius):
        posed = Posed(means, quats, ones, quats, ones)
        state = {'log_radius': radius}
        out = torch.func.functional_call(adjustment, state, (posed, points, rows, start, end))
        return out.means, out.quats

    given = (points + 0.1).requires_grad_()
    radius = adjustment.log_radius.detach().clone().requires_grad_()
    assert gradcheck(carried, (given, radius), atol=1e-5)
