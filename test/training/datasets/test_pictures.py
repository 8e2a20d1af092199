# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Whatever is done to a picture, its camera follows: points lie where it projects them."""

import cv2
import numpy as np
import pytest

from avatar_ros.geometry import Camera, look_at
from avatar_ros.training.capture import Shot
from avatar_ros.training.datasets.pictures import read_parts, read_picture

DISTORTION = np.array([-0.25, 0.08, 0.002, -0.001, 0.01])
#: Far enough apart that dots do not touch, on no regular grid.
POINTS = np.array([[x, y, 0.1 * ((3 * i) % 5)] for i, (x, y) in enumerate(
    (0.22 * a + 0.013 * b, 0.27 * b - 0.017 * a) for a in range(-3, 4) for b in range(-3, 4)
)])  # fmt: skip


def dots(tmp_path, distortion=DISTORTION, width=540, height=960, offset=(0.0, 0.0)):
    """A shot of white dots; a part map of one number a dot."""
    K = np.array([[700.0, 0, 260.3], [0, 710.0, 500.8], [0, 0, 1]])
    T = look_at([0.6, 0.4, 3.2], [*offset, 0.0])
    camera = Camera(K, width, height, T, distortion)
    rgb = np.zeros((height, width), np.uint8)
    parts = np.zeros((height, width), np.uint8)
    for i, (u, v) in enumerate(camera.project(POINTS)):
        # OpenCV has pixel centres at integers, and takes 1/16 pixels.
        at = tuple(round(16 * (x - 0.5)) for x in (u, v))
        cv2.circle(rgb, at, 16 * 4, 255, -1, cv2.LINE_AA, 4)
        cv2.circle(parts, at, 16 * 5, i + 1, -1, cv2.LINE_8, 4)
    mask = np.zeros_like(rgb)
    pixels = camera.project(POINTS)
    low, high = np.floor(pixels.min(0) - 8).astype(int), np.ceil(pixels.max(0) + 8).astype(int)
    mask[max(low[1], 0) : high[1], max(low[0], 0) : high[0]] = 255
    for name, picture in (('image', rgb), ('mask', mask), ('parts', parts)):
        cv2.imwrite(str(tmp_path / f'{name}.png'), picture)
    paths = [tmp_path / f'{name}.png' for name in ('image', 'mask', 'parts')]
    return Shot(0, 'cam', camera, paths[0], paths[1], parts=paths[2])


def middle(grey, at, radius=9):
    """Centre of what is bright around a pixel, in our pixels."""
    x0, y0 = (int(x) - radius for x in at)
    patch = grey[max(y0, 0) : y0 + 2 * radius, max(x0, 0) : x0 + 2 * radius].astype(float)
    ys, xs = np.mgrid[max(y0, 0) : max(y0, 0) + patch.shape[0],
                      max(x0, 0) : max(x0, 0) + patch.shape[1]]  # fmt: skip
    total = patch.sum()
    return np.array([(xs * patch).sum() / total + 0.5, (ys * patch).sum() / total + 0.5])


@pytest.mark.parametrize('crop', [False, True])
@pytest.mark.parametrize('size', [None, 512])
@pytest.mark.parametrize('distortion', [np.zeros(0), DISTORTION], ids=['ideal', 'lens'])
def test_points_lie_where_the_camera_says(tmp_path, crop, size, distortion):
    shot = dots(tmp_path, distortion)
    picture = read_picture(shot, size, crop)
    assert not picture.camera.distortion.size
    assert picture.rgb.shape == (picture.camera.height, picture.camera.width, 3)
    assert picture.mask.shape == picture.rgb.shape[:2]
    if size:
        assert max(picture.mask.shape) == size
    checked = 0
    for pixel in picture.camera.project(POINTS):
        if (pixel > 12).all() and (pixel < np.array(picture.mask.shape[::-1]) - 12).all():
            assert np.abs(middle(picture.rgb[..., 0], pixel) - pixel).max() < 0.6
            checked += 1
    assert checked > 30


@pytest.mark.parametrize('crop', [False, True])
def test_part_maps_have_the_geometry_of_the_picture(tmp_path, crop):
    shot = dots(tmp_path)
    picture = read_picture(shot, 700, crop)
    parts = read_parts(shot, picture)
    assert parts.shape == picture.mask.shape
    checked = 0
    for i, (u, v) in enumerate(picture.camera.project(POINTS)):
        if 2 < u < parts.shape[1] - 2 and 2 < v < parts.shape[0] - 2:
            assert parts[int(v), int(u)] == i + 1
            checked += 1
    assert checked > 30
    assert set(np.unique(parts)) <= set(range(len(POINTS) + 1))


def test_a_crop_is_a_square_with_a_margin_and_may_leave_the_picture(tmp_path):
    shot = dots(tmp_path, np.zeros(0), offset=(0.5, 0.0))
    mask = cv2.imread(str(shot.mask), 0)
    mask[:] = 0
    mask[400:800, 0:60] = 255
    cv2.imwrite(str(shot.mask), mask)
    picture = read_picture(shot, None, True)
    assert picture.mask.shape == (480, 480)
    rows, columns = np.nonzero(picture.mask)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (400, 60)
    assert abs(rows.mean() - 239.5) < 1
    assert abs(columns.mean() - 239.5) < 1


def test_the_picture_is_black_beside_the_mask(tmp_path):
    shot = dots(tmp_path, np.zeros(0))
    cv2.imwrite(str(shot.image), np.full((960, 540, 3), (10, 100, 200), np.uint8))
    picture = read_picture(shot)
    assert not picture.rgb[picture.mask == 0].any()
    assert (picture.rgb[picture.mask == 255] == (200, 100, 10)).all()


def test_alpha_and_labels_are_masks(tmp_path):
    from dataclasses import replace

    shot = dots(tmp_path, np.zeros(0))
    mask = cv2.imread(str(shot.mask), 0)
    cv2.imwrite(str(tmp_path / 'rgba.png'), np.dstack([np.full((960, 540, 3), 9, np.uint8), mask]))
    alpha = read_picture(replace(shot, image=tmp_path / 'rgba.png', mask=None))
    assert np.array_equal(alpha.mask, mask)
    cv2.imwrite(str(tmp_path / 'labels.png'), np.where(mask > 0, 7, 0).astype(np.uint8))
    labels = read_picture(replace(shot, mask=tmp_path / 'labels.png', labels=True))
    assert np.array_equal(labels.mask, mask)
