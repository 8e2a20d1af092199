# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The real estimator on renders of the demo avatar: nothing is mirrored, truth is met."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from helpers import asset_or_skip

from avatar_ros.body import ARKIT_52, BodyPose, FaceExpression
from avatar_ros.body.skeletons import ARKIT_INDEX, SIDES, SMPLX
from avatar_ros.geometry import R_OPTICAL_SMPL, Camera, matrix_from_quat, quat_from_rotvec, rigid
from avatar_ros.tracking import BodyTracker, TrackerConfig, TrackerResult
from avatar_ros.tracking.mediapipe_estimator import MediaPipeEstimator
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.tracking.tracker import relaxed_quats
from avatar_ros.training.from_video.multiview import frames, load_cameras
from avatar_ros.types import Image
from benchmarks.motions import load_motion
from benchmarks.tracking_real import jitter, lag_ms, tracked
from benchmarks.tracking_renders import (
    Scene,
    Studio,
    gestures,
    joint_errors,
    root_error,
    track_scene,
)

_CAMERA = Camera.from_fov(640, 480, 45.0)
_CLOSE = Camera.from_fov(480, 480, 30.0)


@pytest.fixture(scope='module')
def studio() -> Studio:
    return Studio(_CAMERA)


@pytest.fixture(scope='module')
def estimator() -> Iterator[MediaPipeEstimator]:
    pytest.importorskip('mediapipe')
    made = MediaPipeEstimator(face=False, hands=False)
    yield made
    made.close()


@pytest.fixture(scope='module')
def face_estimator() -> Iterator[MediaPipeEstimator]:
    pytest.importorskip('mediapipe')
    asset_or_skip('face_landmarker.task')
    made = MediaPipeEstimator(face=True, hands=False)
    yield made
    made.close()


def _standing(at: tuple[float, float, float] = (0.0, 0.0, 3.0)) -> BodyPose:
    T = rigid(R_OPTICAL_SMPL, np.array(at))
    return BodyPose(SMPLX, T, relaxed_quats(), np.ones(len(SMPLX)))


def _with_arm_raised(side: str) -> BodyPose:
    pose = _standing()
    sign = 1.0 if side == 'left' else -1.0
    pose.rotations[SMPLX.index[f'{side}_shoulder']] = quat_from_rotvec(np.array([0, 0, sign * 0.9]))
    return pose


def _track(estimator: MediaPipeEstimator, picture: Image, camera: Camera) -> TrackerResult:
    tracker = BodyTracker(estimator, free_rest_landmarks(), TrackerConfig(filtered=False))
    tracker.reset()
    for k in range(3):  # the face is looked for where the body was in the image before
        result = tracker.process(picture, camera, k * 33_000_000)
    return result


def _upper_arm_height(result: TrackerResult, side: str) -> float:
    """How far the upper arm points up, -1..1: read off the pose, not off the landmarks."""
    R = R_OPTICAL_SMPL @ result.pose.T_frame_root[:3, :3]
    for joint in ('spine1', 'spine2', 'spine3', f'{side}_collar', f'{side}_shoulder'):
        R = R @ matrix_from_quat(result.pose.rotation(joint))
    return float((R @ [1.0 if side == 'left' else -1.0, 0, 0])[1])


@pytest.mark.parametrize('side', SIDES)
@pytest.mark.parametrize('mirrored', [False, True])
def test_the_arm_that_is_raised_is_the_one_that_is_tracked(
    studio: Studio, estimator: MediaPipeEstimator, side: str, mirrored: bool
) -> None:
    picture = studio.picture(_with_arm_raised(side))
    other = 'right' if side == 'left' else 'left'
    raised, hanging = side, other
    if mirrored:
        picture, raised, hanging = np.ascontiguousarray(picture[:, ::-1]), other, side
    result = _track(estimator, picture, _CAMERA)
    assert _upper_arm_height(result, raised) > 0.3
    assert _upper_arm_height(result, hanging) < -0.3


def _face_picture(studio: Studio, weights: dict[str, float]) -> Image:
    head = free_rest_landmarks().joints[SMPLX.index['head']]
    pose = _standing((0.0, float(head[1] - free_rest_landmarks().joints[0, 1]) + 0.05, 1.1))
    vector = np.zeros(len(ARKIT_52))
    for name, weight in weights.items():
        vector[ARKIT_INDEX[name]] = weight
    close = _with_camera(studio, _CLOSE)
    return close.picture(pose, FaceExpression('arkit52', ARKIT_52, vector))


def _with_camera(studio: Studio, camera: Camera) -> Studio:
    close = Studio(camera)
    close.avatar = studio.avatar
    return close


@pytest.mark.parametrize('side', ['Left', 'Right'])
@pytest.mark.parametrize('action', ['mouthSmile', 'eyeBlink'])
def test_the_side_of_the_face_that_moves_is_the_one_that_is_tracked(
    studio: Studio, face_estimator: MediaPipeEstimator, action: str, side: str
) -> None:
    other = 'Right' if side == 'Left' else 'Left'

    def scores(picture: Image) -> np.ndarray:
        face = _track(face_estimator, picture, _CLOSE).face
        assert face.confidence == 1
        return np.array([face.weights[ARKIT_INDEX[f'{action}{s}']] for s in (side, other)])

    neutral = scores(_face_picture(studio, {}))
    acting = _face_picture(studio, {f'{action}{side}': 1.0})
    moved, still = scores(acting) - neutral
    assert moved > still + 0.05
    mirrored_still, mirrored_moved = scores(np.ascontiguousarray(acting[:, ::-1])) - neutral
    assert mirrored_moved > mirrored_still + 0.05


def test_somebody_beside_the_axis_is_not_turned(
    studio: Studio, estimator: MediaPipeEstimator
) -> None:
    wide = Camera.from_fov(960, 480, 45.0)
    beside = _with_camera(studio, wide)
    turns = []
    for across in (-1.3, 1.3):
        pose = _standing((across, 0.0, 3.2))
        result = _track(estimator, beside.picture(pose), wide)
        R = result.pose.T_frame_root[:3, :3] @ pose.T_frame_root[:3, :3].T
        turns.append(np.degrees(np.arctan2(R[0, 2], R[2, 2])))
    assert abs(turns[1] - turns[0]) / 2 < 8  # the viewing ray is 22 degrees off the axis


def test_a_walk_is_followed(studio: Studio, estimator: MediaPipeEstimator) -> None:
    walk = load_motion(asset_or_skip('motions') / 'humanoid3d_walk.txt')
    samples = [
        sample
        for azimuth in (0, 40, 180)
        for sample in track_scene(studio, Scene(walk, 2, azimuth, 0.0, 3.0), estimator)
    ]
    assert all(sample.landmarks.body is not None for sample in samples)
    errors = np.array([joint_errors(studio, sample) for sample in samples])
    assert errors[:, 0].mean() < 80  # mm; the estimator's own landmarks are no better
    assert np.median([np.linalg.norm(root_error(sample)) for sample in samples]) < 30


def test_someone_who_stands_and_waves_is_followed_within_50_mm(
    studio: Studio, estimator: MediaPipeEstimator
) -> None:
    samples = [
        sample
        for scene in list(gestures())[::3]
        for sample in track_scene(studio, scene, estimator)
    ]
    assert all(sample.landmarks.body is not None for sample in samples)
    assert np.mean([joint_errors(studio, sample)[0] for sample in samples]) < 50


def test_an_empty_picture_shows_nobody(estimator: MediaPipeEstimator) -> None:
    result = _track(estimator, np.full((480, 640, 3), 128, np.uint8), _CAMERA)
    assert result.landmarks.body is None
    assert result.pose.confidence.max() == 0


def test_a_model_that_is_not_in_the_wheel_is_refused() -> None:
    with pytest.raises(ValueError, match='model_complexity is 2'):
        MediaPipeEstimator(model_complexity=2)


def test_the_filter_halves_the_jitter_of_a_real_video_and_hardly_delays_it(
    estimator: MediaPipeEstimator,
) -> None:
    asset_or_skip('body_cam01.mp4')
    camera = load_cameras(asset_or_skip('body_calibration.qca.txt'))['cam01'].scaled(540, 960)
    estimator.reset()
    small = [cv2.resize(rgb, (540, 960)) for rgb in frames('body_cam01.mp4')]
    seen = [estimator.estimate(rgb, camera) for rgb in small]
    filtered, plain = (
        np.array([joints for joints, _ in tracked(seen, camera, TrackerConfig(filtered=on))])
        for on in (True, False)
    )
    assert jitter(filtered) < 0.5 * jitter(plain)
    assert lag_ms(filtered, plain) < 35


def test_after_a_reset_the_same_images_give_the_same_landmarks(
    studio: Studio, estimator: MediaPipeEstimator
) -> None:
    pictures = [studio.picture(_standing((0.1 * k, 0.0, 3.0))) for k in range(4)]
    runs = []
    for _ in range(2):
        estimator.reset()
        bodies = [estimator.estimate(picture, _CAMERA).body for picture in pictures]
        runs.append([body.world for body in bodies if body is not None])
    np.testing.assert_array_equal(*runs)
