# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from avatar_ros.gaussians import (
    evaluate_sh,
    evaluate_sh_into,
    rgb_from_sh0,
    sh0_from_rgb,
    sh_basis,
    sh_colors,
)

DEGREES = (0, 1, 2, 3)


@pytest.fixture
def directions() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(500, 3, dtype=torch.float64)


def test_basis_is_scipys_real_basis_with_condon_shortley_phase(directions: torch.Tensor) -> None:
    x, y, z = (directions / directions.norm(dim=-1, keepdim=True)).numpy().T
    theta, phi = np.arccos(z), np.arctan2(y, x)
    expected = []
    for degree in DEGREES:
        for order in range(-degree, degree + 1):
            value = sph_harm_y(degree, abs(order), theta, phi)
            if order:
                value = np.sqrt(2) * (value.imag if order < 0 else value.real)
            expected.append(value.real)
    np.testing.assert_allclose(sh_basis(directions, 3).numpy().T, expected, atol=1e-12)


@pytest.mark.parametrize('degree', DEGREES)
def test_lower_degree_is_a_prefix(directions: torch.Tensor, degree: int) -> None:
    terms = (degree + 1) ** 2
    assert torch.equal(sh_basis(directions, degree), sh_basis(directions, 3)[:, :terms])


@pytest.mark.parametrize('degree', DEGREES)
def test_numba_twin_gives_the_same_colors(directions: torch.Tensor, degree: int) -> None:
    coefficients = torch.randn(500, (degree + 1) ** 2, 3)
    eye = np.array([0.1, -2.0, 0.5], np.float32)
    means = directions.float()
    out = np.empty((500, 3), np.float32)
    evaluate_sh_into(coefficients.numpy(), means.numpy(), eye, out)
    expected = evaluate_sh(coefficients, means - torch.from_numpy(eye))
    np.testing.assert_allclose(out, expected.numpy(), atol=3e-6)


def test_length_of_a_direction_does_not_matter(directions: torch.Tensor) -> None:
    coefficients = torch.randn(500, 16, 3, dtype=torch.float64)
    a, b = evaluate_sh(coefficients, directions), evaluate_sh(coefficients, 7 * directions)
    torch.testing.assert_close(a, b)


def test_colors_are_never_negative(directions: torch.Tensor) -> None:
    assert evaluate_sh(torch.full((500, 1, 3), -10.0), directions).min() == 0


def test_gradients_match_finite_differences() -> None:
    torch.manual_seed(1)
    coefficients = (0.1 * torch.randn(4, 16, 3, dtype=torch.float64)).requires_grad_()
    directions = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(evaluate_sh, (coefficients, directions))


def test_rgb_and_degree_zero_are_inverse() -> None:
    rgb = torch.rand(10, 3, dtype=torch.float64)
    torch.testing.assert_close(rgb_from_sh0(sh0_from_rgb(rgb)), rgb)
    torch.testing.assert_close(evaluate_sh(sh0_from_rgb(rgb)[:, None], torch.ones(10, 3)), rgb)


def test_degree_four_is_refused() -> None:
    with pytest.raises(ValueError, match='degree 4; expected 0, 1, 2 or 3'):
        evaluate_sh(torch.zeros(1, 25, 3), torch.ones(1, 3))


@pytest.mark.parametrize('degree', DEGREES)
def test_one_operation_gives_values_and_gradients_of_the_torch_code(degree: int) -> None:
    generator = torch.Generator().manual_seed(degree)
    means = torch.randn(200, 3, generator=generator)
    coefficients = 0.5 * torch.randn(200, (degree + 1) ** 2, 3, generator=generator)
    eyes = torch.randn(2, 3, generator=generator)
    weights = torch.randn(2, 200, 3, generator=generator)
    results = []
    for dtype in (torch.float32, torch.float64):
        leaves = [t.clone().to(dtype).requires_grad_() for t in (coefficients, means)]
        if dtype == torch.float32:
            colors = sh_colors(leaves[0], leaves[1], eyes)
        else:
            colors = torch.stack([evaluate_sh(leaves[0], leaves[1] - eye) for eye in eyes])
        (colors * weights).sum().backward()
        results.append([colors.detach(), leaves[0].grad, leaves[1].grad])
    for found, expected in zip(*results, strict=True):
        assert found is not None
        if expected is None:
            expected = torch.zeros_like(found)  # Degree 0 does not depend on the direction.
        assert (found.double() - expected).norm() <= 1e-5 * expected.norm()
