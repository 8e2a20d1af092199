# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The networks: engines agree, laws hold, gradients are those of finite differences."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from avatar_ros.avatars.network.body_network import BodyNetwork, Canonical, PoseInput
from avatar_ros.avatars.network.config import NetworkConfig
from avatar_ros.avatars.network.hash_grid import HashGrid
from avatar_ros.avatars.network.layers import Mlp
from avatar_ros.avatars.network.limbs import body_joints, joined, owners, shared_out, shares
from avatar_ros.avatars.network.pose_encoder import PoseEncoder
from avatar_ros.avatars.network.skinning_field import HierarchicalSoftmax
from avatar_ros.avatars.network.voxel_unet import VoxelTables, VoxelUNet
from avatar_ros.body.model import free_body
from avatar_ros.body.skeletons import SMPL, SMPLX
from avatar_ros.body.torch_kinematics import joint_motion, skin
from avatar_ros.geometry.torch_rotations import matrix_from_quat, quat_from_rotvec

TINY = NetworkConfig(
    hash_levels=2, hash_log2_table=6, hash_base=3, hash_finest=6, pose_features=2,
    nonrigid_width=5, nonrigid_layers=1, nonrigid_features=2, skinning_width=5,
    skinning_layers=1, color_features=3, color_width=4, color_layers=1, latent_features=2,
    geometry_network=True, voxel_m=0.3, unet_planes=(2, 3), unet_features=2, fusion_width=4,
    fusion_layers=1,
)  # fmt: skip


def test_numba_and_torch_hash_grids_agree():
    torch.manual_seed(0)
    grid = HashGrid(log2_table=12)
    with torch.no_grad():
        grid.table.uniform_(-1, 1)
    exact = HashGrid(log2_table=12).double()
    with torch.no_grad():
        exact.table.copy_(grid.table)
    # Cells of 1/64 in which no point is near a face, where the derivative jumps.
    points = (torch.randint(-60, 60, (500, 3)) + 0.37) / 64
    a, b = points.clone().requires_grad_(), points.double().requires_grad_()
    grid(a).square().sum().backward()
    exact(b).square().sum().backward()
    torch.testing.assert_close(grid(a).double(), exact(b), atol=2e-4, rtol=0)
    torch.testing.assert_close(grid.table.grad.double(), exact.table.grad, atol=2e-3, rtol=1e-3)
    error = (a.grad.double() - b.grad).norm() / b.grad.norm()
    assert error < 1e-3


def test_hash_grid_interpolates_and_its_gradients_are_right():
    torch.manual_seed(0)
    grid = HashGrid(levels=2, log2_table=6, base=3, finest=5).double()
    points = (torch.rand(6, 3, dtype=torch.float64) * 1.8 - 0.9).requires_grad_()
    with torch.no_grad():
        grid.table.uniform_(-1, 1)
    assert gradcheck(lambda p, t: torch.func.functional_call(grid, {'table': t}, (p,)),
                     (points, grid.table.detach().requires_grad_()))  # fmt: skip
    with torch.no_grad():
        grid.table.fill_(0.7)
    torch.testing.assert_close(grid(points), torch.full((6, 4), 0.7, dtype=torch.float64))


def test_a_code_shared_by_all_rows_counts_as_if_it_were_appended():
    torch.manual_seed(0)
    mlp = Mlp(4, 3, 8, 3, 2)
    rows, code = torch.randn(7, 4), torch.randn(3)
    plain = Mlp(7, 0, 8, 3, 2)
    plain.load_state_dict({k: v for k, v in mlp.state_dict().items() if k != 'code.weight'} | {
        'first.weight': torch.cat([mlp.first.weight, mlp.code.weight], 1).detach(),
    })  # fmt: skip
    torch.testing.assert_close(mlp(rows, code), plain(torch.cat([rows, code.expand(7, 3)], 1)))


def test_our_leaky_relu_is_torchs():
    x = torch.randn(50, dtype=torch.float64, requires_grad=True)
    from avatar_ros.avatars.network.layers import _LeakyRelu

    torch.testing.assert_close(_LeakyRelu.apply(x), torch.nn.functional.leaky_relu(x))
    assert gradcheck(_LeakyRelu.apply, (x,))


@pytest.mark.parametrize('skeleton', [SMPL, body_joints(SMPLX), SMPLX])
def test_hierarchical_softmax_sums_to_one_and_reaches_every_joint(skeleton):
    softmax = HierarchicalSoftmax(skeleton)
    logits = torch.randn(40, softmax.logits, dtype=torch.float64) * 3
    weights = softmax(logits)
    assert weights.shape == (40, len(skeleton))
    torch.testing.assert_close(weights.sum(1), torch.ones(40, dtype=torch.float64))
    assert (weights > 0).all()


def test_smpl_has_25_logits_as_in_3dgs_avatar():
    assert HierarchicalSoftmax(SMPL).logits == 25


def test_pose_code_has_144_numbers_and_ignores_the_root():
    encoder = PoseEncoder(SMPL)
    assert encoder.width == 144
    turns = matrix_from_quat(quat_from_rotvec(torch.randn(24, 3)))
    joints = torch.rand(24, 3)
    code = encoder(turns, joints)
    turned = turns.clone()
    turned[0] = matrix_from_quat(quat_from_rotvec(torch.randn(3)))
    torch.testing.assert_close(encoder(turned, joints), code)
    bent = turns.clone()
    bent[18] = torch.eye(3)
    changed = (encoder(bent, joints) - code).unflatten(0, (24, 6)).abs().sum(1) > 1e-6
    below = [18, 20, 22]
    assert changed[below].all()
    # The others change by the code of the whole body alone, which all start from.
    assert PoseEncoder(body_joints(SMPLX)).width == 132


def test_fingers_share_what_the_hand_carries():
    weights = torch.from_numpy(free_body('smplx').weights[::50]).float()
    body = joined(weights, SMPLX)
    torch.testing.assert_close(shared_out(body, shares(weights, SMPLX), SMPLX), weights, atol=2e-3,
                               rtol=0)  # fmt: skip
    assert max(owners(SMPLX)) == 21


def test_skinning_by_torch_is_that_of_smplx():
    model = free_body('smpl')
    rng = np.random.default_rng(0)
    rotvecs = rng.normal(0, 0.4, (24, 3))
    expected, _ = model.vertices(rotvecs, translation=np.array([0.1, 0.2, 0.3]))
    motion = joint_motion(
        SMPL,
        torch.from_numpy(model.rest_joints()),
        quat_from_rotvec(torch.from_numpy(rotvecs)),
        torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64),
    )
    moved, _ = skin(torch.from_numpy(model.template), torch.from_numpy(model.weights), motion)
    np.testing.assert_allclose(moved.numpy(), expected, atol=1e-6)
    back = motion.then(motion.inverse())
    torch.testing.assert_close(back.A[:, :, :3], torch.eye(3).double().expand(24, 3, 3))
    torch.testing.assert_close(back.A[:, :, 3], torch.zeros(24, 3).double(), atol=1e-9, rtol=0)


def network_and_inputs(dtype=torch.float64):
    torch.manual_seed(1)
    bounds = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])
    joints = torch.rand(24, 3)
    network = BodyNetwork(TINY, SMPL, bounds, joints, 3).to(dtype).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    n = 5
    canonical = Canonical(
        (torch.rand(n, 3) * 1.6 - 0.8).to(dtype),
        torch.nn.functional.normalize(torch.randn(n, 4), dim=1).to(dtype),
        torch.randn(n, 3).to(dtype),
        torch.randn(n, 3).to(dtype),
        torch.randn(n, 5).to(dtype),
    )
    quats = quat_from_rotvec(torch.randn(24, 3).to(dtype) * 0.3)
    motion = joint_motion(SMPL, joints.to(dtype), quats)
    return network, canonical, PoseInput(matrix_from_quat(quats), motion)


def test_deformation_chain_against_finite_differences():
    """Means, colours, scales and rotations through non-rigid, 3-D network, skinning and colours."""
    network, c, pose = network_and_inputs()
    tables = network.unet.tables(c.means)
    eye = torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64)

    def chain(means, quats, log_scales, features, semantics, table, rotations):
        network.grid.table = torch.nn.Parameter(table)
        canonical = Canonical(means, quats, log_scales, features, semantics)
        code = network.code(PoseInput(rotations, pose.motion))
        encoded = torch.func.functional_call(
            network.grid, {'table': table}, (network.normalise(means),)
        )
        change = network.change(encoded, code, network.geometry(canonical, tables))
        posed = network.pose(canonical, change, pose.motion)
        colors = network.colors(features, posed, eye, network.latent(1))
        return posed.means, posed.quats, posed.scales, colors

    inputs = [c.means, c.quats, c.log_scales, c.features, c.semantics,
              network.grid.table.detach(), pose.rotations]  # fmt: skip
    # The direction of view is detached from the means, as in 3DGS: colours are checked apart.
    inputs = [value.clone().requires_grad_() for value in inputs]
    assert gradcheck(lambda *a: chain(*a)[:3], inputs, eps=1e-6, atol=1e-5)
    fixed = inputs[0].detach()
    assert gradcheck(
        lambda features, semantics: chain(
            fixed, c.quats, c.log_scales, features, semantics, inputs[5].detach(), pose.rotations
        )[3],
        (inputs[3], inputs[4]),
        atol=1e-5,
    )


def test_turning_the_person_turns_the_gaussians_and_keeps_the_colours():
    network, c, pose = network_and_inputs()
    turn = quat_from_rotvec(torch.tensor([0.3, -0.9, 0.4], dtype=torch.float64))
    R = matrix_from_quat(turn)
    A = torch.cat([R @ pose.motion.A[:, :, :3], R @ pose.motion.A[:, :, 3:]], -1)
    from avatar_ros.body.torch_kinematics import JointMotion
    from avatar_ros.geometry.torch_rotations import quat_multiply

    turned = JointMotion(A, quat_multiply(turn.expand(24, 4), pose.motion.turns))
    change = network.change(network.encode(c), network.code(pose))
    here, there = (network.pose(c, change, motion) for motion in (pose.motion, turned))
    torch.testing.assert_close(there.means, here.means @ R.T)
    eye = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(
        network.colors(c.features, there, R @ eye, network.latent(None)),
        network.colors(c.features, here, eye, network.latent(None)),
    )


def test_a_new_network_changes_nothing():
    torch.manual_seed(0)
    bounds = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])
    network = BodyNetwork(NetworkConfig(), SMPL, bounds, torch.rand(24, 3), 3)
    _, c, pose = network_and_inputs(torch.float32)
    change = network.change(network.encode(c), network.code(pose))
    assert float(change.means.detach().abs().max()) < 1e-3
    torch.testing.assert_close(change.quats[:, 0], torch.ones(5), atol=1e-5, rtol=0)


def test_voxel_neighbours_are_those_within_one_voxel():
    rng = torch.Generator().manual_seed(0)
    points = torch.rand(60, 3, generator=rng) * 0.5
    tables = VoxelTables.of(points, 0.1, 2)
    cells = torch.unique(((points + 2) / 0.1).floor().long(), dim=0)
    near = (cells[:, None] - cells[None]).abs().amax(-1) <= 1
    found = tables.levels[0].neighbours
    counted = (found < len(cells)).sum(1)
    assert sorted(counted.tolist()) == sorted(near.sum(1).tolist())
    assert int(tables.points_in_voxel.sum()) == 60


def test_voxel_unet_moves_with_its_points_and_has_gradients():
    torch.manual_seed(0)
    unet = VoxelUNet(4, (3, 4, 5), 6, 0.05).eval()
    points, inputs = torch.rand(80, 3) * 0.4, torch.randn(80, 4, requires_grad=True)
    out = unet(inputs, unet.tables(points))
    # Two coarsest voxels further on, the grid looks the same.
    moved = unet(inputs, unet.tables(points + 8 * 0.05))
    torch.testing.assert_close(out, moved, atol=1e-4, rtol=1e-3)
    order = torch.randperm(80)
    shuffled = unet(inputs[order], unet.tables(points[order]))
    torch.testing.assert_close(shuffled, out[order], atol=1e-5, rtol=1e-4)
    out.sum().backward()
    assert torch.isfinite(inputs.grad).all()
    assert float(inputs.grad.abs().sum()) > 0


@pytest.mark.filterwarnings('ignore')  # spconv's own
def test_spconv_and_torch_convolve_alike():
    pytest.importorskip('spconv.pytorch', reason='spconv is not installed')
    torch.manual_seed(0)
    unet = VoxelUNet(4, (8, 16, 24), 6, 0.02).eval()
    points, inputs = torch.rand(400, 3) * torch.tensor([0.3, 0.9, 0.2]), torch.randn(400, 4)
    tables = unet.tables(points)
    found = {}
    with torch.no_grad():
        for engine in ('torch', 'spconv', 'spconv'):  # the second time with its kept tables
            unet.engine = engine
            found.setdefault(engine, []).append(unet(inputs, tables))
    first, second = found['spconv']
    assert float(found['torch'][0].std()) > 0.1
    torch.testing.assert_close(first, found['torch'][0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(second, first, atol=0, rtol=0)


def test_network_config_survives_json_and_refuses_what_it_does_not_know():
    assert NetworkConfig.from_json(TINY.to_json()) == TINY
    with pytest.raises(ValueError, match='hidden'):
        NetworkConfig.from_json({'hidden': 3})
    with pytest.raises(ValueError, match='nonrigid_width'):
        NetworkConfig.from_json({'nonrigid_width': 'large'})
