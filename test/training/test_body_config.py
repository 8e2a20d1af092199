# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The presets `paper` hold the papers' numbers (docs/training.md says where each is from)."""

import pytest

from avatar_ros.training.body.config import METHODS, PRESETS, TrainConfig, preset


def test_base_is_3dgs_avatar():
    c = preset('base')
    n, g, loss, s = c.network, c.gaussians, c.loss, c.schedule
    assert (n.hash_levels, n.hash_features, n.hash_log2_table) == (16, 2, 16)
    assert (n.hash_base, n.hash_finest) == (16, 2048)
    assert (n.nonrigid_width, n.nonrigid_layers, n.nonrigid_features) == (128, 3, 16)
    assert (n.skinning_width, n.skinning_layers) == (128, 4)
    assert (n.color_features, n.color_width, n.color_layers) == (32, 64, 2)
    assert (n.view_degree, n.latent_features, n.pose_features) == (3, 16, 6)
    assert n.color_features + 15 + n.nonrigid_features + n.latent_features == 79
    assert not n.geometry_network
    assert (g.initial, g.opacity) == (50_000, 0.1)
    assert (g.position_lr, g.position_lr_end, g.position_lr_steps) == (1.6e-4, 1.6e-6, 30_000)
    assert (g.feature_lr, g.opacity_lr, g.scale_lr, g.rotation_lr) == (1e-3, 0.05, 0.005, 0.001)
    assert (g.densify_from, g.densify_until, g.densify_every) == (500, 10_000, 100)
    assert (g.densify_gradient, g.percent_dense, g.prune_opacity) == (2e-4, 0.01, 0.05)
    assert g.reset_opacity_every == 3_000
    assert (loss.rgb, loss.mask, loss.perceptual, loss.ssim) == (1, 0.1, 0.01, 0)
    assert (loss.skin_early, loss.skin, loss.skin_early_until, loss.skin_points) == (
        10,
        0.1,
        1000,
        1024,
    )
    assert (loss.isopos, loss.isocov, loss.neighbours) == (1, 100, 5)
    assert s.iterations == 15_000
    assert (s.gaussians_from, s.nonrigid_from, s.pose_from) == (1_000, 3_000, 5_000)
    assert (s.network_lr, s.skinning_lr, s.pose_lr) == (1e-3, 1e-4, 1e-4)
    assert (s.latent_decay, s.lr_end, s.gradient_clip) == (0.05, 0.1, 0.1)
    assert (s.pose_noise, s.pose_noise_chance, s.view_noise_deg) == (0.1, 0.5, 45)
    assert c.image_size == 512


def test_chase():
    c = preset('chase')
    assert c.schedule.iterations == 13_000
    assert c.chase is not None
    assert c.chase.similar == 3
    assert (c.chase.nodes, c.chase.node_neighbours) == (512, 3)
    assert (c.chase.adjust_from, c.chase.adjust_late) == (8_000, 9_000)
    assert (c.chase.weight, c.chase.weight_late, c.chase.contrast_weight) == (0.1, 0.001, 0.001)
    assert (c.chase.contrast_neighbours, c.chase.contrast_margin) == (20, 1.0)
    assert (c.chase.contrast_points, c.chase.encoder_lr) == (2_048, 1e-4)
    assert c.loss == preset('base').loss


def test_sg_gs():
    c = preset('sg_gs')
    assert c.schedule.iterations == 15_000
    assert (c.loss.mask, c.loss.ssim, c.loss.perceptual, c.loss.isopos) == (0.5, 0.05, 0.01, 1)
    assert c.loss.isocov == 0
    assert c.semantic is not None
    assert (c.semantic.semantic, c.semantic.neighbourhood) == (0.1, 0.1)
    assert (c.semantic.neighbourhood_points, c.semantic.neighbourhood_neighbours) == (800, 5)
    assert c.semantic.densify_at == (5_000, 10_000)
    assert (c.schedule.geometry_from, c.schedule.unet_lr) == (5_000, 5e-4)
    n = c.network
    assert n.geometry_network
    assert (n.voxel_m, n.unet_planes, n.unet_features) == (0.001, (8, 16, 24, 32, 40, 48), 48)
    assert (n.fusion_width, n.fusion_layers, n.parts) == (128, 3, 5)


@pytest.mark.parametrize('name', PRESETS)
@pytest.mark.parametrize('method', METHODS)
def test_every_config_survives_json(method, name):
    import json

    config = preset(method, name, seed=3)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_stages_keep_their_share_of_a_shorter_run():
    short = preset('chase').lasting(1_300)
    assert short.chase is not None
    assert short.schedule.gaussians_from == 433
    share = (1_300 - 433) / 12_000
    assert short.chase.adjust_from == round(433 + 7_000 * share)
    assert short.schedule.nonrigid_from == round(433 + 2_000 * share)
    assert short.gaussians.densify_until == round(433 + 9_000 * share)
    assert preset('chase').lasting(13_000) == preset('chase')


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match='gauhuman'):
        preset('gauhuman')
    with pytest.raises(ValueError, match='huge'):
        preset('base', 'huge')
    with pytest.raises(ValueError, match='momentum'):
        TrainConfig.from_json({'momentum': 1})
