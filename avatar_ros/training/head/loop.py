# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A training loop in a folder: progress, log, checkpoints, previews; Ctrl-C loses nothing."""

import json
import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from avatar_ros.training.body.run import load_checkpoint
from avatar_ros.types import Image

logger = logging.getLogger(__name__)

CONFIG, CHECKPOINT = 'config.json', 'checkpoint.pt'
_CHECKPOINT_EVERY_S = 45.0
_PREVIEW_EVERY_S = 60.0
_LOG_EVERY = 25


class TrainingDivergedError(RuntimeError):
    """A loss that is not finite any more."""


class Folder:
    """Where a run keeps its config and its checkpoint."""

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self.path = path
        self.config = json.loads(json.dumps(config))

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    def start(self, resume: bool, device: torch.device) -> dict[str, Any] | None:
        """Make the folder; the state of its checkpoint if there is one to go on from.

        :raises ValueError: if there is a run already and `resume` is not asked for, or one with
            another config.
        """
        file = self.path / CONFIG
        if file.exists():
            if not resume:
                raise ValueError(
                    f'{self.path}: holds a run already. Continue it with --resume, throw it away '
                    'with --overwrite, or give another --out.'
                )
            before = json.loads(file.read_text())
            changed = sorted(
                k for k in {*before, *self.config} if before.get(k) != self.config.get(k)
            )
            if changed:
                raise ValueError(
                    f'{self.path}: was started with another {", ".join(changed)}. Give the same '
                    'arguments to resume it, or another --out.'
                )
        (self.path / 'previews').mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(self.config, indent=1) + '\n')
        if resume and self.checkpoint.exists():
            return load_checkpoint(self.checkpoint, device)
        return None

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the checkpoint; the one before stays until the new one is whole."""
        partial = self.checkpoint.with_suffix('.partial')
        try:
            with partial.open('wb') as file:
                torch.save(dict(state), file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.checkpoint)
        except OSError as error:
            partial.unlink(missing_ok=True)
            logger.error(
                'the checkpoint cannot be written (%s); the one before is kept and training goes '
                'on. Make room on the disk.',
                error,
            )


def cosine(total: int) -> Callable[[int], float]:
    """Factor of a learning rate that falls to zero over so many steps (for `LambdaLR`)."""
    return lambda step: 0.5 * (1 + math.cos(math.pi * min(step / total, 1.0)))


def run_steps(
    what: str,
    step: Callable[[int], tuple[float, float]],
    start: int,
    total: int,
    folder: Folder | None,
    state: Callable[[], Mapping[str, Any]],
    preview: Callable[[], Image] | None = None,
    progress: bool = True,
) -> list[float]:
    """Run steps start..total; the losses of all that ran.

    :param step: takes its number and gives loss and mean squared error.
    :param folder: None in the processes of a distributed run that write nothing.
    :raises TrainingDivergedError: if a loss is not finite.
    """
    from torch.utils.tensorboard import SummaryWriter

    losses: list[float] = []
    errors: deque[float] = deque(maxlen=100)
    saved = previewed = time.monotonic()
    bar = tqdm(
        total=total,
        initial=start,
        desc=what,
        unit='it',
        mininterval=1.0,
        disable=not progress or folder is None,
    )
    events = None if folder is None else SummaryWriter(str(folder.path))
    at = start
    try:
        for at in range(start, total):
            loss, error = step(at)
            if not np.isfinite(loss):
                raise TrainingDivergedError(
                    f'{what}: the loss of iteration {at} is {loss}. Go on from the checkpoint with '
                    'a smaller learning rate, or look for broken pictures.'
                )
            losses.append(loss)
            errors.append(error)
            bar.update()
            if folder is None or events is None:
                continue
            if at % _LOG_EVERY == 0:
                shown = -10 * np.log10(max(float(np.mean(errors)), 1e-10))
                bar.set_postfix_str(f'loss {loss:.4f} psnr {shown:.2f}')
                events.add_scalar(f'{what}/loss', loss, at)
                events.add_scalar(f'{what}/psnr', shown, at)
            now = time.monotonic()
            if now - saved > _CHECKPOINT_EVERY_S:
                folder.save(state())
                saved = now
            if preview is not None and now - previewed > _PREVIEW_EVERY_S:
                _write(folder, what, at, preview())
                previewed = time.monotonic()
    except KeyboardInterrupt:
        logger.info('stopped at iteration %d of %d; continue with --resume', at, total)
        raise
    finally:
        bar.close()
        if events is not None:
            events.close()
        if folder is not None and losses and np.isfinite(losses[-1]):
            folder.save(state())
    if folder is not None and preview is not None:
        _write(folder, what, total, preview())
    return losses


def _write(folder: Folder, what: str, at: int, image: Image) -> None:
    name = f'{what.replace(" ", "_")}_{at:06d}.jpg'
    cv2.imwrite(str(folder.path / 'previews' / name), image[..., ::-1])
