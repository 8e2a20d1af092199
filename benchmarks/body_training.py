# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""One run: trained, baked and judged, as numbers by name."""

import time
from dataclasses import replace

import numpy as np
import torch

from avatar_ros.avatars import SkinnedAvatar
from avatar_ros.gaussians import Gaussians
from avatar_ros.render import NumbaEngine
from avatar_ros.training.body.bake import BakeOptions, bake
from avatar_ros.training.body.config import preset
from avatar_ros.training.body.playback import NetworkPlayer
from avatar_ros.training.body.semantics import splat_features
from avatar_ros.training.body.state import TrainState
from avatar_ros.training.body.trainer import Trainer
from avatar_ros.training.body.views import TrainViews
from avatar_ros.training.capture import PARTS, Capture
from avatar_ros.training.datasets import fraction_of
from avatar_ros.training.datasets.pictures import read_parts, read_picture
from avatar_ros.training.evaluate import bundle_player, judge, write_evaluation
from avatar_ros.training.perceptual import load_perceptual
from benchmarks.body_runs import ABLATIONS, FOLDER, SIZE, Run, capture_of


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
