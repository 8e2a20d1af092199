# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The rasterizer of triangles agrees with the camera and with closed forms."""

import numpy as np
import pytest

from avatar_ros.geometry import Camera, look_at
from avatar_ros.training.synthetic.mesh_raster import Mesh, TextureSet, draw

QUAD = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
QUAD_FACES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
QUAD_UV = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
WHITE = np.full((4, 4, 4), 255, np.uint8)


def mesh_of(faces, uv, textures=(WHITE,), tested=(False,), surface=None, labels=None):
    count = len(faces)
    surface = np.zeros(count) if surface is None else surface
    labels = np.zeros(count) if labels is None else labels
    return Mesh(
        np.asarray(faces, np.int32),
        np.asarray(uv, np.float32),
        np.asarray(surface, np.int32),
        np.asarray(labels, np.uint8),
        TextureSet.build(textures, tested),
    )


def camera_at(distance=2.0, size=100):
    return Camera.from_fov(size, size, 45.0, T_camera_world=look_at([0, 0, distance], [0, 0, 0]))


def test_area_of_a_square_is_that_of_its_projection():
    camera = camera_at()
    drawn = draw(mesh_of(QUAD_FACES, QUAD_UV), QUAD, np.ones((4, 3)), camera, supersampling=8)
    side = camera.K[0, 0] / 2.0
    assert drawn.coverage.sum() == pytest.approx(side**2, rel=0.005)


def test_centroid_lies_where_the_camera_projects_it():
    camera = Camera.from_fov(90, 70, 40.0, T_camera_world=look_at([0.7, 0.4, 2.5], [0.1, 0.05, 0]))
    small = QUAD * 0.05
    drawn = draw(mesh_of(QUAD_FACES, QUAD_UV), small, np.ones((4, 3)), camera, supersampling=9)
    y, x = np.mgrid[:70, :90] + 0.5
    centroid = [(drawn.coverage * v).sum() / drawn.coverage.sum() for v in (x, y)]
    assert np.allclose(centroid, camera.project(np.zeros((1, 3)))[0], atol=0.05)


def test_image_is_neither_mirrored_nor_upside_down():
    texture = np.full((2, 2, 4), 255, np.uint8)
    texture[..., :3] = [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 255)]]
    mesh = mesh_of(QUAD_FACES, QUAD_UV, [np.repeat(np.repeat(texture, 32, 0), 32, 1)])
    rgb = draw(mesh, QUAD, np.ones((4, 3)), camera_at()).rgb
    assert np.allclose(rgb[40, 40], [1, 0, 0], atol=0.02)
    assert np.allclose(rgb[40, 60], [0, 1, 0], atol=0.02)
    assert np.allclose(rgb[60, 40], [0, 0, 1], atol=0.02)


@pytest.mark.parametrize('first', [0, 1])
def test_the_nearer_triangle_wins_in_any_order(first):
    far = QUAD - [0, 0, 0.5]
    order = [QUAD_FACES, QUAD_FACES + 4]
    faces = np.concatenate([order[first], order[1 - first]])
    near = (faces[:, 0] < 4).astype(int)
    mesh = mesh_of(faces, np.tile(QUAD_UV, (2, 1)), labels=1 + near)
    drawn = draw(mesh, np.concatenate([QUAD, far]), np.ones((8, 3)), camera_at())
    assert drawn.labels[50, 50] == 3


def test_transparent_texels_do_not_exist_where_alpha_is_tested():
    texture = WHITE.repeat(16, 0).repeat(16, 1)
    texture[:, 32:, 3] = 0
    camera = camera_at()
    solid, cut = (
        draw(mesh_of(QUAD_FACES, QUAD_UV, [texture], [t]), QUAD, np.ones((4, 3)), camera)
        for t in (False, True)
    )
    assert cut.coverage.sum() == pytest.approx(solid.coverage.sum() / 2, rel=0.02)
    assert cut.coverage[50, 60] == 0


def test_light_multiplies_linear_colour_and_rim_is_colour_times_coverage():
    drawn = draw(mesh_of(QUAD_FACES, QUAD_UV), QUAD, np.full((4, 3), 0.5), camera_at())
    inside = 0.5 ** (1 / 2.2)
    assert np.allclose(drawn.rgb, inside * drawn.coverage[..., None], atol=1e-4)


def test_no_cracks_between_triangles():
    n = 40
    y, x = np.mgrid[:n, :n] / (n - 1) - 0.5
    rng = np.random.default_rng(0)
    points = np.stack([x, y, rng.normal(scale=0.01, size=x.shape)], -1).reshape(-1, 3)
    a = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + n], 1), np.stack([a + 1, a + n + 1, a + n], 1)])
    drawn = draw(mesh_of(faces, np.zeros((n * n, 2))), points, np.ones((n * n, 3)), camera_at())
    assert drawn.coverage[25:75, 25:75].min() == 1.0


def test_what_reaches_behind_the_camera_is_left_out():
    behind = QUAD + [0, 0, 3]
    drawn = draw(mesh_of(QUAD_FACES, QUAD_UV), behind, np.ones((4, 3)), camera_at())
    assert drawn.coverage.sum() == 0


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match='texture 0 is'):
        TextureSet.build([np.zeros((4, 4, 3), np.uint8)], [False])
    with pytest.raises(ValueError, match='expected 4 of each'):
        draw(mesh_of(QUAD_FACES, QUAD_UV), QUAD[:3], np.ones((3, 3)), camera_at())
