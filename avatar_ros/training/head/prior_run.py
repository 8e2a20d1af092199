# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Prior learning as a run: one process, or many under ``torchrun``."""

import logging
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LambdaLR

from avatar_ros.avatars.head.binding import bind
from avatar_ros.body.flame import HeadModel
from avatar_ros.machine import machine
from avatar_ros.render import Engine
from avatar_ros.training.capture import CaptureError
from avatar_ros.training.evaluate import sheet_of
from avatar_ros.training.head.capture import HeadCapture
from avatar_ros.training.head.config import HeadTrainConfig
from avatar_ros.training.head.loop import Folder, cosine, run_steps
from avatar_ros.training.head.prior import HeadPrior
from avatar_ros.training.head.prior_file import Prior, fingerprint
from avatar_ros.training.head.scene import Person, View, read_view
from avatar_ros.training.perceptual import load_perceptual
from avatar_ros.types import Array, Image

logger = logging.getLogger(__name__)

_CACHE_BYTES = 3 << 30
_PREVIEWS = 4


class Pictures:
    """All training pictures, read when they are needed and kept as long as there is room."""

    def __init__(self, people: Sequence[Person], size: int) -> None:
        self.shots = [
            (k, shot) for k, person in enumerate(people) for shot in person.capture.shots['train']
        ]
        if not self.shots:
            raise CaptureError('the captures have no pictures for training.')
        self._size = size
        self._kept: OrderedDict[int, View] = OrderedDict()
        self._bytes = 0
        self._pool = ThreadPoolExecutor(2, 'pictures')

    def __len__(self) -> int:
        return len(self.shots)

    def ask(self, indices: Sequence[int]) -> list['Future[View]']:
        """Begin to read."""
        return [self._pool.submit(self._read, index) for index in indices]

    def _read(self, index: int) -> View:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        identity, shot = self.shots[index]
        view = read_view(shot, self._size, identity)
        self._kept[index] = view
        self._bytes += view.rgb.nbytes + view.mask.nbytes
        while self._bytes > _CACHE_BYTES and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._bytes -= old.rgb.nbytes + old.mask.nbytes
        return view


def batch_of(iteration: int, batch: int, count: int, seed: int) -> list[int]:
    """Indices of a batch: every picture once an epoch, in an order that the seed gives."""
    result = []
    for at in range(iteration * batch, (iteration + 1) * batch):
        epoch, place = divmod(at, count)
        result.append(int(_order(count, seed, epoch)[place]))
    return result


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> Array:
    return np.random.default_rng([seed, epoch]).permutation(count)


def own_device() -> None:
    """Under ``torchrun`` every process of a machine has a GPU of its own."""
    rank = int(os.environ.get('LOCAL_RANK', '0'))
    if torch.cuda.is_available() and rank < torch.cuda.device_count():
        torch.cuda.set_device(rank)


def join_processes(device: torch.device) -> tuple[int, int]:
    """Rank and number of the processes that ``torchrun`` started; (0, 1) without it."""
    world = int(os.environ.get('WORLD_SIZE', '1'))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group('nccl' if device.type == 'cuda' else 'gloo')
    return (dist.get_rank(), world) if world > 1 else (0, 1)


class PriorRun:
    """One run; made new or continued from its folder."""

    def __init__(
        self,
        folder: Path,
        captures: Sequence[HeadCapture],
        config: HeadTrainConfig,
        head: HeadModel,
        engine: Engine,
    ) -> None:
        self.config, self.head, self.engine = config, head, engine
        self.rank, self.world = join_processes(engine.device)
        if config.prior.batch % self.world:
            raise ValueError(
                f'a batch of {config.prior.batch} pictures cannot be shared by {self.world} '
                'processes; give --batch a multiple of their number.'
            )
        self.binding = bind(head, config.network.grid)
        people = [Person(capture, head, engine.device) for capture in captures]
        perceptual = load_perceptual() if config.loss.perceptual else None
        if config.loss.perceptual and perceptual is None:
            logger.warning(
                'No weights of a perceptual loss: trained without it. `avatar_ros fetch '
                'perceptual` gets a substitute of LPIPS.'
            )
        if perceptual is not None:
            perceptual = perceptual.to(engine.device)
        self.prior = HeadPrior(config, head, self.binding, people, engine, perceptual)
        self.pictures = Pictures(people, config.image_size)
        about = {'identities': [c.name for c in captures], 'head': fingerprint(head)}
        self.folder = Folder(folder, {**about, **config.to_json()})
        self.optimizer = torch.optim.Adam(self.prior.groups())  # type: ignore[arg-type]
        self.scheduler = LambdaLR(self.optimizer, cosine(config.prior.iterations))
        self.iteration = 0
        self._module: nn.Module = self.prior
        if self.world > 1:
            self._module = DistributedDataParallel(self.prior)

    def start(self, resume: bool) -> None:
        """:raises ValueError: if there is a run already, or one with another config."""
        if self.rank:
            dist.barrier()
            state = self.folder.start(True, self.engine.device)
        else:
            state = self.folder.start(resume, self.engine.device)
            if self.world > 1:
                dist.barrier()
        if state is not None and (resume or self.rank == 0):
            self.prior.load_state_dict(state['prior'])
            self.optimizer.load_state_dict(state['optimizer'])
            self.scheduler.load_state_dict(state['scheduler'])
            self.iteration = int(state['iteration'])
            logger.info('resumed at iteration %d', self.iteration)

    def train(self, progress: bool = True) -> list[float]:
        """All iterations that are left; their losses."""
        waiting = self.pictures.ask(self._mine(self.iteration))

        def step(at: int) -> tuple[float, float]:
            nonlocal waiting
            views = [future.result() for future in waiting]
            waiting = self.pictures.ask(self._mine(at + 1))
            loss, error = self._module(views)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            self.iteration = at + 1
            both = torch.stack([loss.detach(), error])
            if self.world > 1:
                dist.all_reduce(both)
                both /= self.world
            return float(both[0]), float(both[1])

        return run_steps(
            'prior',
            step,
            self.iteration,
            self.config.prior.iterations,
            self.folder if self.rank == 0 else None,
            self.state,
            self.preview,
            progress,
        )

    def _mine(self, iteration: int) -> list[int]:
        count = self.config.prior.batch
        return batch_of(iteration, count, len(self.pictures), self.config.seed)[
            self.rank :: self.world
        ]

    def state(self) -> Mapping[str, Any]:
        """What a checkpoint holds."""
        return {
            'prior': self.prior.state_dict(),
            'optimizer': self.optimizer.state_dict(),
            'scheduler': self.scheduler.state_dict(),
            'iteration': self.iteration,
        }

    def preview(self) -> Image:
        """Photographs, and what the prior makes of them."""
        places = np.linspace(0, len(self.pictures) - 1, _PREVIEWS).astype(int)
        views = [future.result() for future in self.pictures.ask(places.tolist())]
        with torch.no_grad():
            return sheet_of([compared(view, self.prior.draw(view).image) for view in views])

    def result(self) -> Prior:
        """What has been learned."""
        tensors = {
            'point': self.prior.point.detach().cpu().numpy(),
            'code': self.prior.code.detach().cpu().numpy(),
        }
        tensors |= {
            f'net.{name}': values.cpu().numpy()
            for name, values in self.prior.net.state_dict().items()
        }
        about = {
            'iterations': self.iteration,
            'pictures': len(self.pictures),
            'trained_on': machine(),
        }
        names = tuple(person.name for person in self.prior.people)
        return Prior(self.config, fingerprint(self.head), names, tensors, about)


def compared(view: View, image: torch.Tensor) -> Image:
    """A photograph beside the avatar."""
    drawn = (255 * image.detach().clamp(0, 1)).round().cpu().numpy().astype(np.uint8)
    return np.hstack([view.rgb, drawn])
