# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Body avatars: base, CHASE and SG-GS on a made capture and a real one, with ablations.

Every run is kept in ``out/benchmarks/body`` and not done again: a long benchmark can be stopped
and taken up. `--only TEXT` picks runs whose name holds the text, `--list` shows them.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar_ros.assets import asset_path
from avatar_ros.avatars import SkinnedAvatar
from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.render import NumbaEngine
from avatar_ros.training.body.bake import BakeOptions, bake
from avatar_ros.training.body.config import TrainConfig, preset
from avatar_ros.training.body.playback import NetworkPlayer
from avatar_ros.training.body.semantics import splat_features
from avatar_ros.training.body.state import TrainState
from avatar_ros.training.body.trainer import Trainer
from avatar_ros.training.body.views import TrainViews
from avatar_ros.training.capture import PARTS, Capture
from avatar_ros.training.datasets import check_shots, fraction_of, load_capture
from avatar_ros.training.datasets.pictures import read_parts, read_picture
from avatar_ros.training.evaluate import bundle_player, judge, write_evaluation
from avatar_ros.training.perceptual import load_perceptual
from avatar_ros.training.synthetic.mesh_generate import MeshCaptureOptions, generate_mesh_capture
from benchmarks.metrics import RESULTS, Metric, load, median_cpu_ms, write_results

FOLDER = Path('out') / 'benchmarks' / 'body'
COMMAND = 'python -m benchmarks.body'
#: Steps of a run that is compared with others: half the preset's, for there are many.
STEPS = 3_000
SIZE = 256

Edit = Callable[[TrainConfig], TrainConfig]


def _without(part: str) -> Edit:
    def edit(config: TrainConfig) -> TrainConfig:
        if config.chase is not None:
            return replace(config, chase=replace(config.chase, **{part: False}))
        assert config.semantic is not None
        if part == 'network':
            network = replace(config.network, geometry_network=False)
            return replace(config, network=network)
        return replace(
            config,
            semantic=replace(config.semantic, semantic=0.0, neighbourhood=0.0, densify=False),
        )

    return edit


ABLATIONS: dict[str, tuple[str, Edit]] = {
    'chase-no_daa': ('chase', _without('adjust')),
    'chase-no_contrast': ('chase', _without('contrast')),
    'sg_gs-no_semantic': ('sg_gs', _without('semantic')),
    'sg_gs-no_network': ('sg_gs', _without('network')),
}


@dataclass(frozen=True)
class Run:
    capture: str
    fraction: int
    """Per cent of the training instants."""
    variant: str
    seed: int = 0
    steps: int = STEPS

    @property
    def name(self) -> str:
        return f'{self.capture}.{self.fraction:03d}.{self.variant}.{self.steps}.{self.seed}'

    @property
    def method(self) -> str:
        return ABLATIONS[self.variant][0] if self.variant in ABLATIONS else self.variant


RUNS = [
    *(Run('synthetic', 100, m, s) for m in ('base', 'chase', 'sg_gs') for s in (0, 1)),
    *(Run('synthetic', 5, m, s) for m in ('base', 'chase') for s in (0, 1)),
    *(Run('synthetic', 10, 'chase', s) for s in (0, 1)),
    *(Run('real', 100, m, s) for m in ('base', 'chase', 'sg_gs') for s in (0, 1)),
    *(Run('synthetic', 5, a, s) for a in ('chase-no_daa', 'chase-no_contrast') for s in (0, 1)),
    *(
        Run('synthetic', 100, a, s)
        for a in ('sg_gs-no_semantic', 'sg_gs-no_network')
        for s in (0, 1)
    ),
    # The papers' protocol: one camera sees a person who turns.
    *(Run('monocular', 5, m, s) for m in ('base', 'chase') for s in (0, 1)),
    Run('monocular', 100, 'base'),
]


def capture_of(name: str) -> tuple[Capture, bool]:
    """The capture, made on first use, and whether pictures are to be cropped."""
    folder = FOLDER / 'captures' / name
    if not (folder / 'poses.npz').exists():
        if name == 'synthetic':
            generate_mesh_capture(folder, MeshCaptureOptions(size=SIZE))
        elif name == 'monocular':
            generate_mesh_capture(folder, MeshCaptureOptions(frames=500, cameras=3, size=SIZE))
        else:
            from avatar_ros.training.from_video.make import VideoOptions, capture_from_video
            from avatar_ros.training.from_video.multiview import VIDEOS

            videos = {camera: asset_path(asset) for camera, asset in VIDEOS.items()}
            calibration = asset_path('body_calibration.qca.txt')
            capture_from_video(folder, videos, calibration, VideoOptions(size=1280))
    capture = check_shots(load_capture(folder))
    if name == 'monocular':
        capture = one_camera(capture)
    return capture, name == 'real'


def one_camera(capture: Capture) -> Capture:
    """The capture with the first of its training cameras alone."""
    rows = capture.splits['train']
    first = capture.shots[rows[0]].camera_name
    kept = tuple(row for row in rows if capture.shots[row].camera_name == first)
    return replace(capture, splits={**capture.splits, 'train': kept})


def do(run: Run) -> dict[str, float]:
    """Train, judge network and bundle; the numbers by name."""
    capture, crop = capture_of(run.capture)
    capture = fraction_of(capture, run.fraction / 100)
    config = preset(run.method, 'cpu', run.seed).lasting(run.steps)
    if run.capture != 'real':
        # Its poses are exact.
        config = replace(config, schedule=replace(config.schedule, pose_correction=False))
    if run.variant in ABLATIONS:
        config = ABLATIONS[run.variant][1](config)
    device = torch.device('cpu')
    state = TrainState(config, capture, device)
    shots = capture.split('train')
    semantic = config.semantic is not None
    views = TrainViews(capture, shots, state.body, SIZE, crop, device, semantic)
    engine = NumbaEngine()
    start = time.process_time()
    for _ in Trainer(state, views, engine).remaining():
        pass
    numbers = {'cpu_s': time.process_time() - start, 'gaussians': float(len(state.gaussians))}
    player = NetworkPlayer(state, engine)
    rows = sorted({shot.row for shot in shots})
    bundle = bake(player, rows, BakeOptions(poses=160), name=run.name)
    baked = bundle_player(SkinnedAvatar(bundle), _as_learned(capture, state), engine)
    # VGG on a CPU takes longer than a short run: the real capture alone.
    perceptual = load_perceptual() if run.capture == 'real' else None
    found = {}
    for split in ('novel_view', 'novel_pose'):
        judged = capture.split(split)[::2]
        score = judge(player.draw, judged, SIZE, crop, perceptual, f'{run.name} {split}')
        bundled = judge(baked, judged, SIZE, crop)
        numbers |= {f'{split}.{k}': v for k, v in score.values.items()}
        numbers[f'{split}.bake_loss_db'] = score.values['psnr'] - bundled.values['psnr']
        found[split] = score
    write_evaluation(FOLDER / 'sheets' / run.name, found)
    if semantic and run.capture == 'synthetic':
        numbers |= parts_found(state, player, capture, engine)
    return numbers


def _as_learned(capture: Capture, state: TrainState) -> Capture:
    rotvecs = state.poses.rotvecs.detach().double().numpy()
    translations = state.poses.translations.detach().double().numpy()
    return replace(
        capture, poses=replace(capture.poses, rotvecs=rotvecs, translations=translations)
    )


@torch.no_grad()
def parts_found(
    state: TrainState, player: NetworkPlayer, capture: Capture, engine: NumbaEngine
) -> dict[str, float]:
    """Parts of Gaussians against the body model's, and part maps against the exact ones."""
    from avatar_ros.gaussians import Gaussians

    opaque = torch.sigmoid(state.gaussians.logits) > 0.1
    labels = state.gaussians.semantics.argmax(1)
    truth = state.body.parts[state.body.nearest_vertex(state.gaussians.means)]
    right = (labels.numpy() == truth)[opaque.numpy()].mean()
    overlap, either = np.zeros(len(PARTS)), np.zeros(len(PARTS))
    for shot in capture.split('novel_view')[::3]:
        picture = read_picture(shot, SIZE)
        exact = read_parts(shot, picture)
        _, posed = player.posed(shot.row)
        g = Gaussians(
            posed.means, posed.quats, posed.scales, torch.sigmoid(state.gaussians.logits),
            torch.zeros_like(posed.means),
        )  # fmt: skip
        shares = torch.softmax(state.gaussians.semantics, 1)
        drawn = splat_features(engine, g, shares, picture.camera)
        found = np.where(drawn.sum(-1).numpy() > 0.5, drawn.argmax(-1).numpy() + 1, 0)
        for part in range(len(PARTS)):
            a, b = found == part + 1, exact == part + 1
            overlap[part] += (a & b).sum()
            either[part] += (a | b).sum()
    return {'parts_right': float(right), 'parts_iou': float((overlap / either).mean())}


def speed_of_bundle() -> list[Metric]:
    """CPU time of a baked frame of 50k Gaussians: pose basis, skinning, view-dependent colours."""
    from avatar_ros.avatars import Bundle, PoseBasis
    from avatar_ros.gaussians import Gaussians
    from avatar_ros.training.body.canonical_body import canonical_quats

    rng = np.random.default_rng(0)
    n, k, m = 50_000, 32, 384

    def floats(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(0, 0.3, shape).astype(np.float32))

    weights = rng.random((n, 4)).astype(np.float32)
    basis = PoseBasis(
        SMPLX.joints[1:22],
        quat_from_rotvec(rng.normal(0, 0.4, (m, 21, 3))).astype(np.float32),
        1.5,
        rng.normal(0, 1, (m, k)).astype(np.float32),
        np.full(k, 5, np.float32),
        rng.integers(-127, 128, (4, k, n, 3)).astype(np.int8),
        np.full((k, 4), 1e-5, np.float32),
    )
    metrics = []
    for degree in (1, 3):
        bundle = Bundle(
            'speed', 'CC0-1.0', SMPLX,
            Gaussians(floats(n, 3), torch.nn.functional.normalize(floats(n, 4), dim=1),
                      floats(n, 3).abs() * 0.02 + 1e-3, torch.rand(n),
                      floats(n, (degree + 1) ** 2, 3), degree),
            rng.normal(0, 0.3, (55, 3)).astype(np.float32),
            rng.integers(0, 55, (n, 4)).astype(np.uint8), weights / weights.sum(1, keepdims=True),
            canonical=canonical_quats(SMPLX).numpy(), pose_basis=basis,
        )  # fmt: skip
        avatar = SkinnedAvatar(bundle)
        pose = BodyPose(
            SMPLX, np.eye(4), quat_from_rotvec(rng.normal(0, 0.3, (55, 3))), np.ones(55)
        )

        def frame(avatar: SkinnedAvatar = avatar, pose: BodyPose = pose) -> None:
            avatar.deform(pose)
            avatar.colors_for(np.array([0.0, 1.0, 3.0]))

        metrics.append(
            Metric(
                f'body.bundle.50k_sh{degree}.cpu_ms', median_cpu_ms(frame, 40), 'ms', 'lower',
                f'{k} components, {m} baked poses, one thread, {load()}', COMMAND,
            )
        )  # fmt: skip
    return metrics


def live_graph() -> list[Metric]:
    """The whole graph with the trained avatar that is shipped."""
    from benchmarks.telepresence import live

    metrics = []
    for clip, name in (('demo', 'body'), ('face', 'face')):
        fast, normal = (live(clip, rate, 15.0, avatar='demo') for rate in (60.0, 30.0))
        what = (
            f'shipped avatar, {fast["gaussians"]} Gaussians, {name} video, 512x512, 15 s, one run'
        )
        ages: Any = normal['pose_age_ms']
        for key, value, unit, better, rate in (
            ('fps', fast['fps'], '1/s', 'higher', 60),
            ('pose_age_p95_ms', ages['p95'], 'ms', 'lower', 30),
        ):
            conditions = f'{what}, input at {rate} Hz, {load()}'
            key = f'body.live.{name}.{key}'
            metrics.append(Metric(key, float(str(value)), unit, better, conditions, COMMAND))  # type: ignore[arg-type]
    return metrics


def metrics_of(done: dict[Run, dict[str, float]]) -> list[Metric]:
    """Means over seeds, and gains over the base."""
    groups: dict[tuple[str, int, str, int], list[dict[str, float]]] = {}
    for run, numbers in done.items():
        groups.setdefault((run.capture, run.fraction, run.variant, run.steps), []).append(numbers)
    units = {'psnr': ('dB', True), 'psnr_box': ('dB', True), 'ssim': ('', True),
             'bake_loss_db': ('dB', False), 'parts_right': ('', True), 'parts_iou': ('', True),
             'cpu_s': ('s', False)}  # fmt: skip
    metrics = []
    for (capture, fraction, variant, steps), found in groups.items():
        where = f'preset cpu, {steps} steps, {SIZE} px, seeds {len(found)}'
        prefix = f'body.{capture}.{fraction}.{variant}' + ('' if steps == STEPS else f'.{steps}')
        for name in found[0]:
            kind = name.split('.')[-1]
            if kind == 'gaussians':
                continue
            unit, higher = units.get(kind, ('', False))
            values = [numbers[name] for numbers in found]
            scale = 1000 / steps if kind == 'cpu_s' else 1.0
            key = 'cpu_s_per_1k_steps' if kind == 'cpu_s' else name
            spread = f', {min(values) * scale:.4g}..{max(values) * scale:.4g}'
            metrics.append(
                Metric(
                    f'{prefix}.{key}', float(np.mean(values)) * scale, unit,
                    'higher' if higher else 'lower',
                    where + (spread if len(values) > 1 else ''), COMMAND,
                )
            )  # fmt: skip
        base = groups.get((capture, fraction, 'base', steps))
        if variant != 'base' and base:
            for split in ('novel_view', 'novel_pose'):
                gains = [
                    a[f'{split}.psnr'] - b[f'{split}.psnr']
                    for a, b in zip(found, base, strict=False)
                ]
                each = ', '.join(f'{gain:+.2f}' for gain in gains)
                metrics.append(
                    Metric(
                        f'{prefix}.{split}.gain_db', float(np.mean(gains)), 'dB', 'higher',
                        f'over the base, seed by seed {each}; {where}', COMMAND,
                    )
                )  # fmt: skip
    return metrics


def added_to_results(new: list[Metric]) -> list[Metric]:
    """All rows in the file of results, those measured anew in their places, others behind."""
    rows = json.loads((RESULTS / 'body.json').read_text())
    merged = {row['key']: Metric(**row) for row in rows}
    # Quality is the same everywhere; times of several machines do not mix.
    timed = {key for key in merged if key.endswith('cpu_s_per_1k_steps')}
    merged |= {metric.key: metric for metric in new if metric.key not in timed}
    return list(merged.values())


def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument('--only', default='', help='runs whose name holds this')
    parser.add_argument('--list', action='store_true')
    parser.add_argument(
        '--add',
        action='store_true',
        help='write the runs that are done into the results; all else there stays as it is',
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    wanted = [run for run in RUNS if args.only in run.name]
    if args.list:
        print('\n'.join(run.name for run in wanted))
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for run in [] if args.add else wanted:
        file = FOLDER / f'{run.name}.json'
        if file.exists():
            continue
        numbers = do(run)
        with tempfile.NamedTemporaryFile('w', dir=FOLDER, delete=False) as partial:
            json.dump(numbers, partial, indent=1)
        Path(partial.name).replace(file)
        print(run.name, {k: round(v, 3) for k, v in numbers.items()}, flush=True)
    if args.only:
        return
    done = {
        run: json.loads((FOLDER / f'{run.name}.json').read_text())
        for run in RUNS
        if (FOLDER / f'{run.name}.json').exists()
    }
    if args.add:
        write_results('body', added_to_results(metrics_of(done)))
    else:
        write_results('body', metrics_of(done) + speed_of_bundle() + live_graph())


if __name__ == '__main__':
    main()
