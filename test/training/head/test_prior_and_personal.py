# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Prior learning, personalisation, and the head that comes out."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar_ros.avatars import HeadAvatar, load_avatar, save_head_bundle
from avatar_ros.avatars.bundle_files import BundleError
from avatar_ros.body import ARKIT_52, FLAME, BodyPose, FaceExpression
from avatar_ros.body.flame import PARTS, HeadModel
from avatar_ros.geometry import quat_from_rotvec, rigid
from avatar_ros.render import NumbaEngine
from avatar_ros.training.head.cameras import PHOTOGRAPHS
from avatar_ros.training.head.capture import load_head_capture, load_head_captures
from avatar_ros.training.head.config import HeadLoss, HeadTrainConfig, preset
from avatar_ros.training.head.evaluate import held_out, judge_head
from avatar_ros.training.head.export import head_bundle
from avatar_ros.training.head.losses import as_rigid_as_possible, box_of, too_large
from avatar_ros.training.head.personal import Personalisation, Stages, chosen
from avatar_ros.training.head.prior_file import Prior, load_prior, save_prior
from avatar_ros.training.head.prior_run import PriorRun, batch_of


def small(iterations: int = 12, **prior: float) -> HeadTrainConfig:
    config = preset('preview')
    personal = replace(config.personal, inversion=6, finetune=8, reference_views=2)
    return replace(
        config,
        network=replace(config.network, grid=30, width=16, cnn_layers=2),
        prior=replace(config.prior, iterations=iterations, **prior),
        personal=personal,
    )


@pytest.fixture(scope='module')
def learned(captures: Path, head: HeadModel, tmp_path_factory) -> tuple[PriorRun, list[float]]:
    folder = tmp_path_factory.mktemp('prior') / 'run'
    run = PriorRun(folder, load_head_captures(captures)[:2], small(60), head, NumbaEngine())
    run.start(False)
    return run, run.train(progress=False)


@pytest.fixture(scope='module')
def prior(learned) -> Prior:
    return learned[0].result()


def test_the_loss_falls_and_codes_grow_apart_from_zero(learned) -> None:
    run, losses = learned
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:10])
    assert run.prior.code.detach().abs().max() > 1e-3
    assert (run.folder.path / 'checkpoint.pt').exists()
    assert list((run.folder.path / 'previews').glob('prior_*.jpg'))


def test_every_picture_comes_once_an_epoch() -> None:
    drawn = [i for k in range(10) for i in batch_of(k, 4, 20, seed=3)]
    assert sorted(drawn[:20]) == sorted(drawn[20:]) == list(range(20))
    assert drawn[:20] != drawn[20:]


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    captures: Path, head: HeadModel, tmp_path: Path
) -> None:
    people = load_head_captures(captures)[:2]

    def run(folder: str) -> PriorRun:
        return PriorRun(tmp_path / folder, people, small(8), head, NumbaEngine())

    whole = run('whole')
    whole.start(False)
    losses = whole.train(progress=False)
    first = run('parts')
    first.start(False)
    real_config = first.config
    first.config = replace(first.config, prior=replace(first.config.prior, iterations=4))
    begun = first.train(progress=False)
    first.config = real_config
    second = run('parts')
    second.start(resume=True)
    assert second.iteration == 4
    assert np.allclose(begun + second.train(progress=False), losses, rtol=1e-4)
    with pytest.raises(ValueError, match='holds a run already'):
        run('parts').start(False)
    other = PriorRun(tmp_path / 'parts', people, small(9), head, NumbaEngine())
    with pytest.raises(ValueError, match='started with another prior'):
        other.start(resume=True)


def test_two_processes_learn_what_one_learns(
    captures: Path, head: HeadModel, tmp_path: Path
) -> None:
    """DistributedDataParallel over gloo: the same losses within float32 sums."""
    script = tmp_path / 'learn.py'
    script.write_text(
        'import sys, json, torch\n'
        'torch.set_num_threads(1)\n'
        f'sys.path.insert(0, {str(Path(__file__).parent)!r})\n'
        'from pathlib import Path\n'
        'from test_prior_and_personal import small\n'
        'from avatar_ros.body.flame import free_head\n'
        'from avatar_ros.render import NumbaEngine\n'
        'from avatar_ros.training.head.capture import load_head_captures\n'
        'from avatar_ros.training.head.prior_run import PriorRun\n'
        'people = load_head_captures(sys.argv[1])[:2]\n'
        'run = PriorRun(Path(sys.argv[2]), people, small(5), free_head(), NumbaEngine())\n'
        'run.start(False)\n'
        'losses = run.train(progress=False)\n'
        'if run.rank == 0:\n'
        '    Path(sys.argv[3]).write_text(json.dumps(losses))\n'
    )
    results = []
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}
    for processes in (1, 2):
        out = tmp_path / f'{processes}.json'
        subprocess.run(
            [sys.executable, '-m', 'torch.distributed.run', '--standalone',
             f'--nproc-per-node={processes}', str(script), str(captures),
             str(tmp_path / f'run{processes}'), str(out)],
            check=True, env=env, timeout=300, capture_output=True,
        )  # fmt: skip
        results.append(np.array(__import__('json').loads(out.read_text())))
    assert len(results[0]) == 5
    assert np.allclose(results[0], results[1], rtol=2e-4), results


def test_a_batch_that_cannot_be_shared_is_refused(
    captures: Path, head: HeadModel, tmp_path: Path, monkeypatch
) -> None:
    import avatar_ros.training.head.prior_run as module

    monkeypatch.setattr(module, 'join_processes', lambda device: (0, 3))
    with pytest.raises(ValueError, match='a batch of 2 pictures cannot be shared by 3'):
        PriorRun(tmp_path, load_head_captures(captures), small(), head, NumbaEngine())


def test_flame_is_learned_too_where_it_is_asked_for(
    captures: Path, head: HeadModel, tmp_path: Path
) -> None:
    config = small(3, flame_lr=1e-3)
    run = PriorRun(tmp_path, load_head_captures(captures)[:1], config, head, NumbaEngine())
    run.start(False)
    run.train(progress=False)
    for name in ('offset', 'expression', 'rotvecs', 'translation'):
        assert getattr(run.prior, name).detach().abs().max() > 0, name


# ----------------------------------------------------------------------- the prior's file


def test_a_prior_survives_its_file(prior: Prior, head: HeadModel, tmp_path: Path) -> None:
    save_prior(tmp_path / 'prior.zip', prior)
    again = load_prior(tmp_path / 'prior.zip', head)
    assert again.config == prior.config
    assert again.identities == prior.identities == ('painted_000', 'painted_001')
    for name, values in prior.tensors.items():
        assert np.allclose(again.tensors[name], values, atol=2e-3, rtol=2e-3), name


def test_a_prior_of_another_flame_or_version_is_refused(
    prior: Prior, head: HeadModel, tmp_path: Path
) -> None:
    save_prior(tmp_path / 'prior', prior)
    other = replace(head, model=replace(head.model, template=head.model.template * 1.1))
    with pytest.raises(BundleError, match='learned with the FLAME model'):
        load_prior(tmp_path / 'prior', other)
    manifest = tmp_path / 'prior' / 'prior.json'
    text = manifest.read_text()
    manifest.write_text(text.replace('"version": 1', '"version": 7'))
    with pytest.raises(BundleError, match=r"'version' is 7; expected 1"):
        load_prior(tmp_path / 'prior', head)
    manifest.write_text(text.replace('"grid"', '"gird"'))
    with pytest.raises(BundleError, match='HeadNetworkConfig has no gird'):
        load_prior(tmp_path / 'prior', head)
    manifest.write_text('[')
    with pytest.raises(BundleError, match='is not JSON'):
        load_prior(tmp_path / 'prior', head)


# --------------------------------------------------------------------- personalisation


@pytest.fixture(scope='module')
def made(prior: Prior, captures: Path, head: HeadModel) -> Personalisation:
    capture = chosen(load_head_capture(captures / 'painted_002'), PHOTOGRAPHS)
    result = Personalisation(prior, capture, head, NumbaEngine())
    result.run(None, progress=False)
    return result


def test_inversion_changes_the_mixture_and_nothing_else(
    prior: Prior, captures: Path, head: HeadModel
) -> None:
    capture = chosen(load_head_capture(captures / 'painted_002'), PHOTOGRAPHS)
    made = Personalisation(prior, capture, head, NumbaEngine(), stages=Stages(finetune=False))
    before = {k: v.clone() for k, v in made.net.state_dict().items()}
    losses = made.run(None, progress=False)['inversion']
    assert len(losses) == prior.config.personal.inversion
    assert made.mixture.detach().abs().max() > 1e-3
    assert all(torch.equal(v, before[k]) for k, v in made.net.state_dict().items())
    # A convex combination over identities, part by part.
    known = made.known
    code = made.code.detach()
    assert (code <= known.max(0).values + 1e-6).all()
    assert (code >= known.min(0).values - 1e-6).all()


def test_teeth_and_lips_stay_what_the_prior_knows(made: Personalisation, prior: Prior) -> None:
    start = prior.net_state()
    now = made.net.state_dict()
    for name in ('teeth', 'lip'):
        part = PARTS.index(name)
        for key in ('geometry_net.last', 'appearance_net.point'):
            assert torch.equal(now[key][part], start[key][part]), (name, key)
    nose = PARTS.index('nose')
    assert not torch.equal(now['appearance_net.last'][nose], start['appearance_net.last'][nose])


def test_held_out_pictures_are_not_those_it_learned_from(
    made: Personalisation, captures: Path
) -> None:
    whole = load_head_capture(captures / 'painted_002')
    groups = held_out(whole, PHOTOGRAPHS, '00000')
    assert [len(groups[k]) for k in ('novel_view', 'novel_expression', 'all')] == [13, 3, 16]
    seen = {v.camera.frame_id for v in made.views}
    assert not seen & {s.camera_name for s in groups['novel_view']}
    scores = judge_head(made, groups)
    assert all(10 < score.values['psnr'] < 50 for score in scores.values())


def test_a_personalisation_can_be_resumed(
    prior: Prior, captures: Path, head: HeadModel, tmp_path: Path, monkeypatch
) -> None:
    from avatar_ros.training.head.loop import Folder

    capture = chosen(load_head_capture(captures / 'painted_002'), PHOTOGRAPHS)

    def begin() -> Personalisation:
        return Personalisation(prior, capture, head, NumbaEngine())

    whole = begin()
    expected = whole.run(None, progress=False)['finetune']
    first = begin()
    tune = first._tune
    monkeypatch.setattr(
        first, '_tune', lambda at: tune(at) if at < 4 else (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        first.run(Folder(tmp_path / 'run', {}), progress=False)
    second = begin()
    rest = second.run(Folder(tmp_path / 'run', {}), resume=True, progress=False)
    assert 'inversion' not in rest
    assert np.allclose(rest['finetune'], expected[4:], rtol=2e-3)


def test_the_bundle_draws_what_training_drew(
    made: Personalisation, tmp_path: Path, head: HeadModel
) -> None:
    save_head_bundle(tmp_path / 'head.zip', head_bundle(made, 'head', 'CC0-1.0'))
    avatar = load_avatar(tmp_path / 'head.zip', playback='network')
    assert isinstance(avatar, HeadAvatar)
    view = made.views[1]
    at = made.person.capture.instants[view.instant]
    joints = head.model.rest_joints(made.person.shape.double().numpy())
    quats = quat_from_rotvec(at.rotvecs)
    # Where FLAME puts its root joint.
    root = rigid(np.eye(3), joints[0] + at.translation)
    quats[0] = (1, 0, 0, 0)
    from avatar_ros.geometry import matrix_from_rotvec

    root[:3, :3] = matrix_from_rotvec(at.rotvecs[0])
    from avatar_ros.geometry import quat_from_rotvec as quat

    face = FaceExpression(
        'arkit52', ARKIT_52, np.array([dict(zip(head.model.expression_names, at.expression[:52],
                                               strict=True))[n] for n in ARKIT_52]),
        left_eye=quat(at.rotvecs[3]), right_eye=quat(at.rotvecs[4]),
    )  # fmt: skip
    pose = BodyPose(FLAME, root, quats, np.ones(5))
    gaussians = avatar.deform(pose, face)
    image = NumbaEngine().rasterize(gaussians, [view.camera])
    assert avatar.refine is not None
    with torch.no_grad():
        shown = avatar.refine(image.colors, image.alphas)[0]
        trained = made.draw(view).image
    assert (shown - trained).abs().mean() < 2e-3
    assert (shown - trained).abs().max() < 0.06


# ------------------------------------------------------------------------------ losses


def test_arap_is_blind_to_rigid_motion_and_sees_the_rest() -> None:
    rng = np.random.default_rng(0)
    v = torch.tensor(rng.normal(size=(40, 3)), dtype=torch.float32)
    edges = torch.tensor([[i, j] for i in range(40) for j in range(i + 1, 40) if (i + j) % 5 == 0])
    from avatar_ros.geometry import matrix_from_rotvec

    R = torch.tensor(matrix_from_rotvec([0.4, -1, 0.2]), dtype=torch.float32)
    assert as_rigid_as_possible(v, v @ R.T + 3, edges) < 1e-9
    assert as_rigid_as_possible(v, v * 1.2, edges) > 1e-2
    offset = torch.zeros_like(v, requires_grad=True)
    as_rigid_as_possible(v, v + offset + 0.1 * torch.randn_like(v), edges).backward()
    assert offset.grad is not None
    assert torch.isfinite(offset.grad).all()


def test_small_gaussians_near_their_place_cost_nothing() -> None:
    from avatar_ros.avatars.head.gapnet import LocalGaussians

    def cost(mean: float, scale: float) -> float:
        ones = torch.ones(1, 5, 3)
        local = LocalGaussians(mean * ones, torch.ones(1, 5, 4), scale * ones, torch.ones(1, 5))
        return float(too_large(local, HeadLoss()))

    assert cost(0.9, 0.5) < 1e-5
    assert cost(0.9, 0.8) == pytest.approx(0.2 * 3**0.5, rel=1e-3)
    assert cost(2.0, 0.5) == pytest.approx(0.01 * 3**0.5, rel=1e-3)


def test_the_box_of_the_mouth_stays_inside_of_the_picture() -> None:
    for middle in ((2.0, 3.0), (30.0, 30.0), (63.0, 1.0)):
        rows, columns = box_of(torch.tensor([middle]), 64, 64)
        assert 0 <= rows.start < rows.stop <= 64
        assert 0 <= columns.start < columns.stop <= 64
        assert rows.stop - rows.start >= 12
