# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The tracker over time: stamps, loss, determinism; and how estimators are plugged in."""

from dataclasses import replace

import numpy as np
import pytest
from made_person import CAMERA, NO_PICTURE, REST, Person, Replay, random_person

from avatar_ros.body.pose import TrackingState
from avatar_ros.body.skeletons import ARKIT_INDEX, SMPLX
from avatar_ros.geometry import R_OPTICAL_SMPL, matrix_from_quat, quat_from_matrix
from avatar_ros.tracking import (
    BodyTracker,
    FaceLandmarks,
    Landmarks,
    TrackerConfig,
    TrackerResult,
    create_estimator,
)
from avatar_ros.tracking.overlay import draw_overlay
from avatar_ros.tracking.tracker import relaxed_quats

_DT_NS = 33_333_333
_PLAIN = TrackerConfig(filtered=False)


def _dance(count: int = 20) -> list[Landmarks]:
    steps = []
    for k in range(count):
        person = Person(yaw=0.02 * k).bend('left_shoulder', (0, 0, 0.05 * k))
        steps.append(Landmarks(person.bend('right_knee', (0.06 * k, 0, 0)).seen()))
    return steps


def _run(tracker: BodyTracker, count: int, start_ns: int = 0) -> list[TrackerResult]:
    return [tracker.process(NO_PICTURE, CAMERA, start_ns + k * _DT_NS) for k in range(count)]


def _assert_same(a: list[TrackerResult], b: list[TrackerResult]) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x.pose.rotations, y.pose.rotations)
        np.testing.assert_array_equal(x.pose.T_frame_root, y.pose.T_frame_root)
        np.testing.assert_array_equal(x.face.weights, y.face.weights)


def test_equal_images_give_equal_poses() -> None:
    first, second = (_run(BodyTracker(Replay(_dance()), REST), 20) for _ in range(2))
    _assert_same(first, second)


def test_a_looped_recording_gives_what_a_fresh_tracker_gives() -> None:
    dance = _dance()
    estimator = Replay(dance + dance)
    tracker = BodyTracker(estimator, REST)
    once, again = _run(tracker, 20), _run(tracker, 20)
    assert (tracker.resets, estimator.resets) == (1, 1)
    _assert_same(once, again)


def test_a_long_gap_starts_afresh() -> None:
    dance = _dance()
    tracker = BodyTracker(Replay(dance[:5] + dance), REST)
    _run(tracker, 5)
    late = _run(tracker, 20, start_ns=60_000_000_000)
    assert tracker.resets == 1
    _assert_same(late, _run(BodyTracker(Replay(dance), REST), 20))


def test_somebody_out_of_sight_is_held_then_fades_then_is_lost() -> None:
    tracker = BodyTracker(Replay([Landmarks(Person().seen())] * 3), REST)
    results = _run(tracker, 3 + 60)
    states = [result.pose.state for result in results]
    unseen_s = (np.arange(len(states)) - 2) * _DT_NS * 1e-9
    hold = tracker.config.hold
    for state, time_s in zip(states, unseen_s, strict=True):
        expected = TrackingState.LOST
        if time_s <= 0:
            expected = TrackingState.TRACKED
        elif time_s <= hold.hold_s:
            expected = TrackingState.HELD
        elif time_s <= hold.hold_s + hold.fade_s:
            expected = TrackingState.FADING
        assert state == expected
    held = next(r.pose for r in results if r.pose.state == TrackingState.HELD)
    np.testing.assert_allclose(held.rotations, results[2].pose.rotations, atol=1e-9)
    assert held.confidence.max() == 0
    rest = relaxed_quats()
    np.testing.assert_allclose(np.abs(np.sum(results[-1].pose.rotations * rest, 1)), 1, atol=1e-6)


def test_whoever_comes_after_a_loss_is_somebody_new() -> None:
    seen = Landmarks(Person().seen())
    tracker = BodyTracker(Replay([seen] * 3 + [Landmarks()] * 60 + [seen] * 3), REST)
    names = [result.pose.person_id for result in _run(tracker, 66)]
    assert names[0] == names[2] == 'person_1'
    assert names[-1] == 'person_2'


def test_nobody_yet_is_lost_and_at_rest() -> None:
    pose = _run(BodyTracker(Replay(), REST), 1)[0].pose
    assert pose.state == TrackingState.LOST
    assert pose.person_id == ''
    assert pose.confidence.max() == 0


@pytest.mark.parametrize('seed', range(5))
def test_exact_landmarks_place_the_root_exactly(seed: int) -> None:
    person = random_person(seed)
    pose = _run(BodyTracker(Replay([Landmarks(person.seen())]), REST, _PLAIN), 1)[0].pose
    assert np.linalg.norm(pose.T_frame_root[:3, 3] - person.T_root[:3, 3]) < 0.05


def test_stamp_frame_and_source_are_those_of_the_image() -> None:
    pose = BodyTracker(Replay(_dance()), REST).process(NO_PICTURE, CAMERA, 123).pose
    assert (pose.stamp_ns, pose.frame_id, pose.source) == (123, 'camera', 'replay')


def test_rotations_are_unit_quaternions_and_the_root_row_is_the_identity() -> None:
    for result in _run(BodyTracker(Replay(_dance()), REST), 20):
        np.testing.assert_allclose(np.linalg.norm(result.pose.rotations, axis=1), 1, atol=1e-9)
        np.testing.assert_allclose(result.pose.rotations[0], [1, 0, 0, 0])


def test_a_hidden_arm_is_held_while_the_other_moves() -> None:
    raised = Person().bend('left_shoulder', (0, 0, 0.8)).seen()
    lowered = (
        Person().bend('left_shoulder', (0, 0, -0.8)).bend('right_shoulder', (0, 0, 0.7)).seen()
    )
    visibility = lowered.visibility.copy()
    visibility[[13, 15, 17, 19, 21]] = 0.1  # left elbow, wrist and hand
    hidden = replace(lowered, visibility=visibility)
    script = [Landmarks(raised)] * 2 + [Landmarks(hidden)] * 3
    before, after = np.array(_run(BodyTracker(Replay(script), REST, _PLAIN), 5), object)[[1, 4]]
    left, right = SMPLX.index['left_shoulder'], SMPLX.index['right_shoulder']
    np.testing.assert_allclose(after.pose.rotations[left], before.pose.rotations[left])
    assert after.pose.confidence[left] == 0
    assert np.abs(after.pose.rotations[right] - before.pose.rotations[right]).max() > 0.1


def test_a_face_gives_weights_by_name_and_the_head() -> None:
    turned = R_OPTICAL_SMPL @ matrix_from_quat(np.array([np.cos(0.2), 0, np.sin(0.2), 0]))
    face = FaceLandmarks(np.zeros((4, 2)), {'jawOpen': 0.7, 'eyeBlinkLeft': 1.0}, turned)
    result = _run(BodyTracker(Replay([Landmarks(Person().seen(), face)]), REST), 1)[0]
    assert result.face.confidence == 1
    assert result.face.weights[ARKIT_INDEX['jawOpen']] == pytest.approx(0.7)
    assert result.face.weights[ARKIT_INDEX['eyeBlinkRight']] == 0
    np.testing.assert_allclose(np.abs(result.face.head @ quat_from_matrix(turned)), 1, atol=1e-9)


def test_an_unseen_face_goes_back_to_neutral() -> None:
    face = FaceLandmarks(np.zeros((4, 2)), {'jawOpen': 1.0}, R_OPTICAL_SMPL)
    results = _run(BodyTracker(Replay([Landmarks(None, face)] * 3), REST), 90)
    mouth = np.array([r.face.weights[ARKIT_INDEX['jawOpen']] for r in results])
    assert mouth[10] == pytest.approx(1.0)
    assert (np.diff(mouth) <= 1e-12).all()
    assert mouth[-1] < 0.05
    assert [r.face.confidence for r in results[2:4]] == [1, 0]


# -- plug-ins --------------------------------------------------------------------------------


def test_an_estimator_of_ones_own_is_named_by_module_and_class() -> None:
    assert isinstance(create_estimator('made_person:Replay'), Replay)


@pytest.mark.parametrize(
    'name', ['nonsense', 'no_such_module:Class', 'made_person:NoSuchClass', 'made_person:']
)
def test_an_estimator_that_is_not_there_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=r'estimator .* cannot be made: .*package\.module:Class'):
        create_estimator(name)


# -- overlay ---------------------------------------------------------------------------------


def test_the_overlay_draws_left_in_orange_and_right_in_blue() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    body = Person().seen()
    overlay = draw_overlay(picture, Landmarks(body), TrackingState.TRACKED, max_side=640)
    for landmark, warm in ((13, True), (14, False), (25, True), (26, False)):
        x, y = np.round(body.pixels[landmark]).astype(int)
        red, _, blue = overlay[y, x].astype(int)
        assert (red > blue) == warm
    assert overlay.shape == picture.shape


def test_the_overlay_is_scaled_down_and_says_when_nobody_is_seen() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    overlay = draw_overlay(picture, Landmarks(), TrackingState.LOST, max_side=320)
    assert overlay.shape == (240, 320, 3)
    assert overlay.any()
