# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""HeadGAP's networks and the rig under them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from avatar_ros.avatars.head.binding import bind
from avatar_ros.avatars.head.config import HeadNetworkConfig
from avatar_ros.avatars.head.gapnet import GEOMETRY, GapNet, PartMlp
from avatar_ros.avatars.head.rig import MAX_SCALE_M, HeadRig, displacement, place
from avatar_ros.body.flame import PARTS, free_head
from avatar_ros.geometry import matrix_from_rotvec
from avatar_ros.geometry.torch_rotations import matrix_from_quat, quat_from_matrix
from avatar_ros.training.head.config import preset

SMALL = preset('preview').network


def test_the_paper_preset_has_the_papers_numbers() -> None:
    config = preset('paper')
    n, loss, prior, personal = config.network, config.loss, config.prior, config.personal
    assert (n.grid, n.point_features, n.code, n.layers, n.features) == (300, 48, 128, 4, 34)
    assert (n.cnn_layers, len(PARTS)) == (6, 11)
    assert (loss.l1, loss.ssim, loss.perceptual, loss.mouth) == (0.8, 0.2, 0.4, 10.0)
    assert (loss.mask, loss.scale, loss.position, loss.arap) == (1.0, 1.0, 0.01, 1.0)
    assert (loss.scale_free, loss.position_free) == (0.6, 1.0)
    assert (prior.iterations, prior.batch, prior.lr, prior.flame_lr) == (100_000, 32, 1e-3, 1e-3)
    assert (personal.inversion, personal.finetune) == (500, 500)
    assert (personal.lr, personal.point_lr) == (1e-5, 1e-3)
    assert (personal.reference_views, personal.reference) == (16, 0.01)


def test_networks_have_the_papers_shape() -> None:
    config = HeadNetworkConfig()
    binding = bind(free_head(), 40)
    net = GapNet(config, binding.slices, torch.from_numpy(binding.log_scale))
    assert net.parts == 11
    assert net.geometry_net.last.shape[2] == GEOMETRY == 11
    assert net.appearance_net.last.shape[2] == 34
    # Four layers: the first, two hidden ones, the last.
    assert len(net.geometry_net.hidden) == len(net.appearance_net.hidden) == 2
    assert net.cnn is not None
    assert [layer.out_channels for layer in net.cnn.layers] == [128] * 5 + [3]
    assert net.cnn.layers[0].in_channels == 34


def test_a_finer_grid_binds_more_gaussians_to_every_part() -> None:
    coarse, fine = (bind(free_head(), grid) for grid in (60, 120))
    ratio = len(fine) / len(coarse)
    assert 3.7 < ratio < 4.3
    assert all(len(range(*s.indices(len(fine)))) > 0 for s in fine.slices)
    assert (np.diff(fine.part.astype(int)) >= 0).all()
    assert np.allclose(fine.bary.sum(1), 1, atol=1e-6)
    with pytest.raises(ValueError, match='a UV grid of 4 gives'):
        bind(free_head(), 4)


def test_quaternions_of_matrices_are_those_matrices() -> None:
    rng = np.random.default_rng(0)
    R = torch.tensor(np.stack([matrix_from_rotvec(rng.normal(0, 2, 3)) for _ in range(200)]))
    R.requires_grad_()
    quats = quat_from_matrix(R)
    torch.testing.assert_close(matrix_from_quat(quats), R, atol=1e-9, rtol=0)
    (gradient,) = torch.autograd.grad(quats.sum(), R)
    assert torch.isfinite(gradient).all()


def test_the_first_layer_in_pieces_is_one_layer() -> None:
    torch.manual_seed(0)
    slices = (slice(0, 3), slice(3, 3), slice(3, 7))
    mlp = PartMlp(slices, 5, 4, (2, 3), 8, 4, 6)
    point, code = torch.randn(7, 5), torch.randn(2, 3, 4)
    a, b = torch.randn(2, 7, 2), torch.randn(2, 7, 3)
    out = mlp.finish(mlp.fixed(point, code, (a,)), b)
    for p, rows in enumerate(slices):
        n = rows.stop - rows.start
        x = torch.cat(
            [point[rows].expand(2, -1, -1), code[:, p : p + 1].expand(-1, n, -1),
             a[:, rows], b[:, rows]], -1,
        )  # fmt: skip
        first = torch.cat([mlp.point[p], mlp.code[p], mlp.extras[0][p], mlp.extras[1][p]])
        x = torch.nn.functional.leaky_relu(x @ first + mlp.bias[p])
        for weight, bias in zip(mlp.hidden, mlp.hidden_bias, strict=True):
            x = torch.nn.functional.leaky_relu(x @ weight[p] + bias[p])
        torch.testing.assert_close(out[:, rows], x @ mlp.last[p] + mlp.last_bias[p])


class Scene:
    """A small random head."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        head = free_head()
        self.binding = bind(head, SMALL.grid)
        self.net = GapNet(SMALL, self.binding.slices, torch.from_numpy(self.binding.log_scale))
        for mlp in (self.net.geometry_net, self.net.appearance_net):
            mlp.last.data *= 100  # as if it had learned something
        self.rig = HeadRig(head.model, self.binding)
        self.point = torch.randn(len(self.binding), SMALL.point_features)
        self.code = torch.randn(1, self.net.parts, SMALL.code)
        self.geometry = self.net.geometry(self.point, self.code)
        self.local = self.net.local(self.geometry)

    def frames(self, expression: np.ndarray, rotvecs: np.ndarray, shift: np.ndarray | None = None):
        arrays = (np.zeros(0), expression[None], rotvecs[None],
                  (np.zeros(3) if shift is None else shift)[None])  # fmt: skip
        return self.rig.frames(*(torch.tensor(a, dtype=torch.float32) for a in arrays))


@pytest.fixture(scope='module')
def scene() -> Scene:
    return Scene()


@torch.no_grad()
def test_turning_the_root_turns_all_gaussians_and_no_colour(scene: Scene) -> None:
    rng = np.random.default_rng(1)
    expression, rotvecs = rng.uniform(0, 0.4, 52), rng.normal(0, 0.2, (5, 3))
    rotvecs[0] = 0
    turned, shift = rotvecs.copy(), np.array([0.1, -0.2, 1.0])
    turned[0] = (0.3, 1.0, -0.4)
    a, b = scene.frames(expression, rotvecs), scene.frames(expression, turned, shift)
    Q = torch.tensor(matrix_from_rotvec(turned[0]), dtype=torch.float32)
    joint = scene.rig.flame.regressor[0] @ scene.rig.flame.template
    (m1, q1, s1), (m2, q2, s2) = place(scene.local, a), place(scene.local, b)
    moved = (m1 - joint) @ Q.T + joint + torch.tensor(shift, dtype=torch.float32)
    torch.testing.assert_close(m2, moved, atol=2e-5, rtol=0)
    # Thin triangles turn a rounding error of a vertex into one of their frame.
    torch.testing.assert_close(matrix_from_quat(q2), Q @ matrix_from_quat(q1), atol=1e-3, rtol=0)
    torch.testing.assert_close(s2, s1, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(
        displacement(scene.local, a), displacement(scene.local, b), atol=1e-6, rtol=0
    )


@torch.no_grad()
def test_a_still_face_displaces_nothing(scene: Scene) -> None:
    still = scene.frames(np.zeros(52), np.array([[0, 0.5, 0], [0.2, 0, 0], *np.zeros((3, 3))]))
    assert displacement(scene.local, still).abs().max() < 1e-6


@torch.no_grad()
def test_appearance_sees_the_expression_unless_it_is_told_not_to(scene: Scene) -> None:
    acted = np.zeros(52)
    acted[list(free_head().model.expression_names).index('jawOpen')] = 1.0
    moved = displacement(scene.local, scene.frames(acted, np.zeros((5, 3))))
    arguments = (scene.point, scene.code, scene.geometry)
    rest = scene.net.appearance(*arguments, torch.zeros_like(moved))
    seen = (scene.net.appearance(*arguments, moved) - rest).abs().amax(-1)[0]
    lips, hair = (scene.binding.slices[PARTS.index(p)] for p in ('lip', 'hair'))
    assert seen[lips].max() > 1e-3
    assert seen[hair].median() == 0
    blind = GapNet(
        replace(SMALL, dynamic=False), scene.binding.slices, scene.net.first_log_scale.clone()
    )
    blind.load_state_dict(scene.net.state_dict())
    torch.testing.assert_close(blind.appearance(*arguments, moved), rest)


@torch.no_grad()
def test_no_expression_tears_the_head_apart(scene: Scene) -> None:
    """Whatever 52 weights, a turn within 60 degrees, blends of extremes: 5 cm and 30 cm hold."""
    rng = np.random.default_rng(2)
    rest = place(scene.local, scene.frames(np.zeros(52), np.zeros((5, 3))))[0]
    middle = rest.mean(1, keepdim=True)
    extremes = [np.ones(52), np.zeros(52), *rng.integers(0, 2, (12, 52)).astype(float)]
    extremes += [(a + b) / 2 for a, b in pairwise(extremes)]
    for expression in extremes:
        rotvecs = np.zeros((5, 3))
        rotvecs[1] = rng.uniform(-1, 1, 3) * np.radians(60) / np.sqrt(3)
        rotvecs[3:] = rng.uniform(-0.4, 0.4, (2, 3))
        frames = scene.frames(expression, rotvecs)
        means, _, scales = place(scene.local, frames)
        assert torch.isfinite(means).all()
        assert scales.max() <= MAX_SCALE_M < 0.05
        assert displacement(scene.local, frames).norm(dim=-1).max() < 0.30
        reach = (rest - middle).norm(dim=-1).max()
        assert (means - means.mean(1, keepdim=True)).norm(dim=-1).max() < reach + 0.30
