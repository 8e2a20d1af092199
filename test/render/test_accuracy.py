# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The CPU engine against the float64 reference: images and gradients."""

from dataclasses import replace

import pytest
import torch

from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera
from avatar_ros.render import Engine, NumbaEngine, RasterizeMode, ReferenceEngine
from benchmarks.scene import camera, person

MODES: tuple[RasterizeMode, ...] = ('classic', 'antialiased')
TENSORS = ('means', 'quats', 'scales', 'opacities', 'colors')


def assert_close_images(found: torch.Tensor, expected: torch.Tensor) -> None:
    """The cuts at 1/255 and 1e-4 are jumps: a few pixels may fall on the other side."""
    error = (found.double() - expected).abs()
    assert torch.quantile(error.flatten(), 0.9999) < 1e-4
    assert error.max() < 5e-3
    assert (error.amax(-1) > 1e-3).sum() <= 5


@pytest.mark.parametrize('mode', MODES)
def test_image_alpha_and_depth_match_the_reference(
    engine: NumbaEngine, mode: RasterizeMode
) -> None:
    gaussians, cameras = person(20_000), [camera(256, 256)]
    backgrounds = torch.tensor([[0.2, 0.3, 0.4]])
    found, expected = (
        e.rasterize(
            gaussians,
            cameras,
            render_mode='RGB+D',
            rasterize_mode=mode,
            backgrounds=backgrounds,
        )
        for e in (engine, ReferenceEngine())
    )
    assert found.colors.shape == (1, 256, 256, 4)
    assert found.alphas.shape == (1, 256, 256, 1)
    assert_close_images(found.colors[..., :3], expected.colors[..., :3])
    assert_close_images(found.colors[..., 3:], expected.colors[..., 3:])
    assert_close_images(found.alphas, expected.alphas)


def test_spherical_harmonics_and_odd_image_sizes_match_the_reference(engine: NumbaEngine) -> None:
    gaussians, cameras = person(3_000, sh_degree=3), [camera(131, 67, azimuth=1.0)]
    found, expected = (
        e.rasterize(gaussians, cameras, render_mode='RGB+ED') for e in (engine, ReferenceEngine())
    )
    assert_close_images(found.colors[..., :3], expected.colors[..., :3])
    assert_close_images(found.alphas, expected.alphas)
    solid = expected.alphas[..., 0] > 0.1
    assert_close_images(found.colors[..., 3:][solid], expected.colors[..., 3:][solid])


def test_close_up_with_splats_larger_than_tiles_matches_the_reference(engine: NumbaEngine) -> None:
    gaussians, cameras = person(300, sigma=0.05), [camera(150, 100, fill=6)]
    found, expected = (e.rasterize(gaussians, cameras) for e in (engine, ReferenceEngine()))
    assert_close_images(found.colors, expected.colors)


def loss_weights(width: int, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (2, height, width)
    return (
        torch.randn(*shape, 4, generator=generator, dtype=torch.float64),
        torch.randn(*shape, 1, generator=generator, dtype=torch.float64),
    )


def loss(
    engine: Engine,
    gaussians: Gaussians,
    cameras: list[Camera],
    mode: RasterizeMode,
    backgrounds: torch.Tensor,
) -> torch.Tensor:
    rendered = engine.rasterize(
        gaussians, cameras, render_mode='RGB+D', rasterize_mode=mode, backgrounds=backgrounds
    )
    colors, alphas = loss_weights(cameras[0].width, cameras[0].height)
    return (rendered.colors * colors).sum() + (rendered.alphas * alphas).sum()


def gradients(
    engine: Engine,
    gaussians: Gaussians,
    cameras: list[Camera],
    mode: RasterizeMode,
    dtype: torch.dtype,
) -> dict[str, torch.Tensor]:
    leaves = {name: getattr(gaussians, name).detach().to(dtype) for name in TENSORS}
    leaves['backgrounds'] = torch.tensor([[0.2, 0.3, 0.4], [0.5, 0.1, 0.0]], dtype=dtype)
    for leaf in leaves.values():
        leaf.requires_grad_()
    scene = replace(gaussians, **{name: leaves[name] for name in TENSORS})
    loss(engine, scene, cameras, mode, leaves['backgrounds']).backward()
    grads = {name: leaf.grad for name, leaf in leaves.items()}
    assert all(grad is not None for grad in grads.values())
    return {name: grad.double() for name, grad in grads.items() if grad is not None}


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('fill', [0.97, 3.0])
def test_gradients_match_float64_autograd(
    engine: NumbaEngine, mode: RasterizeMode, fill: float
) -> None:
    gaussians = person(400, sigma=0.03)
    cameras = [camera(96, 64, fill=fill), camera(96, 64, azimuth=1.2, fill=fill)]
    found = gradients(engine, gaussians, cameras, mode, torch.float32)
    expected = gradients(ReferenceEngine(), gaussians, cameras, mode, torch.float64)
    for name, want in expected.items():
        assert (found[name] - want).norm() < 1e-4 * want.norm(), name


@pytest.mark.parametrize('sigma', [0.08, 0.3])
def test_gradients_of_opaque_splats_around_the_image_match_float64_autograd(
    engine: NumbaEngine, sigma: float
) -> None:
    """Alpha clamped at 0.999, and Jacobians clamped outside of the image, pass no gradient.

    Behind a clamped splat, float32 divides differences by 1 - 0.999: hence the wider bound.
    """
    gaussians = person(200, sigma=sigma)
    gaussians = replace(gaussians, opacities=torch.where(gaussians.opacities > 0.7, 1.0, 0.3))
    cameras = [camera(96, 64, fill=8), camera(96, 64, azimuth=1.2, fill=8)]
    found = gradients(engine, gaussians, cameras, 'classic', torch.float32)
    expected = gradients(ReferenceEngine(), gaussians, cameras, 'classic', torch.float64)
    for name, want in expected.items():
        assert (found[name] - want).norm() < 1e-3 * want.norm(), name


def test_gradients_through_spherical_harmonics_match_float64_autograd() -> None:
    gaussians = person(300, sigma=0.03, sh_degree=2)
    cameras = [camera(64, 64), camera(64, 64, azimuth=2.0)]
    found = gradients(NumbaEngine(), gaussians, cameras, 'classic', torch.float32)
    expected = gradients(ReferenceEngine(), gaussians, cameras, 'classic', torch.float64)
    for name, want in expected.items():
        assert (found[name] - want).norm() < 1e-4 * want.norm(), name


def test_gradients_do_not_depend_on_the_number_of_threads() -> None:
    gaussians = person(400, sigma=0.03)
    cameras = [camera(160, 96), camera(160, 96, azimuth=1.2)]
    one, two = (
        gradients(NumbaEngine(threads=n), gaussians, cameras, 'classic', torch.float32)
        for n in (1, 2)
    )
    for name, want in one.items():
        assert (two[name] - want).norm() < 1e-5 * want.norm(), name


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('name', TENSORS)
def test_gradients_match_finite_differences(mode: RasterizeMode, name: str) -> None:
    gaussians = person(60, sigma=0.05)
    cameras = [camera(64, 48), camera(64, 48, azimuth=1.2)]
    found = gradients(NumbaEngine(), gaussians, cameras, mode, torch.float32)[name]
    exact = gaussians.to(dtype=torch.float64)
    backgrounds = torch.tensor([[0.2, 0.3, 0.4], [0.5, 0.1, 0.0]], dtype=torch.float64)
    start = getattr(exact, name)
    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(1)).double()
    step = 1e-7 * direction
    high, low = (
        loss(
            ReferenceEngine(),
            replace(exact, **{name: start + sign * step}),
            cameras,
            mode,
            backgrounds,
        )
        for sign in (1, -1)
    )
    slope = (high - low) / 2e-7
    scale = found.norm() * direction.norm() / len(direction.flatten()) ** 0.5
    assert abs(slope - (found * direction).sum()) < 1e-3 * scale


def test_tensors_of_float64_get_gradients_of_float64() -> None:
    gaussians = person(10).to(dtype=torch.float64)
    means = gaussians.means.clone().requires_grad_()
    NumbaEngine().rasterize(
        replace(gaussians, means=means), [camera(32, 32)]
    ).colors.sum().backward()
    assert means.grad is not None
    assert means.grad.dtype == torch.float64


@pytest.mark.parametrize('mode', MODES)
def test_projection_matches_gsplats_torch_code(mode: RasterizeMode) -> None:
    torch_impl = pytest.importorskip(
        'gsplat.cuda._torch_impl', reason='gsplat is not installed: its projection is the oracle'
    )
    from avatar_ros.render.reference import project

    gaussians, view = person(500, sigma=0.02), camera(128, 128)
    exact = gaussians.to(dtype=torch.float64)
    splats = project(exact, exact.colors, view, 0.3, 0.01, 1e10, mode == 'antialiased')
    covariances, _ = torch_impl._quat_scale_to_covar_preci(
        exact.quats, exact.scales, compute_preci=False
    )
    radii, means2d, depths, conics, compensations = torch_impl._fully_fused_projection(
        exact.means,
        covariances,
        torch.from_numpy(view.T_camera_world)[None],
        torch.from_numpy(view.K)[None],
        view.width,
        view.height,
        calc_compensations=True,
    )
    order = torch.argsort(depths[0].float(), stable=True)
    opacities = gaussians.opacities.double()
    if mode == 'antialiased':
        opacities = opacities * compensations[0]
    kept = order[(opacities[order] >= 1 / 255) & (radii[0, order] > 0).all(-1)]
    torch.testing.assert_close(splats.depths, depths[0, kept], atol=1e-6, rtol=0)
    torch.testing.assert_close(splats.pixels, means2d[0, kept], atol=1e-4, rtol=0)
    torch.testing.assert_close(splats.conics, conics[0, kept], atol=1e-5, rtol=1e-4)
