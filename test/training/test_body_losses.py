# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Every loss against finite differences, and what each of them means."""

from itertools import pairwise

import numpy as np
import torch
from torch.autograd import gradcheck

from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera, look_at
from avatar_ros.geometry.torch_rotations import quat_from_rotvec, quat_multiply
from avatar_ros.render import NumbaEngine
from avatar_ros.training.body.contrast import DgcnnEncoder, contrastive_loss
from avatar_ros.training.body.losses import covariances, isometry_loss, nearest, skinning_loss
from avatar_ros.training.body.semantics import (
    annotate,
    contrast_of_parts,
    neighbourhood_loss,
    semantic_loss,
    splat_features,
)
from avatar_ros.training.capture import PARTS
from avatar_ros.training.metrics import psnr, ssim
from avatar_ros.training.perceptual import Perceptual

F64 = torch.float64


def random_quats(n):
    return quat_from_rotvec(torch.randn(n, 3, dtype=F64))


def test_gradients_of_the_geometric_losses():
    torch.manual_seed(0)
    weights = torch.rand(6, 4, dtype=F64, requires_grad=True)
    assert gradcheck(lambda w: skinning_loss(w, torch.rand(6, 4, dtype=F64) * 0 + 0.2), (weights,))
    before = torch.randn(8, 3, dtype=F64, requires_grad=True)
    after = torch.randn(8, 3, dtype=F64, requires_grad=True)
    near = nearest(before, 4)
    assert gradcheck(lambda a, b: isometry_loss(a, b, near), (before, after))
    quats = random_quats(8).requires_grad_()
    scales = torch.rand(8, 3, dtype=F64, requires_grad=True)
    fixed = covariances(random_quats(8), torch.rand(8, 3, dtype=F64))
    assert gradcheck(lambda q, s: isometry_loss(fixed, covariances(q, s), near), (quats, scales))


def test_rigid_motion_is_isometric_for_points():
    points = torch.randn(50, 3, dtype=F64)
    turn = random_quats(1)
    from avatar_ros.geometry.torch_rotations import quat_rotate

    moved = quat_rotate(turn.expand(50, 4), points) + torch.tensor([1.0, 2, 3], dtype=F64)
    near = nearest(points, 5)
    assert float(isometry_loss(points, moved, near)) < 1e-9
    assert float(isometry_loss(points, 1.1 * points, near)) > 1e-2


def test_covariance_turns_with_its_gaussian():
    quats, scales = random_quats(5), torch.rand(5, 3, dtype=F64)
    found = covariances(quats, scales)
    same = covariances(-quats, scales)
    torch.testing.assert_close(found, same)
    # The trace does not turn.
    turned = covariances(quat_multiply(random_quats(1).expand(5, 4), quats), scales)
    trace = [0, 3, 5]
    torch.testing.assert_close(found[:, trace].sum(1), turned[:, trace].sum(1))


def test_gradients_of_the_semantic_losses():
    torch.manual_seed(0)
    logits = torch.randn(12, 5, dtype=F64, requires_grad=True)
    near = nearest(torch.randn(12, 3), 5)
    assert gradcheck(lambda o: neighbourhood_loss(o, near), (logits,))
    picture = (torch.rand(4, 5, 5, dtype=F64) * 0.8 + 0.1).requires_grad_()
    parts = torch.randint(0, 6, (4, 5))
    assert gradcheck(lambda p: semantic_loss(p, parts), (picture,))


def test_neighbourhood_loss_is_zero_where_neighbours_agree_and_pulls_both_sides():
    near = torch.tensor([[0, 1], [1, 0]])
    same = torch.tensor([[1.0, 2, 3], [1, 2, 3]])
    assert float(neighbourhood_loss(same, near)) == 0
    different = torch.tensor([[3.0, 0, 0], [0, 3, 0]], requires_grad=True)
    neighbourhood_loss(different, near).backward()
    assert (different.grad.abs().sum(1) > 0).all()


def test_gradients_of_the_contrastive_loss():
    torch.manual_seed(0)
    encoder = DgcnnEncoder(neighbours=3, width=2).to(F64)
    clouds = [torch.randn(7, 3, dtype=F64, requires_grad=True) for _ in range(3)]
    assert gradcheck(
        lambda a, p, n: contrastive_loss(encoder, a, p, n, margin=5.0), clouds, atol=1e-4
    )


def test_contrastive_loss_prefers_the_positive():
    torch.manual_seed(0)
    encoder = DgcnnEncoder(neighbours=5, width=8)
    cloud = torch.randn(64, 3)
    other = torch.randn(64, 3) * torch.tensor([3.0, 0.3, 1.0])
    near = contrastive_loss(encoder, cloud, cloud + 0.001 * torch.randn(64, 3), other)
    far = contrastive_loss(encoder, cloud, other, cloud + 0.001 * torch.randn(64, 3))
    assert float(near.detach()) < float(far.detach())


def test_paper_encoder_has_the_sizes_of_dgcnn():
    encoder = DgcnnEncoder()
    assert encoder.neighbours == 20
    assert [e.here.out_features for e in encoder.edges] == [64, 64, 128, 256]
    assert encoder.gather.in_features == 512
    assert encoder.gather.out_features == 1024
    assert (encoder.project[0].in_features, encoder.project[2].out_features) == (2048, 512)


def test_image_metrics():
    torch.manual_seed(0)
    image = torch.rand(20, 24, 3, dtype=F64)
    assert float(ssim(image, image)) == 1.0
    noisy = (image + 0.1).clamp(0, 1)
    assert float(ssim(image, noisy)) < 1
    assert abs(float(psnr(torch.zeros(4, 4, 3), torch.full((4, 4, 3), 0.1))) - 20) < 1e-5
    small = torch.rand(6, 6, 1, dtype=F64, requires_grad=True)
    assert gradcheck(lambda x: ssim(x, image[:6, :6, :1], window=5), (small,))


def test_perceptual_distance_has_gradients_and_is_zero_for_the_same_picture():
    torch.manual_seed(0)
    sizes = (3, 2, 2, 2, 2, 2)
    blocks = [
        [(torch.randn(b, a, 3, 3, dtype=F64) * 0.3, torch.zeros(b, dtype=F64))]
        for a, b in pairwise(sizes)
    ]
    heads = [torch.rand(1, 2, 1, 1, dtype=F64) for _ in range(5)]
    distance = Perceptual('made up', blocks, heads)
    truth = torch.rand(32, 32, 3, dtype=F64)
    assert float(distance(truth, truth)) == 0
    image = torch.rand(32, 32, 3, dtype=F64, requires_grad=True)
    value = distance(image, truth)
    (gradient,) = torch.autograd.grad(value, image)
    way = torch.randn_like(truth)
    step = 1e-6
    with torch.no_grad():
        slope = (distance(image + step * way, truth) - distance(image - step * way, truth)) / 2e-6
    assert abs(float((gradient * way).sum() - slope)) < 1e-5 * max(1, abs(float(slope)))


def test_features_are_splatted_like_colours():
    torch.manual_seed(0)
    n = 30
    g = Gaussians(
        torch.randn(n, 3) * 0.3, torch.randn(n, 4), torch.rand(n, 3) * 0.1 + 0.02,
        torch.rand(n) * 0.8 + 0.1, torch.rand(n, 3),
    )  # fmt: skip
    camera = Camera.from_fov(24, 24, 50).at(look_at([0, 0, 2], [0, 0, 0]))
    engine = NumbaEngine()
    features = torch.rand(n, 5, requires_grad=True)
    picture = splat_features(engine, g, features, camera)
    assert picture.shape == (24, 24, 5)
    last = Gaussians(g.means, g.quats, g.scales, g.opacities, features[:, 2:5].detach())
    torch.testing.assert_close(
        picture[..., 2:].detach(), engine.rasterize(last, [camera]).colors[0], atol=1e-5, rtol=0
    )
    picture.sum().backward()
    assert (features.grad.abs().sum(1) > 0).any()


def test_annotator_labels_what_it_sees_and_not_what_is_behind():
    y, x = np.meshgrid(np.linspace(-0.5, 0.5, 30), np.linspace(-0.5, 0.5, 30))
    front = np.stack([x.ravel(), y.ravel(), np.full(900, 0.1)], 1)
    behind = front + [0, 0, -0.3]
    vertices = np.concatenate([front, behind])
    labels = np.where(vertices[:, 0] > 0, 1, 2)
    labels[900:] = 3
    camera = Camera.from_fov(40, 40, 40).at(look_at([0, 0, 2], [0, 0, 0]))
    mask = np.zeros((40, 40), bool)
    mask[12:28, 12:28] = True
    found = annotate(vertices, labels, camera, mask)
    assert (found[~mask] == 0).all()
    # x points to the person's left, which is the picture's right when they face the camera.
    assert (found[14:26, 22:27] == 2).all()
    assert (found[14:26, 13:18] == 3).all()


def test_density_regularisation_picks_what_differs_from_its_neighbours():
    means = torch.rand(200, 3)
    rgb = torch.zeros(200, 3)
    rgb[17] = 1.0
    parts = torch.full((200,), PARTS.index('head'))
    rows = contrast_of_parts(means, rgb, torch.ones(200), parts, ('head', 'torso'), 0.005)
    assert rows.tolist() == [17]
