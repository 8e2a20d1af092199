# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The choice of an engine, and the engines against each other."""

import inspect
import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera
from avatar_ros.render import GsplatEngine, NumbaEngine, gsplat_engine, select_engine
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


def numba_in_gsplats_clothes(
    means: Any, quats: Any, scales: Any, opacities: Any, colors: Any, viewmats: Any, Ks: Any,
    width: int, height: int, near_plane: float, far_plane: float, eps2d: float,
    sh_degree: int | None, packed: bool, channel_chunk: int, backgrounds: Any, render_mode: Any,
    rasterize_mode: Any,
) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:  # fmt: skip
    """The arguments of ``gsplat.rasterization`` that the engine uses."""
    assert not packed
    assert channel_chunk >= 34, 'HeadGAP splats its channels in one pass'
    cameras = [
        Camera(K.numpy(), width, height, T.numpy()) for K, T in zip(Ks, viewmats, strict=True)
    ]
    images = NumbaEngine().rasterize(
        Gaussians(means, quats, scales, opacities, colors, sh_degree),
        cameras,
        backgrounds=backgrounds,
        render_mode=render_mode,
        rasterize_mode=rasterize_mode,
        eps2d=eps2d,
        near_plane=near_plane,
        far_plane=far_plane,
    )
    return images.colors, images.alphas, {}


@pytest.fixture
def pretended_gsplat(monkeypatch: pytest.MonkeyPatch) -> GsplatEngine:
    """The CUDA engine on a CPU, with a stand-in for gsplat: tests the wiring only."""
    monkeypatch.setattr(gsplat_engine, 'why_gsplat_cannot_run', lambda: None)
    fake = SimpleNamespace(rasterization=numba_in_gsplats_clothes)
    monkeypatch.setitem(sys.modules, 'gsplat', fake)
    return GsplatEngine('cpu')


def test_gsplat_gets_what_the_call_says(pretended_gsplat: GsplatEngine) -> None:
    gaussians = person(500, sh_degree=2)
    cameras = [camera(64, 48), camera(64, 48, offset=0.064)]
    options: dict[str, Any] = {
        'render_mode': 'RGB+ED',
        'rasterize_mode': 'antialiased',
        'backgrounds': torch.rand(2, 3),
        'near_plane': 2.5,
        'far_plane': 2.7,
        'eps2d': 0.1,
    }
    found = pretended_gsplat.rasterize(gaussians, cameras, **options)
    expected = NumbaEngine().rasterize(gaussians, cameras, **options)
    # The camera goes through float32 once more.
    torch.testing.assert_close(found.colors, expected.colors, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found.alphas, expected.alphas, atol=1e-3, rtol=1e-3)


def test_gsplat_gets_no_broken_gaussian(pretended_gsplat: GsplatEngine) -> None:
    gaussians = person(500)
    for k, name in enumerate(('means', 'quats', 'scales', 'opacities', 'colors')):
        getattr(gaussians, name)[k] = float('nan')
    gaussians.quats[7] = 0
    clean = gsplat_engine.finite_or_transparent(gaussians)
    assert all(torch.isfinite(tensor).all() for tensor in clean.values())
    assert (clean['opacities'][[0, 1, 2, 3, 4, 7]] == 0).all()
    assert torch.equal(clean['opacities'][8:], gaussians.opacities[8:])
    expected = NumbaEngine().rasterize(gaussians, [camera(64, 64)]).colors
    assert torch.equal(pretended_gsplat.rasterize(gaussians, [camera(64, 64)]).colors, expected)


def test_gsplat_without_gaussians_gives_the_background(pretended_gsplat: GsplatEngine) -> None:
    empty = Gaussians(*(getattr(person(1), n)[:0] for n in gsplat_engine.TENSORS))
    backgrounds = torch.tensor([[0.1, 0.2, 0.3]])
    images = pretended_gsplat.rasterize(empty, [camera(8, 8)], backgrounds=backgrounds)
    assert (images.colors == backgrounds).all()


def test_the_stand_in_takes_what_gsplat_takes() -> None:
    gsplat = pytest.importorskip('gsplat', reason='gsplat is not installed')
    ours = set(inspect.signature(numba_in_gsplats_clothes).parameters)
    assert ours <= set(inspect.signature(gsplat.rasterization).parameters)


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
