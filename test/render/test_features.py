# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Features of any number of channels are splatted as colours are."""

from dataclasses import replace

import pytest
import torch

from avatar_ros.gaussians import Gaussians
from avatar_ros.render import NumbaEngine, ReferenceEngine
from benchmarks.scene import camera, person

CHANNELS = 34


@pytest.fixture
def features() -> Gaussians:
    rng = torch.Generator().manual_seed(0)
    return replace(person(800), colors=torch.randn(800, CHANNELS, generator=rng))


def test_three_of_many_channels_are_what_a_colour_picture_shows(features: Gaussians) -> None:
    engine = NumbaEngine()
    many = engine.rasterize(features, [camera(96, 96)], render_mode='RGB+ED')
    few = replace(features, colors=features.colors[:, 5:8].contiguous())
    colors = engine.rasterize(few, [camera(96, 96)], render_mode='RGB+ED')
    assert many.colors.shape == (1, 96, 96, CHANNELS + 1)
    torch.testing.assert_close(many.colors[..., 5:8], colors.colors[..., :3], atol=1e-4, rtol=0)
    torch.testing.assert_close(many.colors[..., -1], colors.colors[..., -1], atol=1e-4, rtol=0)
    torch.testing.assert_close(many.alphas, colors.alphas, atol=1e-5, rtol=0)


@pytest.mark.parametrize('threads', [1, 2])
def test_pictures_and_gradients_are_those_of_the_reference(
    features: Gaussians, threads: int
) -> None:
    names = ('means', 'quats', 'scales', 'opacities', 'colors')
    backgrounds = torch.linspace(0, 1, CHANNELS)[None]
    weights = torch.randn(1, 48, 48, CHANNELS + 1, generator=torch.Generator().manual_seed(1))
    results = []
    for engine in (NumbaEngine(threads=threads), ReferenceEngine()):
        learned = {n: getattr(features, n).clone().requires_grad_() for n in names}
        image = engine.rasterize(
            Gaussians(**learned),
            [camera(48, 48)],
            backgrounds=backgrounds,
            render_mode='RGB+D',
        )
        ((image.colors * weights).sum() + image.alphas.square().sum()).backward()
        results.append((image, {n: learned[n].grad for n in names}))
    (ours, gradients), (exact, expected) = results
    torch.testing.assert_close(ours.colors, exact.colors.float(), atol=3e-4, rtol=0)
    for name in names:
        a, b = gradients[name], expected[name]
        assert a is not None
        assert b is not None
        error = (a - b).norm() / b.norm()
        assert error < 2e-3, (name, float(error))


def test_a_background_must_have_the_channels_of_the_features(features: Gaussians) -> None:
    with pytest.raises(ValueError, match=r'expected \(1, 34\)'):
        NumbaEngine().rasterize(features, [camera(32, 32)], backgrounds=torch.zeros(1, 3))
