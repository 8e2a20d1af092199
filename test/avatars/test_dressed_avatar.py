# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What must hold for the dressed avatar, which the tracking benchmark draws."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from avatar_ros.avatars import load_avatar, shipped_avatars
from avatar_ros.body import ARKIT_52, SMPLX, FaceExpression, rest_pose
from avatar_ros.body.skeletons import mirrored
from avatar_ros.geometry import Camera, look_at, quat_from_rotvec
from avatar_ros.render import rasterize

#: Face actions of one side; those of the eyes turn the eyeballs.
LEFT = [name for name in ARKIT_52 if 'Left' in name and 'eyeLook' not in name]


def face(**weights: float) -> FaceExpression:
    return FaceExpression('arkit52', ARKIT_52, np.array([weights.get(n, 0.0) for n in ARKIT_52]))


def motion(dressed, expression) -> np.ndarray:
    still = dressed.deform(rest_pose()).means.clone()
    return (dressed.deform(rest_pose(), expression).means - still).numpy()


def joint(dressed, name: str) -> np.ndarray:
    return dressed.bundle.rest_joints[SMPLX.index[name]]


def test_dressed_is_small_enough_to_ship():
    assert shipped_avatars()['dressed'].stat().st_size < 5e6


def test_dressed_is_found_by_name(dressed):
    assert load_avatar('dressed').name == dressed.name == 'dressed'
    assert dressed.bundle.licence == 'CC0-1.0'
    assert 45_000 < len(dressed) < 55_000


def test_dressed_stands_upright_in_metres(dressed):
    means = dressed.deform(rest_pose()).means.numpy()
    low, high = np.quantile(means, [0.0005, 0.9995], axis=0)
    assert 1.6 < high[1] - low[1] < 2.0
    assert 1.5 < high[0] - low[0] < 2.0  # T-pose
    assert abs(dressed.ground_height(rest_pose()) - low[1]) < 0.02
    assert joint(dressed, 'left_wrist')[0] > 0.4  # x is the person's left
    nose = means[np.abs(means[:, 1] - joint(dressed, 'left_eye_smplhf')[1] + 0.03) < 0.02]
    assert nose[np.argmax(nose[:, 2]), 2] > joint(dressed, 'head')[2] + 0.08  # z is forward


@pytest.mark.parametrize('name', ARKIT_52)
def test_every_face_action_moves_the_face_only(dressed, name):
    moved = np.linalg.norm(motion(dressed, face(**{name: 1.0})), axis=1)
    assert moved.max() > 0.001
    rest = dressed.bundle.gaussians.means.numpy()
    far = np.linalg.norm(rest - joint(dressed, 'head') - [0, 0.05, 0.05], axis=1) > 0.2
    assert moved[far].max() < 1e-6


@pytest.mark.parametrize('name', LEFT)
def test_left_action_moves_the_persons_left(dressed, name):
    """And its mirror image the other side, as much."""
    rest_x = dressed.bundle.gaussians.means.numpy()[:, 0]
    left = motion(dressed, face(**{name: 1.0}))
    right = motion(dressed, face(**{mirrored(name): 1.0}))
    if name in ('jawLeft', 'mouthLeft'):  # they push to a side instead of lying on it
        assert left[np.abs(left).max(1) > 1e-3, 0].mean() > 0
        assert right[np.abs(right).max(1) > 1e-3, 0].mean() < 0
        return
    size_left, size_right = (np.linalg.norm(m, axis=1) for m in (left, right))
    assert np.average(rest_x, weights=size_left**2) > 0.005
    assert np.average(rest_x, weights=size_right**2) < -0.005
    assert size_left.max() == pytest.approx(size_right.max(), rel=0.1)


def test_left_mouth_corner_rises_on_the_right_of_the_image(dressed):
    """Seen from the front, the person's left is on the right."""
    head = joint(dressed, 'head') + np.array([0, 0.05, 0.05])
    camera = Camera.from_fov(64, 64, 20, T_camera_world=look_at(head + np.array([0, 0, 1.0]), head))
    moved = motion(dressed, face(mouthSmileLeft=1.0))
    corner = int(np.argmax(moved[:, 1]))
    assert moved[corner, 1] > 0.008
    assert camera.project(dressed.bundle.gaussians.means.numpy()[corner][None])[0, 0] > 32


def test_jaw_opens_downwards_and_lids_close(dressed):
    jaw = motion(dressed, face(jawOpen=1.0))
    assert jaw[:, 1].min() < -0.02
    blink = motion(dressed, face(eyeBlinkLeft=1.0))
    assert blink[:, 1].min() < -0.006


@pytest.mark.parametrize(
    ('left', 'rotvec'),
    [('left_elbow', (0, -1.0, 0)), ('left_knee', (1.0, 0, 0)), ('left_index2', (0, 0, -1.0))],
)
def test_mirrored_pose_gives_the_mirrored_person(dressed, left, rotvec):
    """The Gaussians are not mirror images, but where they are must be."""
    means = []
    for name, sign in ((left, 1.0), (mirrored(left), -1.0)):
        rotations = rest_pose().rotations.copy()
        # Mirrored in x: the components about y and z change sign.
        rotations[SMPLX.index[name]] = quat_from_rotvec(np.array(rotvec) * [1, sign, sign])
        posed = dressed.deform(replace(rest_pose(), rotations=rotations)).means.numpy().copy()
        means.append(posed * [sign, 1, 1])
    low, high = (np.quantile(m, [0.001, 0.5, 0.999], axis=0) for m in means)
    np.testing.assert_allclose(low, high, atol=0.012)


def test_finger_bends_alone(dressed):
    rotations = rest_pose().rotations.copy()
    rotations[SMPLX.index['right_ring1']] = quat_from_rotvec([0, 0, 1.0])
    still = dressed.deform(rest_pose()).means.clone()
    moved = (dressed.deform(replace(rest_pose(), rotations=rotations)).means - still).norm(dim=1)
    rest = dressed.bundle.gaussians.means.numpy()[moved.numpy() > 0.003]
    assert len(rest) > 50
    assert np.linalg.norm(rest - joint(dressed, 'right_ring2'), axis=1).max() < 0.12


def test_dressed_has_no_holes_in_front_of_a_bright_wall(dressed):
    """Seen through the chest, the face and the thighs there is no background."""
    gaussians = dressed.deform(rest_pose())
    for name, size, up in (('spine2', 0.2, 0.0), ('head', 0.08, 0.05), ('left_knee', 0.06, 0.1)):
        target = joint(dressed, name) + np.array([0, up, 0])
        camera = Camera.from_fov(
            96, 96, float(np.degrees(2 * np.arctan(size / 4))),
            T_camera_world=look_at(target + np.array([0, 0, 2.0]), target),
        )  # fmt: skip
        alphas = rasterize(gaussians, [camera]).alphas[0, ..., 0]
        assert float(alphas.min()) > 0.97, name


def test_runtime_does_not_import_the_tools_of_the_workshop():
    program = (
        'import sys, avatar_ros.avatars, avatar_ros.body.model; '
        'print([m for m in ("anny", "warp", "moderngl", "chumpy") if m in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, check=True)
    assert done.stdout.strip() == b'[]'
