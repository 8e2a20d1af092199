# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""hri_msgs/Skeleton2D: what an image tells comes back, what it does not is a bounded guess."""

import encoders as enc
import numpy as np
import pytest
from helpers import asset_or_skip
from truth import REST, Truth, before_the_camera, bent, of_motion

from avatar_ros.body import SMPLX
from avatar_ros.geometry import Camera, angle_between, matrix_from_rotvec, rigid
from avatar_ros.tracking.adapters import PeopleIK, skeleton2d
from benchmarks.motions import load_motion
from benchmarks.trackers import image_errors_mm

STANDING = {
    'left_shoulder': (0, 0, -1.2),
    'right_shoulder': (0, 0, 1.2),
    'left_elbow': (0, -0.3, 0),
    'right_elbow': (0, 0.3, 0),
}
#: Joints whose place no point of the message tells.
UNTOLD = ('left_foot', 'right_foot')
TOLD = [row for row, name in enumerate(SMPLX.joints[:22]) if name not in UNTOLD]


def read(message, camera=enc.CAMERA):
    return PeopleIK(REST).solve(skeleton2d.image_points(message, camera))


def turned(degrees, **joints):
    """A person with these bends, turned about the vertical; at 0 facing the camera."""
    T_root = rigid(matrix_from_rotvec([0, np.radians(degrees), 0]), [0.2, 1.0, 0.3])
    return Truth(bent(**STANDING | joints).quats, T_root)


def degrees_between(R, other):
    return np.degrees(np.arccos(np.clip((np.trace(R.T @ other) - 1) / 2, -1, 1)))


@pytest.mark.parametrize('degrees', [0, 40, -40, 90, 140, 180])
def test_who_stands_is_found_where_he_stands_and_turned_as_he_is(degrees):
    person = turned(degrees)
    pose = read(enc.skeleton2d(person))
    R = enc.TO_OPTICAL @ person.rotation('pelvis')
    assert degrees_between(R, pose.T_frame_root[:3, :3]) < 15
    place = enc.TO_OPTICAL @ person.point('pelvis') + enc.FROM_CAMERA
    np.testing.assert_allclose(pose.T_frame_root[:3, 3], place, atol=0.1)
    assert (pose.frame_id, pose.stamp_ns) == ('camera_optical_frame', enc.STAMP_NS)


@pytest.mark.parametrize('roll', [60, 90, 135, 180, -120])
def test_who_stands_on_his_head_is_not_behind_the_camera(roll):
    R = matrix_from_rotvec([0, 0, np.radians(roll)])
    person = Truth(bent(**STANDING).quats, rigid(R, [0.0, 1.0, 0.3]))
    pose = read(enc.skeleton2d(person))
    place = enc.TO_OPTICAL @ person.point('pelvis') + enc.FROM_CAMERA
    np.testing.assert_allclose(pose.T_frame_root[:3, 3], place, atol=0.1)
    assert degrees_between(enc.TO_OPTICAL @ R, pose.T_frame_root[:3, :3]) < 15


def test_a_deep_bow_seen_from_the_side_is_followed():
    people = []
    for angle in np.radians(np.linspace(0, 120, 31)):
        R = matrix_from_rotvec([0, np.pi / 2, 0]) @ matrix_from_rotvec([angle, 0, 0])
        legs = {'left_hip': (-angle, 0, 0), 'right_hip': (-angle, 0, 0)}
        people.append(Truth(bent(**STANDING | legs).quats, rigid(R, [0.0, 1.0, 0.3])))
    across, along = image_errors_mm(people)
    # The pitch of the pelvis is told by no point of it.
    assert across[:, TOLD].mean(axis=1).max() < 30
    assert along[:, TOLD].mean(axis=1).max() < 30


@pytest.mark.parametrize('degrees', [0, 90, 180])
def test_a_walk_comes_back_within_10_mm_across_the_view(degrees):
    walk = load_motion(asset_or_skip('motions') / 'humanoid3d_walk.txt')
    people = before_the_camera(of_motion(walk, step=1), degrees)
    across, along = image_errors_mm(people)
    assert np.median(across[:, TOLD]) < 10
    assert along[:, TOLD].mean() < 60


@pytest.mark.parametrize('side', ['left', 'right'])
def test_left_and_right_are_never_swapped(side):
    sign = 1.0 if side == 'left' else -1.0
    across, _ = image_errors_mm([turned(0, **{f'{side}_shoulder': (0, 0, sign * 0.6)})])
    assert across[:, TOLD].max() < 40


def test_pixels_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match='pixels, divide'):
        read(enc.skeleton2d(turned(0), unit=640.0))


def test_another_number_of_points_is_refused():
    message = enc.skeleton2d(turned(0))
    message.skeleton.pop()
    with pytest.raises(ValueError, match='17 points; expected 18'):
        read(message)


def test_hips_and_shoulders_must_be_seen_and_apart():
    message = enc.skeleton2d(turned(0))
    message.skeleton[8].c = 0.0
    with pytest.raises(ValueError, match='right_hip not seen'):
        read(message)
    far = enc.skeleton2d(turned(0), unit=0.01)
    with pytest.raises(ValueError, match='Come nearer'):
        read(far)


def test_a_limb_that_is_not_seen_rests_without_confidence():
    message = enc.skeleton2d(turned(0))
    for k in (3, 4):  # right elbow and wrist
        message.skeleton[k].c = 0.0
        message.skeleton[k].x = float('nan')
    pose = read(message)
    assert pose.confidence[SMPLX.index['right_elbow']] == 0
    assert pose.confidence[SMPLX.index['left_elbow']] > 0


def test_a_lens_with_distortion_is_undone():
    bowed = Camera(enc.CAMERA.K, 640, 480, distortion=np.array([-0.2, 0.05, 0, 0]))
    person = turned(0)
    message = enc.skeleton2d(person)
    for point in message.skeleton:
        ray = enc.CAMERA.rays([[point.x * 640, point.y * 480]])[0]
        point.x, point.y = bowed.project(np.array([[*ray, 1.0]]))[0] / [640, 480]
    straight, back = read(enc.skeleton2d(person)), read(message, bowed)
    assert np.degrees(angle_between(straight.rotations, back.rotations)).max() < 1
    np.testing.assert_allclose(straight.T_frame_root, back.T_frame_root, atol=0.01)


def test_the_order_is_that_of_the_constants_of_the_message():
    # Unlike OpenPose's: left eye and ear first.
    points = skeleton2d.image_points(enc.skeleton2d(turned(0)), enc.CAMERA).points
    assert points['left_ear'][0] > points['left_eye'][0] > points['right_eye'][0]
    assert points['left_wrist'][0] > points['right_wrist'][0]
