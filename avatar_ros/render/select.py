# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The choice of an engine: made once, logged, never switched silently."""

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera
from avatar_ros.render.engine import Engine, Rendered
from avatar_ros.render.gsplat_engine import GsplatEngine, why_gsplat_cannot_run
from avatar_ros.render.numba_engine import NumbaEngine
from avatar_ros.render.reference import ReferenceEngine

_logger = logging.getLogger(__name__)

ENGINES = ('auto', 'gsplat', 'numba', 'reference')


def select_engine(name: str = 'auto', *, threads: int = 1) -> Engine:
    """The engine of that name; 'auto' takes gsplat where it can run, else numba.

    :param threads: of one call, numba only.
    :raises ValueError: if there is no engine of that name.
    :raises RuntimeError: if gsplat is asked for by name and cannot run here.
    """
    if name not in ENGINES:
        raise ValueError(f'render engine is {name!r}; expected one of {", ".join(ENGINES)}.')
    reason = 'it was asked for'
    if name == 'auto':
        problem = why_gsplat_cannot_run()
        name = 'numba' if problem else 'gsplat'
        reason = problem or 'gsplat runs on the CUDA device'
    engine: Engine
    if name == 'gsplat':
        engine = GsplatEngine()
    elif name == 'numba':
        engine = NumbaEngine(threads)
    else:
        engine = ReferenceEngine()
    _logger.info('rendering with engine %s on %s: %s', engine.name, engine.device, reason)
    return engine


@lru_cache(maxsize=2)
def _engine_for(device: str) -> Engine:
    return select_engine('auto' if device == 'cuda' else 'numba')


def rasterize(
    gaussians: Gaussians, cameras: Sequence[Camera], *, engine: Engine | None = None, **options: Any
) -> Rendered:
    """Images of Gaussians with `engine`, or with the fastest for the device that they are on.

    Takes the options of `Engine.rasterize`.
    """
    return (engine or _engine_for(gaussians.device.type)).rasterize(gaussians, cameras, **options)
