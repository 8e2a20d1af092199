# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Broken Gaussians are left out; contradictory calls are refused in words."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from avatar_ros.gaussians import Gaussians
from avatar_ros.render import NumbaEngine
from benchmarks.scene import camera, person

VIEW = camera(96, 96)


def with_one_bad(name: str, value: float) -> tuple[Gaussians, Gaussians]:
    """A person with one Gaussian spoiled, and the same without it."""
    good = person(500)
    tensor = getattr(good, name).clone()
    # One number is enough to spoil it; a quaternion has no length only if all are 0.
    tensor.view(len(good), -1)[3, : 4 if value == 0 else 1] = value
    names = ('means', 'quats', 'scales', 'opacities', 'colors')
    rest = torch.arange(len(good)) != 3
    return replace(good, **{name: tensor}), Gaussians(*(getattr(good, n)[rest] for n in names))


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('name', ['means', 'quats', 'scales', 'opacities', 'colors'])
def test_a_gaussian_that_is_not_finite_is_left_out(
    engine: NumbaEngine, name: str, value: float
) -> None:
    spoiled, rest = with_one_bad(name, value)
    found = engine.rasterize(spoiled, [VIEW], render_mode='RGB+D')
    assert torch.equal(found.colors, engine.rasterize(rest, [VIEW], render_mode='RGB+D').colors)


def test_a_quaternion_of_length_zero_is_left_out(engine: NumbaEngine) -> None:
    spoiled, rest = with_one_bad('quats', 0.0)
    found = engine.rasterize(spoiled, [VIEW]).colors
    assert torch.equal(found, engine.rasterize(rest, [VIEW]).colors)


@pytest.mark.parametrize('name', ['means', 'scales', 'quats'])
@pytest.mark.parametrize('value', [1e30, 3e38, 1e12, -1e20])
def test_huge_values_neither_crash_nor_spread(engine: NumbaEngine, name: str, value: float) -> None:
    spoiled, _ = with_one_bad(name, value)
    assert torch.isfinite(engine.rasterize(spoiled, [VIEW], render_mode='RGB+D').colors).all()


def test_bad_gaussians_get_no_gradient_and_spoil_no_other(engine: NumbaEngine) -> None:
    spoiled, _ = with_one_bad('means', np.nan)
    leaf = spoiled.scales.clone().requires_grad_()
    engine.rasterize(replace(spoiled, scales=leaf), [VIEW]).colors.sum().backward()
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()
    assert leaf.grad[3].abs().max() == 0
    assert leaf.grad.abs().max() > 0


def test_broken_harmonics_get_no_gradient_and_spoil_no_other() -> None:
    g = person(500, sh_degree=1)
    means, colors = g.means.clone(), g.colors.clone()
    means[3], colors[4] = np.nan, np.inf
    leaves = [means.requires_grad_(), colors.requires_grad_()]
    NumbaEngine().rasterize(replace(g, means=means, colors=colors), [VIEW]).colors.sum().backward()
    for leaf in leaves:
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
        assert leaf.grad[3:5].abs().max() == 0


def test_needles_across_the_image_stay_finite(engine: NumbaEngine) -> None:
    g = person(200)
    scales = g.scales * torch.tensor([1e4, 1e-4, 1.0])
    rendered = engine.rasterize(replace(g, scales=scales), [VIEW], render_mode='RGB+D')
    assert torch.isfinite(rendered.colors).all()
    assert rendered.alphas.max() <= 1.0001


@pytest.mark.parametrize('learn', [False, True])
def test_no_gaussians_give_the_background(engine: NumbaEngine, learn: bool) -> None:
    g = person(5)
    empty = Gaussians(
        g.means[:0].requires_grad_(learn), g.quats[:0], g.scales[:0], g.opacities[:0], g.colors[:0]
    )
    backgrounds = torch.tensor([[0.1, 0.2, 0.3]])
    rendered = engine.rasterize(empty, [VIEW], backgrounds=backgrounds)
    assert rendered.alphas.max() == 0
    assert (rendered.colors == backgrounds).all()
    if learn:
        rendered.colors.sum().backward()


@pytest.mark.parametrize(
    ('cameras', 'options', 'words'),
    [
        ([], {}, 'no cameras'),
        ([camera(64, 64), camera(64, 32)], {}, '64x32, 64x64'),
        ([VIEW], {'render_mode': 'DEPTH'}, "'DEPTH'; expected one of"),
        ([VIEW], {'rasterize_mode': 'smooth'}, "'smooth'; expected one of"),
        ([VIEW], {'near_plane': 0.0}, 'near_plane is 0.0'),
        ([VIEW], {'backgrounds': torch.zeros(3)}, r'shape \(3,\); expected \(1, 3\)'),
    ],
)
def test_contradictions_are_refused(cameras: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        NumbaEngine().rasterize(person(5), cameras, **options)


def test_color_sets_must_be_as_many_as_cameras() -> None:
    g = person(5)
    with pytest.raises(ValueError, match='2 colour sets for 1 cameras'):
        NumbaEngine().rasterize(replace(g, colors=torch.zeros(2, 5, 3)), [VIEW])


def test_gaussians_of_another_device_are_refused() -> None:
    with pytest.raises(ValueError, match=r'meta.*numba.*cpu'):
        NumbaEngine().rasterize(person(5).to('meta'), [VIEW])
