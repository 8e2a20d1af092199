# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
import yaml

from avatar_ros import geometry as g

RNG = np.random.default_rng(0)


def lens() -> g.Camera:
    K = np.array([[600.0, 0, 322], [0, 610, 238], [0, 0, 1]])
    return g.Camera(K, 640, 480, distortion=np.array([-0.2, 0.05, 0.001, -0.002, 0.01]))


def test_rays_undo_the_projection_lens_distortion_included():
    points = np.column_stack([RNG.uniform(-0.4, 0.4, (50, 2)), np.ones(50)]) * RNG.uniform(
        1, 4, (50, 1)
    )
    for camera in (lens(), g.Camera.from_fov(640, 480, 50)):
        rays = camera.rays(camera.project(points))
        np.testing.assert_allclose(rays, points[:, :2] / points[:, 2:], atol=2e-4)


def test_look_at_puts_the_target_in_the_middle_and_up_is_up():
    camera = g.Camera.from_fov(200, 100, 40).at(g.look_at((3, 2, 1), (0, 0, 0.5), (0, 0, 1)))
    np.testing.assert_allclose(camera.project([[0, 0, 0.5]]), [[100, 50]], atol=1e-9)
    above = camera.project([[0, 0, 0.8]])[0]
    assert above[1] < 50
    np.testing.assert_allclose(camera.position, [3, 2, 1], atol=1e-12)


def test_scaling_the_image_scales_the_pixels():
    camera = g.Camera.from_fov(640, 480, 50)
    points = np.array([[0.1, 0.2, 2.0], [-0.3, 0.1, 1.5]])
    np.testing.assert_allclose(
        camera.scaled(320, 120).project(points), camera.project(points) * [0.5, 0.25]
    )


def test_rigid_inverse_and_composition():
    T = g.rigid(g.matrix_from_rotvec([0.3, -0.2, 0.5]), [1, 2, 3])
    points = RNG.normal(size=(10, 3))
    back = g.transform_points(g.invert_rigid(T), g.transform_points(T, points))
    np.testing.assert_allclose(back, points, atol=1e-12)


def test_a_person_who_faces_the_camera_has_his_left_on_the_image_right():
    left_hand = g.R_OPTICAL_SMPL @ np.array([1.0, 0, 0]) + [0, 0, 3]
    pixel = g.Camera.from_fov(100, 100, 60).project([left_hand])[0]
    assert pixel[0] > 50


def test_axes_are_proper_rotations_that_agree():
    for R in (g.R_OPTICAL_ROS, g.R_ROS_SMPL, g.R_OPTICAL_SMPL):
        assert np.linalg.det(R) == pytest.approx(1.0)
    # REP-103: forward of the body axes is the optical axis
    np.testing.assert_array_equal(g.R_OPTICAL_ROS @ [1, 0, 0], [0, 0, 1])
    np.testing.assert_array_equal(g.R_ROS_SMPL @ [0, 0, 1], [1, 0, 0])


@pytest.mark.parametrize('fx', [0.0, -5.0, float('nan')])
def test_camera_that_was_never_calibrated_is_refused(fx):
    with pytest.raises(ValueError, match=r'not calibrated.*camera_calibration'):
        g.Camera(np.array([[fx, 0, 1], [0, 1, 1], [0, 0, 1.0]]), 2, 2)


def calibration(**changes):
    content = {
        'image_width': 640,
        'image_height': 480,
        'camera_name': 'cam',
        'camera_matrix': {'rows': 3, 'cols': 3, 'data': [600, 0, 320, 0, 600, 240, 0, 0, 1]},
        'distortion_model': 'plumb_bob',
        'distortion_coefficients': {'rows': 1, 'cols': 5, 'data': [0.1, 0, 0, 0, 0]},
    }
    return {**content, **changes}


def test_standard_calibration_file_is_read(tmp_path):
    path = tmp_path / 'cam.yaml'
    path.write_text(yaml.safe_dump(calibration()))
    camera = g.load_camera_yaml(path, 'cam_optical')
    assert (camera.width, camera.height, camera.frame_id) == (640, 480, 'cam_optical')
    np.testing.assert_allclose(camera.K[:2, 2], [320.5, 240.5])


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'camera_matrix': {'data': [0] * 9}}, 'not calibrated'),
        ({'camera_matrix': {'data': [1, 2]}}, 'camera_matrix.data'),
        ({'distortion_model': 'equidistant'}, 'distortion_model'),
        ({'image_width': None}, 'image_width'),
    ],
)
def test_broken_calibration_file_says_what_is_wrong(tmp_path, changes, text):
    path = tmp_path / 'cam.yaml'
    path.write_text(yaml.safe_dump(calibration(**changes)))
    with pytest.raises(ValueError, match=text):
        g.load_camera_yaml(path)
