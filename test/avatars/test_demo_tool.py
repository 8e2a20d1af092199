# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Laws of the program that makes the demo avatar; running it takes assets and minutes."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

TOOL = Path(__file__).parents[2] / 'tools' / 'make_demo_avatar.py'


@pytest.fixture(scope='module')
def tool():
    if not TOOL.exists():
        pytest.skip('tools/ is not part of an installed package')
    spec = importlib.util.spec_from_file_location('make_demo_avatar', TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_kept_points_keep_their_distance_and_leave_no_gap(tool):
    rng = np.random.default_rng(0)
    points = np.c_[rng.random((3000, 2)), np.zeros(3000)]
    normals = np.tile([0.0, 0.0, 1.0], (3000, 1))
    radius = 0.03 + 0.05 * points[:, 0]
    kept = tool.poisson(points, normals, np.zeros(3000, int), radius)
    distance = np.linalg.norm(points[:, None] - points[None, kept], axis=2)
    to_another = np.where(distance > 0, distance, np.inf)[kept].min(1)
    assert (to_another > 0.03).all()
    assert (distance.min(1) < radius + 1e-9).all()
    assert 50 < kept.sum() < 1000


def test_two_sides_of_a_sheet_are_sampled_each_for_itself(tool):
    points = np.tile(np.random.default_rng(0).random((500, 3)), (2, 1))
    normals = np.repeat([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], 500, axis=0)
    kept = tool.poisson(points, normals, np.zeros(1000, int), np.full(1000, 0.2))
    np.testing.assert_array_equal(kept[:500], kept[500:])


def test_strands_run_along_the_stripes_of_the_texture(tool):
    x = np.arange(256)
    stripes = np.broadcast_to(128 + 100 * np.sin(x / 3.0), (256, 256))
    texture = np.dstack([stripes] * 3 + [np.full((256, 256), 255)]).astype(np.uint8)
    uv = np.full((1, 2), 0.5)
    for image, expected in ((texture, (0, 1)), (texture.transpose(1, 0, 2).copy(), (1, 0))):
        along = np.abs(np.concatenate(tool.strand_direction(image, uv)))
        np.testing.assert_allclose(along, expected, atol=0.05)


def test_texture_is_read_with_v_up(tool):
    image = np.zeros((4, 4, 1), np.float32)
    image[0, 3] = 1.0  # top right
    np.testing.assert_allclose(tool.bilinear(image, np.array([[0.875, 0.875]])), [[1.0]])
    np.testing.assert_allclose(tool.bilinear(image, np.array([[0.875, 0.125]])), [[0.0]])


def test_similarity_of_an_image_with_itself_is_one(tool):
    image = torch.rand(32, 32, 3)
    assert float(tool.ssim(image, image)) == pytest.approx(1.0, abs=1e-5)
    assert float(tool.ssim(image, 1 - image)) < 0.2
