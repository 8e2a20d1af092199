# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""One person from several trackers: who is believed, that nothing pops, and whose clock is off."""

from dataclasses import replace

import numpy as np
import pytest
from made_trackers import EVENTS, FPS, Tracker, error_deg, face_of, largest_pop_deg, run, truth

from avatar_ros.body import SMPL, SMPLX
from avatar_ros.body.pose import TrackingState
from avatar_ros.geometry import (
    angle_between,
    matrix_from_rotvec,
    quat_from_rotvec,
    rigid,
)
from avatar_ros.tracking.clock_offset import Motion
from avatar_ros.tracking.fusion import Fusion, FusionConfig

POP_DEG = 5.0
OFFSET_TOLERANCE_S = 0.02


# -- laws ------------------------------------------------------------------------------------------


def test_the_made_motion_is_calm_and_its_sources_disagree_by_more_than_a_pop() -> None:
    poses = [(k / FPS, truth(k / FPS)) for k in range(300)]
    assert largest_pop_deg(poses) < 1.5
    apart = angle_between(truth(1.0, 20.0, 1).rotations, truth(1.0, 20.0, 2).rotations)[1:]
    assert np.degrees(apart.max()) > 30


@pytest.mark.parametrize('event', EVENTS)
def test_no_joint_pops_when_a_source(event: str) -> None:
    trackers = [replace(t, rng=np.random.default_rng(1)) for t in EVENTS[event]]
    preferred = {'hands': ['b']} if len(trackers) > 1 else None
    fusion = Fusion([t.name for t in trackers], preferred)
    out = run(fusion, trackers, 10.0)
    assert len(out) > 150
    assert largest_pop_deg(out) < POP_DEG
    stamps = np.array([p.stamp_ns for _, p in out])
    assert (np.diff(stamps) > 0).all()
    assert all(np.isfinite(p.rotations).all() for _, p in out)


def test_after_a_change_the_new_source_is_followed_exactly() -> None:
    trackers = [Tracker('a', 20, 1, away=(104.0, 1e9)), Tracker('b')]
    out = run(Fusion(['a', 'b']), trackers, 10.0)
    t_s, pose = out[-1]
    assert error_deg(pose, t_s) < 0.5
    assert pose.source == 'b'
    assert error_deg(out[60][1], out[60][0]) > 15, 'before that, the other was'


def test_true_fast_motion_is_not_slowed_down() -> None:
    fusion = Fusion(['a'])
    quick = truth(0.0)
    for k in range(60):
        quats = quick.rotations.copy()
        quats[SMPLX.index['left_elbow']] = quat_from_rotvec([0, -1.0 + np.cos(k), 0])
        pose = replace(quick, rotations=quats, stamp_ns=k * 33_000_000)
        fusion.add_pose('a', pose, k * 0.033)
        fused, _ = fusion.fuse(k * 0.033)
        np.testing.assert_allclose(fused.rotations, quats, atol=1e-9)


def test_body_hands_and_face_come_from_whom_they_are_preferred() -> None:
    fusion = Fusion(
        ['cam', 'suit', 'glove'], {'body': ['suit'], 'hands': ['glove'], 'face': ['cam']}
    )
    for k in range(30):
        t_s = 10 + k / FPS
        for name, seed in (('cam', 1), ('suit', 2), ('glove', 3)):
            fusion.add_pose(name, truth(t_s, 10.0, seed), t_s)
        fusion.add_face('cam', face_of(t_s), t_s)
        pose, face = fusion.fuse(t_s)
    owners = fusion.owners()
    assert owners['left_elbow'] == owners['pelvis'] == 'suit'
    assert owners['left_index2'] == owners['right_thumb1'] == 'glove'
    assert owners['jaw'] == 'cam'
    assert pose.source == 'cam+glove+suit'
    assert face.stamp_ns == pose.stamp_ns
    assert face.person_id == pose.person_id == 's2'
    np.testing.assert_allclose(face.weights, 0.5)


def test_confidence_decides_joint_by_joint_and_does_not_flutter() -> None:
    fusion = Fusion(['a', 'b'])
    elbow = SMPLX.index['left_elbow']
    owners = []
    rng = np.random.default_rng(0)
    for k in range(200):
        t_s = 10 + k / FPS
        a, b = truth(t_s, 10, 1), truth(t_s, 10, 2)
        a.confidence[elbow] = 0.3 if 50 < k < 150 else 0.9
        b.confidence[:] = 0.9 * rng.uniform(0.9, 1.0)
        fusion.add_pose('a', a, t_s)
        fusion.add_pose('b', b, t_s)
        fusion.fuse(t_s)
        owners.append(fusion.owners()['left_elbow'])
        assert fusion.owners()['left_knee'] == 'a'
    changes = [k for k in range(1, 200) if owners[k] != owners[k - 1]]
    assert len(changes) == 2
    assert owners[100] == 'b'


def test_a_source_that_lags_gives_way_to_one_that_knows_as_much_sooner() -> None:
    trackers = [Tracker('a', lag_s=0.4), Tracker('b', phase_s=0.01)]
    fusion = Fusion(['a', 'b'], {'body': ['b', 'a']})
    run(fusion, trackers, 12.0)
    assert fusion.owners()['left_elbow'] == 'b'


def test_the_root_of_another_frame_is_carried_over_to_the_first_one() -> None:
    fusion = Fusion(['a', 'b'])
    last = None
    for k in range(200):
        t_s = 10 + k / FPS
        pose = truth(t_s)
        if k < 60:
            fusion.add_pose('a', pose, t_s)
        other = rigid(matrix_from_rotvec([0, 1.0, 0]), [5.0, 0, 0]) @ pose.T_frame_root
        fusion.add_pose('b', replace(pose, T_frame_root=other, frame_id='elsewhere'), t_s)
        fused, _ = fusion.fuse(t_s)
        assert fused.frame_id == 'camera'
        if last is not None:
            assert np.linalg.norm(fused.T_frame_root[:3, 3] - last) < 0.05
        last = fused.T_frame_root[:3, 3]
    assert 'b' in fused.source
    np.testing.assert_allclose(fused.T_frame_root[:3, 3], pose.T_frame_root[:3, 3], atol=0.15)


def test_smpl_and_smplx_are_fused_by_joint_names() -> None:
    fusion = Fusion(['suit', 'glove'])
    shared = [j for j in SMPL.joints if j in SMPLX.index]
    for k in range(20):
        t_s = 10 + k / FPS
        whole = truth(t_s, 5.0, 1)
        quats = np.tile([1.0, 0, 0, 0], (len(SMPL), 1))
        quats[SMPL.rows(shared)] = whole.rotations[SMPLX.rows(shared)]
        small = replace(whole, skeleton=SMPL, rotations=quats, confidence=np.ones(len(SMPL)))
        fusion.add_pose('suit', small, t_s)
        fusion.add_pose('glove', truth(t_s, 5.0, 2), t_s)
        pose, _ = fusion.fuse(t_s)
    assert fusion.owners()['left_elbow'] == 'suit'
    assert fusion.owners()['left_index1'] == 'glove'
    row = SMPLX.index['left_elbow']
    np.testing.assert_allclose(pose.rotations[row], whole.rotations[row], atol=1e-9)


def test_nobody_known_any_more_goes_to_rest_and_says_so() -> None:
    from avatar_ros.tracking.tracker import relaxed_quats

    fusion = Fusion(['a'])
    states, steps, before = [], [], None
    for k in range(300):
        t_s = 10 + k / FPS
        pose = truth(t_s)
        if k > 60:
            lost = np.zeros(len(SMPLX))
            pose = replace(pose, state=TrackingState.LOST, confidence=lost)
        fusion.add_pose('a', pose, t_s)
        fused, _ = fusion.fuse(t_s)
        states.append(fused.state)
        if before is not None:
            steps.append(np.degrees(angle_between(fused.rotations, before).max()))
        before = fused.rotations
    assert max(steps) < POP_DEG
    kept = [s for k, s in enumerate(states) if k == 0 or s != states[k - 1]]
    assert kept == [TrackingState.TRACKED, TrackingState.HELD, TrackingState.LOST]
    np.testing.assert_allclose(np.abs(fused.rotations), np.abs(relaxed_quats()), atol=1e-2)


def test_faces_change_hands_smoothly_and_fade_when_nobody_has_one() -> None:
    fusion = Fusion(['a', 'b'])
    weights = []
    for k in range(300):
        t_s = 10 + k / FPS
        fusion.add_pose('a', truth(t_s), t_s)
        if k < 100:
            fusion.add_face('a', face_of(t_s, 0.9), t_s)
        if k < 200:
            fusion.add_face('b', face_of(t_s, 0.1), t_s)
        weights.append(fusion.fuse(t_s)[1].weights[0])
    assert weights[90] == pytest.approx(0.9)
    assert weights[190] == pytest.approx(0.1, abs=0.01)
    assert weights[-1] == pytest.approx(0.0, abs=0.01)
    assert np.abs(np.diff(weights)).max() < 0.15


# -- clocks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('lag_s', [-0.3, 0.05, 0.2, 0.35])
@pytest.mark.parametrize('clock_s', [7200.0])
def test_lag_and_clock_are_found_from_the_motion(lag_s: float, clock_s: float) -> None:
    trackers = [
        Tracker('a', 10, 1, lag_s=max(0.0, -lag_s), noise_deg=0.2),
        Tracker('b', 10, 2, lag_s=max(0.0, lag_s), clock_s=clock_s, noise_deg=0.2, phase_s=0.011),
    ]
    fusion = Fusion(['a', 'b'])
    run(fusion, trackers, 16.0)
    offset = fusion.estimate_offsets(121.0)['b']
    assert offset.lag_s == pytest.approx(lag_s, abs=OFFSET_TOLERANCE_S)
    assert offset.stamp_s == pytest.approx(lag_s + clock_s, abs=OFFSET_TOLERANCE_S)
    assert offset.correlation > 0.6


@pytest.mark.slow
def test_a_drift_of_50_ms_a_minute_is_followed() -> None:
    trackers = [
        Tracker('a', 10, 1, jitter_s=0.005),
        Tracker('b', 10, 2, drift=0.05 / 60, lag_s=0.1, jitter_s=0.005),
    ]
    fusion = Fusion(['a', 'b'])
    run(fusion, trackers, 60.0, start_s=0.0)
    offset = fusion.estimate_offsets(61.0)['b']
    assert offset.stamp_s == pytest.approx(0.1 + 60 * 0.05 / 60, abs=OFFSET_TOLERANCE_S)
    assert 60e3 * offset.drift == pytest.approx(50.0, abs=15.0)


def test_nothing_is_said_of_clocks_while_nobody_moves_or_sources_contradict() -> None:
    still, other = Fusion(['a', 'b']), Fusion(['a', 'b'])
    rng = np.random.default_rng(0)
    for k in range(300):
        t_s = k / FPS
        for name in 'ab':
            still.add_pose(name, replace(truth(0.0), stamp_ns=k * 33_333_333), t_s)
            random = quat_from_rotvec(rng.normal(0, 0.2, (len(SMPLX), 3)))
            other.add_pose(name, replace(truth(t_s), rotations=random), t_s)
    assert not still.estimate_offsets(10.0)
    found = other.estimate_offsets(10.0)
    assert not found or abs(found['b'].lag_s) < OFFSET_TOLERANCE_S  # the root agrees


def test_a_stamp_that_goes_back_starts_the_clock_afresh() -> None:
    motion = Motion()
    for stamp_s in (10.0, 10.1, 5.0, 5.1):
        motion.add(stamp_s, 100.0 + stamp_s, {'x': np.array([1.0, 0, 0, 0])})
    assert len(motion._velocities) == 1


def test_a_looped_recording_starts_afresh() -> None:
    fusion = Fusion(['a'])
    for start_s in (100.0, 50.0):
        for k in range(5):
            t_s = start_s + k / FPS
            fusion.add_pose('a', truth(t_s, 30.0), t_s)
            pose, _ = fusion.fuse(t_s)
            np.testing.assert_allclose(pose.rotations, truth(t_s, 30.0).rotations, atol=1e-9)
            assert pose.stamp_ns == round(t_s * 1e9)


@pytest.mark.parametrize(
    ('sources', 'preferred'), [([], None), (['a', 'a'], None), (['a'], {'hands': ['glove']})]
)
def test_bad_configurations_are_refused(sources, preferred) -> None:
    with pytest.raises(ValueError, match='expected'):
        Fusion(sources, preferred)


def test_without_a_pose_there_is_nothing() -> None:
    fusion = Fusion(['a'], config=FusionConfig())
    assert fusion.fuse(0.0) is None
    fusion.add_face('a', face_of(0.0), 0.0)
    assert fusion.fuse(0.0) is None
