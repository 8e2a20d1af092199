# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A bundle's networks, with what is cached, play as the networks that were trained."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from avatar_ros.avatars import (
    BundleError,
    NetworkAvatar,
    SkinnedAvatar,
    load_avatar,
    load_bundle,
    save_bundle,
)
from avatar_ros.avatars.player import Player, orbit_camera
from avatar_ros.avatars.stage import Stage
from avatar_ros.body import ARKIT_52, BodyPose, FaceExpression
from avatar_ros.cli.main import main
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.render import NumbaEngine
from avatar_ros.training.body.bake import BakeOptions, bake
from avatar_ros.training.body.config import preset
from avatar_ros.training.body.playback import NetworkPlayer
from avatar_ros.training.body.state import TrainState
from avatar_ros.training.body.trainer import Trainer
from avatar_ros.training.body.views import TrainViews
from avatar_ros.training.datasets import load_capture
from avatar_ros.training.evaluate import bundle_player, judge
from avatar_ros.training.synthetic.mesh_generate import MeshCaptureOptions, generate_mesh_capture


@pytest.fixture(scope='module', params=['chase', 'sg_gs'])
def trained(request, tmp_path_factory):
    """A short run whose networks have all taken part, and its bundle with networks."""
    folder = tmp_path_factory.mktemp('face') / 'capture'
    generate_mesh_capture(
        folder, MeshCaptureOptions(frames=10, cameras=4, size=64, expressions=True)
    )
    config = preset(request.param, 'preview').lasting(80)
    stages = replace(
        config.schedule,
        gaussians_from=10,
        nonrigid_from=15,
        geometry_from=20,
        pose_correction=False,
    )
    config = replace(
        config,
        image_size=64,
        schedule=stages,
        gaussians=replace(config.gaussians, initial=600, at_most=800),
    )
    capture = load_capture(folder)
    state = TrainState(config, capture, torch.device('cpu'))
    shots = capture.split('train')
    cpu = torch.device('cpu')
    views = TrainViews(capture, shots, state.body, 64, False, cpu, request.param == 'sg_gs')
    for _ in Trainer(state, views, NumbaEngine()).remaining():
        pass
    player = NetworkPlayer(state, NumbaEngine())
    rows = sorted({shot.row for shot in shots})
    options = BakeOptions(components=8, poses=40, drop_opacity=0.0, network=True)
    return player, bake(player, rows, options)


def body_pose(player, row: int) -> BodyPose:
    capture = player.state.capture
    return capture.poses.body_pose(row, capture.subject.rest_joints)


def test_cached_networks_draw_what_the_trained_ones_draw(trained):
    player, bundle = trained
    capture = player.state.capture
    shots = capture.split('train')[:4]
    play = bundle_player(NetworkAvatar(bundle), capture, player.engine)
    for shot in shots:
        row, camera = shot.row, shot.camera
        for found, expected in zip(play(row, camera), player.draw(row, camera), strict=True):
            assert float((found - expected).abs().max()) < 2e-3


def test_networks_survive_the_bundle_and_load_by_playback(trained, tmp_path):
    _, bundle = trained
    save_bundle(tmp_path / 'a.zip', bundle)
    again = load_bundle(tmp_path / 'a.zip')
    assert again.network is not None
    assert again.network.config == bundle.network.config
    for name, values in bundle.network.tensors.items():
        assert np.array_equal(again.network.tensors[name], values)
    assert not any('grid' in name or 'unet' in name for name in again.network.tensors)
    assert type(load_avatar(tmp_path / 'a.zip')) is SkinnedAvatar
    assert type(load_avatar(tmp_path / 'a.zip', playback='baked')) is SkinnedAvatar
    assert type(load_avatar(tmp_path / 'a.zip', playback='network')) is NetworkAvatar
    with pytest.raises(ValueError, match='--with-network'):
        load_avatar('demo', playback='network')
    with pytest.raises(ValueError, match="playback 'magic'; expected one of auto"):
        load_avatar('demo', playback='magic')


def test_evaluate_judges_the_networks_of_a_bundle_as_the_trainer_judged_them(trained, tmp_path):
    player, bundle = trained
    save_bundle(tmp_path / 'a.zip', bundle)
    capture = player.state.capture
    data = capture.shots[0].image.parents[2]
    judged = ['evaluate', str(tmp_path / 'a.zip'), '--data', str(data), '--size', '64']
    main(
        [*judged, '--split', 'novel_view', '--playback', 'network', '--out', str(tmp_path / 'out')]
    )
    found = json.loads((tmp_path / 'out' / 'evaluation.json').read_text())
    expected = judge(player.draw, capture.split('novel_view'), 64).values['psnr']
    assert found['splits']['novel_view']['psnr'] == pytest.approx(expected, abs=0.02)


def test_the_live_player_shows_networks_as_it_shows_a_baked_avatar(trained):
    player, bundle = trained
    pose = body_pose(player, 0)
    pictures = [
        Player(avatar, player.engine, Stage(on_floor=False)).render(
            pose, None, [orbit_camera(96, 96)]
        )
        for avatar in (SkinnedAvatar(bundle), NetworkAvatar(bundle))
    ]
    baked, network = (frame.pictures[0].rgb.astype(float) for frame in pictures)
    assert network.std() > 1
    assert np.abs(baked - network).mean() < 4
    assert pictures[0].pose_distance == pictures[1].pose_distance


def test_no_pose_changes_a_gaussian_more_than_the_baked_ones_did(trained):
    _, bundle = trained
    avatar = NetworkAvatar(bundle)
    rng = np.random.default_rng(0)
    rest = torch.from_numpy(bundle.network.tensors['log_scales'])
    most = torch.from_numpy(bundle.network.tensors['limit'])
    for _ in range(5):
        wild = quat_from_rotvec(rng.normal(0, 2, (len(bundle.skeleton), 3)))
        wild[0] = (1, 0, 0, 0)
        pose = BodyPose(bundle.skeleton, np.eye(4), wild, np.ones(len(wild)))
        drawn = avatar.deform(pose)
        assert avatar.pose_distance > 0.3
        assert torch.isfinite(drawn.means).all()
        grown = torch.log(drawn.scales) - rest
        assert bool((grown.abs() <= most[1] + 1e-5).all())


def test_a_face_moves_the_networks_gaussians_as_the_baked_ones(trained):
    player, bundle = trained
    face = FaceExpression('arkit52', ARKIT_52, np.eye(52)[ARKIT_52.index('jawOpen')])
    pose = body_pose(player, 0)
    moved = []
    for avatar in (SkinnedAvatar(bundle), NetworkAvatar(bundle)):
        still = avatar.deform(pose).means.clone()
        moved.append(avatar.deform(pose, face).means.clone() - still)
    assert float(moved[0].norm(dim=1).max()) > 0.005
    assert float((moved[0] - moved[1]).norm(dim=1).max()) < 0.004


@pytest.mark.parametrize(
    ('harm', 'says'),
    [
        (lambda m, t: t.pop('encoded'), 'encoded'),
        (lambda m, t: t.update(encoded=t['encoded'][:-1]), 'encoded'),
        (lambda m, t: t.update(means=t['means'] * np.nan), 'not finite'),
        (lambda m, t: t.update(surprise=t['means']), 'surprise'),
        (lambda m, t: m['network']['config'].update(hash_log2_table=60), 'hash_log2_table'),
        (lambda m, t: m['network']['config'].update(nonrigid_layers=10**6), 'nonrigid_layers'),
        (lambda m, t: m['network']['config'].update(nonrigid_width=2000), 'shape'),
        (lambda m, t: m['network'].update(file='../network'), 'malicious'),
    ],
)
def test_damaged_networks_are_refused_by_name(trained, tmp_path, harm, says):
    _, bundle = trained
    save_bundle(tmp_path / 'a', bundle)
    manifest = json.loads((tmp_path / 'a' / 'avatar.json').read_text())
    tensors = load((tmp_path / 'a' / 'network.safetensors').read_bytes())
    harm(manifest, tensors)
    (tmp_path / 'a' / 'avatar.json').write_text(json.dumps(manifest))
    tensors = {name: np.array(values, order='C') for name, values in tensors.items()}
    (tmp_path / 'a' / 'network.safetensors').write_bytes(save(tensors))
    with pytest.raises(BundleError, match=says):
        load_avatar(tmp_path / 'a', playback='network')
