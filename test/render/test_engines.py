# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The choice of an engine, and the engines against each other."""

import logging

import pytest
import torch

from avatar_ros.render import GsplatEngine, NumbaEngine, select_engine
from benchmarks.scene import camera, person

NO_CUDA = not torch.cuda.is_available()


def test_the_choice_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        engine = select_engine('auto')
    assert engine.name in caplog.text
    assert ('no CUDA device' if NO_CUDA else 'gsplat') in caplog.text


@pytest.mark.parametrize('name', ['numba', 'reference'])
def test_an_engine_is_selected_by_name(name: str) -> None:
    engine = select_engine(name)
    assert engine.name == name
    assert engine.differentiable
    assert engine.device == torch.device('cpu')


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'cuda'; expected one of auto, gsplat, numba, reference"):
        select_engine('cuda')


@pytest.mark.skipif(not NO_CUDA, reason='this machine has CUDA')
def test_gsplat_without_cuda_is_refused_and_not_replaced() -> None:
    with pytest.raises(RuntimeError, match=r'no CUDA device.*avatar_ros\[cuda\]'):
        select_engine('gsplat')


def test_an_engine_needs_a_thread() -> None:
    with pytest.raises(ValueError, match='0 threads'):
        NumbaEngine(threads=0)


@pytest.mark.skipif(NO_CUDA, reason='needs a CUDA device and gsplat')
@pytest.mark.parametrize('mode', ['classic', 'antialiased'])
def test_cuda_draws_what_the_cpu_draws(mode: str) -> None:
    gpu, gaussians = GsplatEngine(), person(20_000, sh_degree=3)
    cameras = [camera(256, 256), camera(256, 256, offset=0.064)]
    options = {'rasterize_mode': mode, 'render_mode': 'RGB+D', 'backgrounds': torch.rand(2, 3)}
    expected = NumbaEngine().rasterize(gaussians, cameras, **options)  # type: ignore[arg-type]
    found = gpu.rasterize(gaussians.to(gpu.device), cameras, **options)  # type: ignore[arg-type]
    error = (found.colors.cpu() - expected.colors).abs()
    assert torch.quantile(error.flatten()[::4], 0.999) < 2e-3
