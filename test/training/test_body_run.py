# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Whole runs on a small capture: they learn, resume, repeat themselves, and survive trouble."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar_ros.avatars import SkinnedAvatar, avatar_path, load_bundle
from avatar_ros.body.skeletons import SMPL
from avatar_ros.cli.main import main
from avatar_ros.render import NumbaEngine
from avatar_ros.training.body.bake import BakeOptions, bake, fit_regression
from avatar_ros.training.body.canonical_gaussians import CanonicalGaussians, initial_gaussians
from avatar_ros.training.body.config import TrainConfig, preset
from avatar_ros.training.body.playback import NetworkPlayer
from avatar_ros.training.body.run import BodyRun, load_checkpoint
from avatar_ros.training.body.trainer import Trainer, TrainingDivergedError
from avatar_ros.training.datasets import fraction_of, load_capture
from avatar_ros.training.evaluate import bundle_player, judge


def small(method: str, iterations: int = 60, seed: int = 0) -> TrainConfig:
    config = preset(method, 'preview', seed).lasting(iterations)
    return replace(
        config,
        image_size=64,
        gaussians=replace(config.gaussians, initial=600, at_most=800, densify_every=10),
        schedule=replace(config.schedule, gaussians_from=10, nonrigid_from=20, geometry_from=30),
        chase=config.chase
        and replace(config.chase, adjust_from=40, adjust_late=55, contrast_points=64),
    )


def run_in(folder, capture, config) -> BodyRun:
    run = BodyRun(folder, capture, config, NumbaEngine())
    run.start(resume=True)
    return run


def learned(run: BodyRun) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in run.state.gaussians.params.values()])


@pytest.fixture(scope='module')
def capture(small_capture):
    return load_capture(small_capture)


@pytest.mark.parametrize('method', ['base', 'chase', 'sg_gs'])
def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path, capture, method):
    config = small(method)
    whole = run_in(tmp_path / 'whole', capture, config)
    whole.train(progress=False)
    first = run_in(tmp_path / 'parts', capture, config)
    for _ in range(37):
        first.trainer.step()
    first.save()
    second = run_in(tmp_path / 'parts', capture, config)
    assert second.state.iteration == 37
    second.train(progress=False)
    assert torch.equal(learned(second), learned(whole))
    again = run_in(tmp_path / 'again', capture, config)
    again.train(progress=False)
    assert torch.equal(learned(again), learned(whole)), 'one seed, one result'
    assert list((tmp_path / 'whole' / 'previews').glob('*.jpg'))
    assert list((tmp_path / 'whole').glob('events.*'))


def test_training_comes_nearer_to_pictures_it_has_not_seen(tmp_path, capture):
    run = run_in(tmp_path, capture, small('base', 150))
    shots = capture.split('novel_view')
    for _ in range(12):
        run.trainer.step()
    before = judge(NetworkPlayer(run.state, run.engine).draw, shots, 64).values['psnr']
    run.state.bound = None
    run.train(progress=False)
    after = judge(NetworkPlayer(run.state, run.engine).draw, shots, 64).values['psnr']
    assert after > before + 1.5


def test_the_bundle_is_as_good_as_the_network(tmp_path, capture):
    config = small('sg_gs', 260)
    # A field that has not learned yet gives weight to more joints than a bundle keeps.
    stages = replace(config.schedule, gaussians_from=150, nonrigid_from=170, geometry_from=190)
    run = run_in(tmp_path, capture, replace(config, schedule=stages))
    run.train(progress=False)
    text = run.write_bundle(tmp_path / 'me.zip', BakeOptions(components=8, poses=40))
    assert 'novel_view' in text
    evaluation = json.loads((tmp_path / 'evaluation.json').read_text())
    for split, scores in evaluation['bundle'].items():
        assert scores['psnr'] > evaluation['splits'][split]['psnr'] - 0.3
    bundle = load_bundle(tmp_path / 'me.zip')
    avatar = SkinnedAvatar(bundle)
    assert bundle.provenance['method'] == 'sg_gs'
    pose = capture.poses.body_pose(0, capture.subject.rest_joints)
    avatar.deform(pose)
    assert avatar.pose_distance == pytest.approx(0, abs=0.02)
    main(['evaluate', str(tmp_path / 'me.zip'), '--data', str(capture.shots[0].image.parents[2]),
          '--size', '64', '--out', str(tmp_path / 'judged')])  # fmt: skip
    found = json.loads((tmp_path / 'judged' / 'evaluation.json').read_text())
    assert found['splits']['novel_view']['psnr'] == pytest.approx(
        evaluation['bundle']['novel_view']['psnr'], abs=0.2
    )
    assert (tmp_path / 'judged' / 'errors_novel_view.png').exists()


def test_not_a_number_is_skipped_and_in_the_end_reported(tmp_path, capture):
    run = run_in(tmp_path, capture, small('base'))
    for _ in range(25):
        run.trainer.step()
    assert run.trainer.skipped_steps == 0
    kept = learned(run).clone()
    run.state.poses.translations.data[:] = torch.nan
    run.trainer.step()
    assert run.trainer.skipped_steps == 1
    assert torch.isfinite(learned(run)).all()
    assert torch.equal(learned(run), kept)
    with pytest.raises(TrainingDivergedError, match='not finite'):
        run.train(progress=False)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path, capture, monkeypatch, caplog):
    run = run_in(tmp_path, capture, small('base'))
    run.trainer.step()
    run.save()
    before = run.checkpoint.read_bytes()

    def full(state, file):
        file.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', full)
    run.trainer.step()
    run.save()
    assert 'Make room' in caplog.text
    assert run.checkpoint.read_bytes() == before
    assert not list(tmp_path.glob('*.partial'))


def test_checkpoints_are_read_without_running_what_is_in_them(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (print, ('run!',))

    path = tmp_path / 'checkpoint.pt'
    torch.save({'state': Evil()}, path)
    with pytest.raises(ValueError, match='cannot be read'):
        load_checkpoint(path, torch.device('cpu'))
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match='cannot be read'):
        load_checkpoint(path, torch.device('cpu'))


def test_a_run_is_not_overwritten_or_mixed_up(tmp_path, capture):
    run_in(tmp_path, capture, small('base'))
    with pytest.raises(ValueError, match='--resume'):
        BodyRun(tmp_path, capture, small('base'), NumbaEngine()).start(resume=False)
    with pytest.raises(ValueError, match='seed'):
        BodyRun(tmp_path, capture, small('base', seed=5), NumbaEngine()).start(resume=True)


def test_density_control_clones_small_splits_large_and_prunes():
    config = replace(small('base'), network=replace(small('base').network, color_features=2))
    n = 6
    params = {
        'means': torch.zeros(n, 3),
        'quats': torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1),
        'log_scales': torch.full((n, 3), -5.0),
        'logits': torch.full((n,), 2.0),
        'features': torch.arange(2.0 * n).view(n, 2),
    }
    params['log_scales'][1] = 0.0
    params['logits'][2] = -5.0
    g = CanonicalGaussians(params, config)
    g.optimizer.zero_grad()
    sum(p.sum() for p in g.params.values()).backward()
    g.optimizer.step()
    g._seen[:] = 1
    g._gradient[:2] = 1.0
    added, dropped = g.densify(torch.Generator().manual_seed(0))
    # 0 is cloned, 1 is replaced by two smaller ones, 2 is too faint.
    assert (added, dropped, len(g)) == (2, 1, 7)
    assert float(g.log_scales.detach().max()) < 0
    for parameter in g.params.values():
        state = g.optimizer.state[parameter]
        assert state['exp_avg'].shape == parameter.shape
    g.reset_opacity()
    assert float(torch.sigmoid(g.logits.detach()).max()) < 0.0101


def test_density_control_keeps_to_its_limit(capture):
    from avatar_ros.training.body.canonical_body import CanonicalBody

    config = small('base')
    g = initial_gaussians(CanonicalBody(capture.subject), config, np.random.default_rng(0))
    g._gradient[:], g._seen[:] = torch.rand(len(g)), 1
    g.densify(torch.Generator().manual_seed(0))
    assert len(g) <= config.gaussians.at_most


def test_regression_gives_the_baked_poses_back():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 6))
    weights = np.stack([np.sin(features[:, 0]), features[:, 1] * 0.5], axis=1)
    length, coefficients = fit_regression(features, weights)
    kernel = np.exp(-((features[:, None] - features) ** 2).sum(-1) / (2 * length**2))
    np.testing.assert_allclose(kernel @ coefficients, weights, atol=0.05)


def test_gaussians_carry_the_part_of_the_body_they_lie_on(tmp_path, capture):
    run = run_in(tmp_path, capture, small('sg_gs', 100))
    run.train(progress=False)
    g = run.state.gaussians
    truth = run.state.body.parts[run.state.body.nearest_vertex(g.means)]
    solid = (torch.sigmoid(g.logits.detach()) > 0.1).numpy()
    right = g.semantics.detach().argmax(1).numpy() == truth
    # After so few steps; `benchmarks.body` holds a real run to 95 %.
    assert right[solid].mean() > 0.75


def test_a_fraction_is_spread_over_the_time(capture):
    part = fraction_of(capture, 0.25)
    rows = sorted({shot.row for shot in part.split('train')})
    assert rows[0] == 0
    assert rows[-1] == max(shot.row for shot in capture.split('train'))
    assert len(rows) == 3
    assert part.split('novel_view') == capture.split('novel_view')


def test_bundle_and_network_draw_from_one_skeleton_only(capture):
    from avatar_ros.training.capture import CaptureError

    avatar = SkinnedAvatar(load_bundle(avatar_path('dressed')))
    other = replace(capture, poses=replace(capture.poses, skeleton=SMPL))
    with pytest.raises(CaptureError, match='smpl'):
        bundle_player(avatar, other, NumbaEngine())


def test_command_line_trains_from_capture_to_bundle(tmp_path, small_capture, capsys):
    out = tmp_path / 'me.zip'
    arguments = ['train', 'body', '--method', 'chase', '--preset', 'preview', '--iterations', '40',
                 '--data', str(small_capture), '--size', '64', '--out', str(out)]  # fmt: skip
    assert main(arguments) == 0
    assert load_bundle(out).provenance['method'] == 'chase'
    assert main(arguments) == 1, 'a finished run is not overwritten'
    assert '--resume' in capsys.readouterr().err
    smaller = tmp_path / 'small.zip'
    assert main(['bake', str(tmp_path / 'me.training'), '--data', str(small_capture), '--out',
                 str(smaller), '--components', '2', '--poses', '20']) == 0  # fmt: skip
    assert load_bundle(smaller).pose_basis.values.shape[1] == 2


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        (['--fraction', '0'], '--fraction 0'),
        (['--iterations', '0'], '0 iterations'),
        (['--size', '5'], '--size 5'),
        (['--threads', '0'], '--threads 0'),
        (['--gaussians', '3'], '--gaussians 3'),
    ],
)
def test_odd_arguments_are_refused(tmp_path, small_capture, capsys, arguments, says):
    command = ['train', 'body', '--data', str(small_capture), '--out', str(tmp_path / 'x.zip')]
    assert main([*command, *arguments]) == 1
    assert says in capsys.readouterr().err


def test_trainer_visits_every_picture_once_an_epoch(tmp_path, capture):
    run = run_in(tmp_path, capture, small('base'))
    trainer: Trainer = run.trainer
    count = len(run.views)
    seen = []
    for step in range(2 * count):
        run.state.iteration = step
        seen.append(trainer._next_index())
    assert sorted(seen[:count]) == sorted(seen[count:]) == list(range(count))
    assert seen[:count] != seen[count:]


def test_bake_asks_only_the_poses_it_was_told(tmp_path, capture):
    run = run_in(tmp_path, capture, small('base', 60))
    run.train(progress=False)
    bundle = bake(NetworkPlayer(run.state, run.engine), [0, 2, 4], BakeOptions(4, 10), name='x')
    assert bundle.pose_basis.training == 3
    assert len(bundle.pose_basis.centres) == 10
