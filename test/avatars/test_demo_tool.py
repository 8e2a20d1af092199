# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Laws of the program that makes the demo avatar; running it takes assets and minutes."""

from pathlib import Path

import numpy as np
import pytest
import torch

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture(scope='module', autouse=True)
def tools():
    if not TOOLS.exists():
        pytest.skip('tools/ is not part of an installed package')
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield


def test_kept_points_keep_their_distance_and_leave_no_gap():
    from demo_avatar.poisson import poisson

    rng = np.random.default_rng(0)
    points = np.c_[rng.random((3000, 2)), np.zeros(3000)]
    normals = np.tile([0.0, 0.0, 1.0], (3000, 1))
    radius = 0.03 + 0.05 * points[:, 0]
    kept = poisson(points, normals, np.zeros(3000, int), radius)
    distance = np.linalg.norm(points[:, None] - points[None, kept], axis=2)
    to_another = np.where(distance > 0, distance, np.inf)[kept].min(1)
    assert (to_another > 0.03).all()
    assert (distance.min(1) < radius + 1e-9).all()
    assert 50 < kept.sum() < 1000


def test_two_sides_of_a_sheet_are_sampled_each_for_itself():
    from demo_avatar.poisson import poisson

    points = np.tile(np.random.default_rng(0).random((500, 3)), (2, 1))
    normals = np.repeat([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], 500, axis=0)
    kept = poisson(points, normals, np.zeros(1000, int), np.full(1000, 0.2))
    np.testing.assert_array_equal(kept[:500], kept[500:])


def test_strands_run_along_the_stripes_of_the_texture():
    from demo_avatar.surface import strand_direction

    x = np.arange(256)
    stripes = np.broadcast_to(128 + 100 * np.sin(x / 3.0), (256, 256))
    texture = np.dstack([stripes] * 3 + [np.full((256, 256), 255)]).astype(np.uint8)
    uv = np.full((1, 2), 0.5)
    for image, expected in ((texture, (0, 1)), (texture.transpose(1, 0, 2).copy(), (1, 0))):
        along = np.abs(np.concatenate(strand_direction(image, uv)))
        np.testing.assert_allclose(along, expected, atol=0.05)


def test_texture_is_read_with_v_up():
    from demo_avatar.surface import bilinear

    image = np.zeros((4, 4, 1), np.float32)
    image[0, 3] = 1.0  # top right
    np.testing.assert_allclose(bilinear(image, np.array([[0.875, 0.875]])), [[1.0]])
    np.testing.assert_allclose(bilinear(image, np.array([[0.875, 0.125]])), [[0.0]])


def test_similarity_of_an_image_with_itself_is_one():
    from demo_avatar.refinement import ssim

    image = torch.rand(32, 32, 3)
    assert float(ssim(image, image)) == pytest.approx(1.0, abs=1e-5)
    assert float(ssim(image, 1 - image)) < 0.2
