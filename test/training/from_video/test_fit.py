# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The fit finds a known motion again: from its landmarks, and from its outlines."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar_ros.body.model import free_body
from avatar_ros.body.skeletons import BLAZEPOSE_33, SMPLX
from avatar_ros.geometry import Camera, look_at, matrix_from_rotvec, rigid
from avatar_ros.tracking.rest_landmarks import rest_landmarks
from avatar_ros.training.capture import CaptureError
from avatar_ros.training.from_video.fit import fit_body
from avatar_ros.training.from_video.report import overlap, report, silhouette
from avatar_ros.training.from_video.silhouette import camera_masks, silhouette_loss, spread_points

BETAS = np.array([0.7, -0.6, 0.4])
INSTANTS = 6
BODY = SMPLX.rows(SMPLX.joints[:22])


@pytest.fixture(scope='module')
def model():
    return free_body('smplx')


def cameras(count=3, size=(300, 400)):
    """A ring 3.5 m around a person at the origin."""
    return [
        Camera.from_fov(
            *size, 40.0, T_camera_world=look_at([3.5 * np.sin(a), 0.3, 3.5 * np.cos(a)], [0, 0, 0])
        )
        for a in 2 * np.pi * np.arange(count) / count
    ]


@pytest.fixture(scope='module')
def truth(model):
    """Landmarks (T, 33, 3), joints (T, 55, 3) and vertices of a person who waves and steps."""
    joints = model.rest_joints(BETAS)
    rest = rest_landmarks(joints, model.rest_vertices(BETAS), model.weights)
    landmarks, places, meshes = [], [], []
    for t in range(INSTANTS):
        rotvecs = np.zeros((55, 3))
        s = t / INSTANTS
        for name, turn in (
            ('pelvis', (0.1, 0.4 * s, 0.05)),
            ('spine2', (0.1, 0.2 * s, 0.0)),
            ('left_shoulder', (0.1, -0.2, -1.0 + 0.5 * s)),
            ('right_shoulder', (0.0, 0.3, 0.9)),
            ('left_elbow', (0.0, -0.9 * s - 0.3, 0.0)),
            ('right_elbow', (0.0, 0.6, 0.0)),
            ('left_hip', (-0.5 * s, 0.0, 0.1)),
            ('left_knee', (0.8 * s + 0.1, 0.0, 0.0)),
            ('right_hip', (-0.1, 0.0, -0.1)),
            ('right_knee', (0.2, 0.0, 0.0)),
        ):
            rotvecs[SMPLX.index[name]] = turn
        transl = np.array([0.1 * s, 0.02, 0.05 * s])
        vertices, posed = model.vertices(rotvecs, BETAS, translation=transl)
        T = np.zeros((55, 4, 4))
        turns = np.zeros((55, 3, 3))
        for j, parent in enumerate(SMPLX.parents):
            R = matrix_from_rotvec(rotvecs[j])
            turns[j] = turns[parent] @ R if j else R
            T[j] = rigid(turns[j], posed[j])
        landmarks.append(rest.posed(T))
        places.append(posed)
        meshes.append(vertices)
    return np.array(landmarks), np.array(places), np.array(meshes)


def seen_by(views, landmarks):
    pixels = np.array([[camera.project(points) for points in landmarks] for camera in views])
    return pixels, np.ones(pixels.shape[:3])


def joint_error(model, fit, places):
    found = [
        model.vertices(fit.rotvecs[t], fit.betas, translation=fit.translations[t])[1]
        for t in range(len(places))
    ]
    return np.linalg.norm(np.array(found) - places, axis=2)[:, BODY]


def test_exact_landmarks_give_the_joints(model, truth):
    landmarks, places, _ = truth
    views = cameras()
    fit = fit_body(model, views, *seen_by(views, landmarks), landmarks, progress=False)
    error = joint_error(model, fit, places)
    assert error.mean() < 0.010
    assert np.percentile(error, 95) < 0.015
    assert (fit.error_px < 1.0).all()
    assert fit.rotvecs.shape == (INSTANTS, 55, 3)
    assert not fit.shift_px.any()


def test_a_camera_that_sees_nobody_does_not_matter(model, truth):
    landmarks, places, _ = truth
    views = cameras(4)
    pixels, visibility = seen_by(views, landmarks)
    pixels[3], visibility[3] = np.nan, 0.0
    pixels[1, 2] = np.nan
    fit = fit_body(model, views, pixels, visibility, landmarks, iterations=250, progress=False)
    assert np.isfinite(fit.rotvecs).all()
    assert joint_error(model, fit, places).mean() < 0.015


def test_one_camera_keeps_the_shape_of_the_motion(model, truth):
    landmarks, places, _ = truth
    views = cameras(1)
    fit = fit_body(model, views, *seen_by(views, landmarks), landmarks, iterations=250,
                   progress=False)  # fmt: skip
    found = np.array([
        model.vertices(fit.rotvecs[t], fit.betas, translation=fit.translations[t])[1]
        for t in range(INSTANTS)
    ])  # fmt: skip
    relative = (found - found[:, :1]) - (places - places[:, :1])
    assert np.linalg.norm(relative, axis=2)[:, BODY].mean() < 0.03


def test_outlines_and_several_cameras_find_a_wrong_principal_point(model, truth):
    landmarks, _, meshes = truth
    views = cameras(4)
    pixels, visibility = seen_by(views, landmarks)
    masks = [[silhouette(c, mesh, model.faces) for mesh in meshes] for c in views]
    K = views[1].K.copy()
    K[:2, 2] -= (6.0, -3.0)
    wrong = [views[0], replace(views[1], K=K), *views[2:]]
    outlines = [camera_masks(c, m) for c, m in zip(wrong, masks, strict=True)]
    fit = fit_body(
        model, wrong, pixels, visibility, landmarks, outlines, 200, 60, True, False
    )  # fmt: skip
    # A step of the body moves all cameras' views up together, and opposite ones to opposite sides:
    # what is left of the shifts beside that is known.
    u, v = fit.shift_px.T
    assert abs(u[1] + u[3] - 6.0) < 1.0
    assert abs(v[1] - np.delete(v, 1).mean() + 3.0) < 1.0
    assert fit.error_px.max() < 1.0
    moved = [replace(c, K=c.K + [[0, 0, u], [0, 0, v], [0, 0, 0]])
             for c, (u, v) in zip(wrong, fit.shift_px, strict=True)]  # fmt: skip
    rows = report('abcd', moved, model, fit, masks, instants=2)
    assert min(row.mask_iou for row in rows) > 0.85
    assert rows[1].shift_px == tuple(fit.shift_px[1])
    assert 'mm' in str(rows[0])


def test_the_silhouette_loss_is_least_on_the_mask(model, truth):
    _, _, meshes = truth
    camera = cameras(1)[0]
    masks = camera_masks(camera, [silhouette(camera, meshes[0], model.faces), None])
    rows = spread_points(meshes[0], 700)
    pixels = torch.from_numpy(camera.project(meshes[0][rows]))[None]

    def loss(shift, instant=0):
        moved = (pixels + torch.tensor(shift)).requires_grad_()
        value = silhouette_loss(masks, torch.tensor([instant]), moved, 1.0)
        value.backward()
        return value.item(), moved.grad.sum((0, 1))

    here, _ = loss([0.0, 0.0])
    for shift in ([8.0, 0.0], [-8.0, 0.0], [0.0, 8.0], [0.0, -8.0]):
        there, slope = loss(shift)
        assert there > here + 0.05
        assert float(slope @ torch.tensor(shift, dtype=slope.dtype)) > 0  # downhill is back
    assert loss([0.0, 0.0], 1)[0] == 0  # nobody is seen


def test_overlap_of_a_silhouette_with_itself(model, truth):
    camera = cameras(1)[0]
    mask = silhouette(camera, truth[2][0], model.faces)
    assert overlap(mask, mask) == 1
    assert overlap(mask, np.zeros_like(mask)) == 0
    # Behind the camera there is nothing to see.
    assert not silhouette(camera, truth[2][0] + [0, 0, 20], model.faces).any()


def test_the_model_must_have_hands_and_feet(truth):
    views = cameras(2)
    with pytest.raises(CaptureError, match='SMPL-X'):
        fit_body(free_body('smpl'), views, *seen_by(views, truth[0]), truth[0], progress=False)
    assert truth[0].shape[1] == len(BLAZEPOSE_33)
