# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A training run in a folder: config, checkpoints, log, previews, and at the end a bundle.

::

    RUN/config.json      every number of the run
    RUN/checkpoint.pt    tensors and numbers to go on from (read without unpickling code)
    RUN/events.*         TensorBoard
    RUN/previews/        photograph, avatar and error now and then
    RUN/evaluation.json  scores on held-out pictures, with RUN/errors_*.png
"""

import json
import logging
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from avatar_ros.avatars import SkinnedAvatar, save_bundle
from avatar_ros.machine import machine
from avatar_ros.render import Engine
from avatar_ros.training.body.bake import BakeOptions, bake
from avatar_ros.training.body.config import TrainConfig
from avatar_ros.training.body.objective import Step
from avatar_ros.training.body.playback import NetworkPlayer
from avatar_ros.training.body.state import TrainState
from avatar_ros.training.body.trainer import Trainer
from avatar_ros.training.body.views import TrainViews
from avatar_ros.training.capture import Capture, CaptureError
from avatar_ros.training.evaluate import (
    Draw,
    Score,
    bundle_player,
    judge,
    sheet_of,
    table,
    write_evaluation,
)
from avatar_ros.training.perceptual import load_perceptual

logger = logging.getLogger(__name__)

CONFIG, CHECKPOINT = 'config.json', 'checkpoint.pt'
#: A killed run loses less than a minute.
_CHECKPOINT_EVERY_S = 45.0
_PREVIEW_EVERY_S = 60.0
_LOG_EVERY = 25


class BodyRun:
    """One run; made new or continued from its folder."""

    def __init__(
        self,
        folder: Path,
        capture: Capture,
        config: TrainConfig,
        engine: Engine,
        crop: bool = False,
    ) -> None:
        self.folder, self.capture, self.config, self.crop = folder, capture, config, crop
        self.engine = engine
        semantic = config.semantic is not None
        self.state = TrainState(config, capture, engine.device)
        self.views = TrainViews(
            capture,
            capture.split('train'),
            self.state.body,
            config.image_size,
            crop,
            engine.device,
            semantic,
        )
        self.perceptual = load_perceptual()
        if self.perceptual is not None:
            self.perceptual = self.perceptual.to(engine.device)
        elif config.loss.perceptual:
            logger.warning(
                'No weights of a perceptual loss: trained without it. `avatar_ros fetch '
                'perceptual` gets a substitute of LPIPS.'
            )
        self.trainer = Trainer(self.state, self.views, engine, self.perceptual)

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    def start(self, resume: bool) -> None:
        """Make the folder, or take up its checkpoint.

        :raises ValueError: if there is a run already, or one with another config.
        """
        config_file = self.folder / CONFIG
        if config_file.exists() and not resume:
            raise ValueError(
                f'{self.folder}: holds a run already. Continue it with --resume, or give another '
                '--out.'
            )
        written = {'crop': self.crop, 'capture': self.capture.name, **self.config.to_json()}
        if resume and config_file.exists():
            before = json.loads(config_file.read_text())
            now = json.loads(json.dumps(written))
            changed = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
            if changed:
                raise ValueError(
                    f'{self.folder}: was started with another {", ".join(changed)}. Give the same '
                    'arguments to resume it, or another --out.'
                )
            if self.checkpoint.exists():
                self.state.load_state_dict(load_checkpoint(self.checkpoint, self.engine.device))
                logger.info('resumed at iteration %d', self.state.iteration)
        (self.folder / 'previews').mkdir(parents=True, exist_ok=True)
        config_file.write_text(json.dumps(written, indent=1) + '\n')

    def train(self, progress: bool = True) -> None:
        """All iterations that are left; Ctrl-C leaves a checkpoint behind."""
        from torch.utils.tensorboard import SummaryWriter

        saved = previewed = time.monotonic()
        psnrs: deque[float] = deque(maxlen=100)
        total = self.config.schedule.iterations
        bar = tqdm(
            total=total,
            initial=self.state.iteration,
            desc=self.config.method,
            unit='it',
            mininterval=1.0,
            disable=not progress,
        )
        with SummaryWriter(str(self.folder)) as events, bar:
            try:
                for step in self.trainer.remaining():
                    psnrs.append(step.psnr)
                    bar.update()
                    if self.state.iteration % _LOG_EVERY == 0:
                        self._log(events, step, bar, psnrs)
                    now = time.monotonic()
                    if now - saved > _CHECKPOINT_EVERY_S:
                        self.save()
                        saved = now
                    if now - previewed > _PREVIEW_EVERY_S:
                        self.preview()
                        previewed = now
            except KeyboardInterrupt:
                self.save()
                logger.info(
                    'stopped at iteration %d of %d; continue with --resume',
                    self.state.iteration,
                    total,
                )
                raise
        self.save()
        self.preview()

    def _log(self, events: Any, step: Step, bar: Any, psnrs: Sequence[float]) -> None:
        at = self.state.iteration
        loss = float(step.total.detach())
        known = [p for p in psnrs if p == p]
        shown = f'{np.mean(known):.2f}' if known else '-'
        bar.set_postfix_str(f'loss {loss:.4f} psnr {shown} n {len(self.state.gaussians)}')
        events.add_scalar('loss/total', loss, at)
        for name, term in step.terms.items():
            events.add_scalar(f'loss/{name}', float(term.detach()), at)
        if known:
            events.add_scalar('psnr/train', float(np.mean(known)), at)
        events.add_scalar('gaussians', len(self.state.gaussians), at)

    def save(self) -> None:
        """Write the checkpoint; the one before stays until the new one is whole."""
        partial = self.checkpoint.with_suffix('.partial')
        try:
            with partial.open('wb') as file:
                torch.save(self.state.state_dict(), file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.checkpoint)
        except OSError as error:
            partial.unlink(missing_ok=True)
            logger.error(
                'the checkpoint of iteration %d cannot be written (%s); the one before is kept '
                'and training goes on. Make room on the disk.',
                self.state.iteration,
                error,
            )

    def preview(self) -> None:
        """One training picture, one of each held-out split: photograph, avatar, error."""
        if self.state.iteration <= self.config.schedule.gaussians_from:
            return
        # Looking must not change what is learned: the tables are put back afterwards.
        bound = self.state.bound
        player = NetworkPlayer(self.state, self.engine)
        rows = []
        for split in ('train', 'novel_view', 'novel_pose'):
            shots = self.capture.split(split)
            if shots:
                middle = shots[len(shots) // 2 : len(shots) // 2 + 1]
                rows += judge(player.draw, middle, self.config.image_size, self.crop).sheet
        self.state.network.train()
        self.state.bound = bound
        path = self.folder / 'previews' / f'{self.state.iteration:06d}.jpg'
        cv2.imwrite(str(path), sheet_of(rows)[..., ::-1])

    def write_bundle(self, out: Path, options: BakeOptions | None = None) -> str:
        """Bake, judge network and bundle on held-out pictures, write all; the scores as text."""
        player = NetworkPlayer(self.state, self.engine)
        rows = sorted({shot.row for shot in self.views.shots})
        about = {
            'method': self.config.method,
            'preset': self.config.preset,
            'iterations': self.config.schedule.iterations,
            'seed': self.config.seed,
            'capture': self.capture.name,
            'trained_on': machine(),
        }
        name = out.name.removesuffix('.zip')
        bundle = bake(player, rows, options or BakeOptions(), name=name, **about)
        scores = {'network': self._judge(player.draw)}
        avatar = SkinnedAvatar(bundle, self.engine.device)
        # Judged in the poses as they were corrected, like the network.
        scores['bundle'] = self._judge(bundle_player(avatar, self._corrected(), self.engine))
        evaluation = {who: {s: v.values for s, v in found.items()} for who, found in scores.items()}
        bundle = replace(bundle, provenance={**about, 'evaluation': evaluation['bundle']})
        save_bundle(out, bundle)
        write_evaluation(self.folder, scores['network'], **about, bundle=evaluation['bundle'])
        return '\n'.join(f'{who}\n{table(found)}' for who, found in scores.items() if found)

    def _corrected(self) -> Capture:
        poses = self.state.poses
        return replace(
            self.capture,
            poses=replace(
                self.capture.poses,
                rotvecs=poses.rotvecs.detach().double().cpu().numpy(),
                translations=poses.translations.detach().double().cpu().numpy(),
            ),
        )

    def _judge(self, draw: Draw) -> dict[str, Score]:
        """Scores of the held-out splits."""
        scores = {}
        perceptual = None if self.perceptual is None else self.perceptual.to('cpu')
        for split in ('novel_view', 'novel_pose'):
            shots = self.capture.split(split)
            if not shots:
                continue
            try:
                scores[split] = judge(
                    draw, shots, self.config.image_size, self.crop, perceptual, f'judging {split}'
                )
            except CaptureError as error:
                logger.warning('%s: %s', split, error)
        return scores


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """The state in a checkpoint; only tensors and plain values are read.

    :raises ValueError: if the file is damaged.
    """
    import pickle

    try:
        return dict(torch.load(path, map_location=device, weights_only=True))
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError) as error:
        raise ValueError(
            f'{path}: cannot be read ({str(error)[:200]}). Start again with another --out.'
        ) from error


def read_config(folder: Path) -> tuple[TrainConfig, bool]:
    """Config and crop of a run.

    :raises ValueError: if the folder is no run.
    """
    path = folder / CONFIG
    try:
        values = json.loads(path.read_text())
        crop = bool(values.pop('crop'))
        values.pop('capture')
        return TrainConfig.from_json(values), crop
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path}: is no config of a training run ({error}).') from error
