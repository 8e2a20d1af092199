# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What must hold for any picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import (
    invert_rigid,
    matrix_from_rotvec,
    quat_from_rotvec,
    quat_multiply,
    rigid,
    transform_points,
)
from avatar_ros.render import Engine, NumbaEngine, ReferenceEngine, rasterize, to_rgb8
from benchmarks.scene import camera, person


@pytest.fixture
def gaussians() -> Gaussians:
    return person(2_000)


def one(z: float, color: tuple[float, float, float], opacity: float = 0.9) -> Gaussians:
    return Gaussians(
        torch.tensor([[0.0, 0.0, z]]),
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.full((1, 3), 0.2),
        torch.tensor([opacity]),
        torch.tensor([color]),
    )


def both(a: Gaussians, b: Gaussians) -> Gaussians:
    names = ('means', 'quats', 'scales', 'opacities', 'colors')
    return Gaussians(*(torch.cat([getattr(a, n), getattr(b, n)]) for n in names))


@pytest.mark.parametrize('engine', [NumbaEngine(), NumbaEngine(simd=False), ReferenceEngine()])
def test_background_shows_through_what_is_not_covered(engine: Engine, gaussians: Gaussians) -> None:
    backgrounds = torch.tensor([[0.9, 0.1, 0.4]])
    black = engine.rasterize(gaussians, [camera(96, 96)])
    colored = engine.rasterize(gaussians, [camera(96, 96)], backgrounds=backgrounds)
    expected = black.colors + (1 - black.alphas) * backgrounds[:, None, None]
    torch.testing.assert_close(colored.colors, expected.to(colored.colors), atol=1e-6, rtol=0)
    assert torch.equal(black.alphas, colored.alphas)


def test_moving_world_and_camera_together_changes_nothing(
    engine: NumbaEngine, gaussians: Gaussians
) -> None:
    rotvec = np.array([0.4, -1.1, 0.7])
    T = rigid(matrix_from_rotvec(rotvec), [0.5, -2, 1])
    moved = replace(
        gaussians,
        means=torch.from_numpy(transform_points(T, gaussians.means.numpy())).float(),
        quats=torch.from_numpy(
            quat_multiply(quat_from_rotvec(rotvec), gaussians.quats.numpy())
        ).float(),
    )
    view = camera(96, 96)
    a = engine.rasterize(gaussians, [view], render_mode='RGB+D')
    b = engine.rasterize(
        moved, [view.at(view.T_camera_world @ invert_rigid(T))], render_mode='RGB+D'
    )
    error = (a.colors - b.colors).abs()
    assert torch.quantile(error.flatten(), 0.999) < 1e-4
    assert error.max() < 1e-2


def test_order_of_gaussians_does_not_matter(engine: NumbaEngine, gaussians: Gaussians) -> None:
    p = torch.randperm(len(gaussians), generator=torch.Generator().manual_seed(0))
    names = ('means', 'quats', 'scales', 'opacities', 'colors')
    shuffled = Gaussians(*(getattr(gaussians, name)[p] for name in names))
    a, b = (engine.rasterize(g, [camera(96, 96)]).colors.clone() for g in (gaussians, shuffled))
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_the_nearer_gaussian_hides_the_farther(engine: NumbaEngine) -> None:
    view = replace(camera(33, 33), T_camera_world=np.eye(4))
    pair = both(one(5.0, (0.0, 1.0, 0.0), 1.0), one(3.0, (1.0, 0.0, 0.0), 0.75))
    middle = engine.rasterize(pair, [view]).colors[0, 16, 16]
    torch.testing.assert_close(middle, torch.tensor([0.75, 0.25, 0]), atol=2e-3, rtol=0)


def test_right_is_right_and_down_is_down(engine: NumbaEngine) -> None:
    view = replace(camera(64, 64), T_camera_world=np.eye(4))
    g = replace(one(3.0, (1.0, 1.0, 1.0)), means=torch.tensor([[0.4, 0.6, 3.0]]))
    alphas = engine.rasterize(g, [view]).alphas[0, ..., 0]
    y, x = np.unravel_index(int(alphas.argmax()), (64, 64))
    expected = view.project([[0.4, 0.6, 3.0]])[0]
    assert abs(x + 0.5 - expected[0]) <= 0.5
    assert abs(y + 0.5 - expected[1]) <= 0.5
    assert x > 32
    assert y > 32


def test_two_cameras_in_one_call_are_two_calls(engine: NumbaEngine) -> None:
    gaussians = person(2_000, sh_degree=3)
    cameras = [camera(96, 80), camera(96, 80, offset=0.064)]
    backgrounds = torch.rand(2, 3)
    together = engine.rasterize(gaussians, cameras, backgrounds=backgrounds)
    assert not torch.equal(together.colors[0], together.colors[1])
    for c in range(2):
        alone = engine.rasterize(gaussians, [cameras[c]], backgrounds=backgrounds[c : c + 1])
        assert torch.equal(together.colors[c], alone.colors[0])
        assert torch.equal(together.alphas[c], alone.alphas[0])


def test_color_sets_belong_to_their_cameras(engine: NumbaEngine, gaussians: Gaussians) -> None:
    sets = torch.stack([gaussians.colors, 1 - gaussians.colors])
    cameras = [camera(64, 64), camera(64, 64)]
    rendered = engine.rasterize(replace(gaussians, colors=sets), cameras)
    for c in range(2):
        alone = engine.rasterize(replace(gaussians, colors=sets[c]), cameras[:1])
        assert torch.equal(rendered.colors[c], alone.colors[0])


def test_expected_depth_is_depth_over_alpha(engine: NumbaEngine, gaussians: Gaussians) -> None:
    views = [camera(64, 64)]
    depth = engine.rasterize(gaussians, views, render_mode='D')
    expected = engine.rasterize(gaussians, views, render_mode='ED').colors
    all_channels = engine.rasterize(gaussians, views, render_mode='RGB+ED').colors
    assert depth.colors.shape == (1, 64, 64, 1)
    torch.testing.assert_close(expected, depth.colors / depth.alphas.clamp_min(1e-10))
    assert torch.equal(all_channels[..., 3:], expected)


@pytest.mark.parametrize('render_mode', ['RGB', 'D', 'ED', 'RGB+D', 'RGB+ED'])
def test_the_differentiable_way_gives_the_live_image(
    engine: NumbaEngine, gaussians: Gaussians, render_mode: str
) -> None:
    backgrounds = torch.tensor([[0.3, 0.2, 0.1]])
    learned = replace(gaussians, means=gaussians.means.clone().requires_grad_())
    a, b = (
        engine.rasterize(g, [camera(96, 96)], render_mode=render_mode, backgrounds=backgrounds)  # type: ignore[arg-type]
        for g in (gaussians, learned)
    )
    assert b.colors.requires_grad
    torch.testing.assert_close(a.colors, b.colors.detach(), atol=1e-6, rtol=1e-6)


def test_simd_and_plain_loops_draw_the_same() -> None:
    gaussians = person(10_000)
    simd, plain = (
        NumbaEngine(simd=s).rasterize(gaussians, [camera(200, 150)], render_mode='RGB+D').colors
        for s in (True, False)
    )
    error = (simd - plain).abs()
    assert torch.quantile(error.flatten(), 0.9999) < 1e-5
    assert error.max() < 5e-3


def test_far_gaussians_beyond_the_far_plane_are_not_drawn(engine: NumbaEngine) -> None:
    view = replace(camera(32, 32), T_camera_world=np.eye(4))
    assert engine.rasterize(one(3, (1, 1, 1)), [view], far_plane=2.9).alphas.max() == 0
    assert engine.rasterize(one(3, (1, 1, 1)), [view], near_plane=3.1).alphas.max() == 0
    assert engine.rasterize(one(-3, (1, 1, 1)), [view]).alphas.max() == 0


def test_module_function_takes_the_engine_or_chooses_one(gaussians: Gaussians) -> None:
    chosen = rasterize(gaussians, [camera(32, 32)], engine=NumbaEngine())
    assert torch.equal(rasterize(gaussians, [camera(32, 32)]).colors, chosen.colors)


def test_bytes_are_clamped_and_rounded() -> None:
    colors = torch.tensor([[[-1.0, 0.0, 0.5, 9.0], [1.0, 2.0, 0.999, 9.0]]])
    np.testing.assert_array_equal(to_rgb8(colors), [[[0, 0, 128], [255, 255, 255]]])
    np.testing.assert_array_equal(to_rgb8(colors[..., :3].numpy()), to_rgb8(colors))


def test_bytes_go_where_they_are_wanted() -> None:
    out = np.zeros((4, 5, 3), np.uint8)
    assert to_rgb8(torch.ones(4, 5, 3), out) is out
    assert out.min() == 255


def test_bytes_of_what_is_not_a_number_are_black() -> None:
    np.testing.assert_array_equal(to_rgb8(torch.tensor([[np.nan, np.inf, -np.inf]])), [[0, 255, 0]])


def test_a_buffer_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r'\(5, 4, 3\); expected a contiguous \(4, 5, 3\)'):
        to_rgb8(torch.ones(4, 5, 3), np.zeros((5, 4, 3), np.uint8))
