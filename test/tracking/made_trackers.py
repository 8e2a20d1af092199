# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Made trackers of one made person: how they err, when they are there, what their clocks do."""

import functools
from dataclasses import dataclass, field, replace

import numpy as np

from avatar_ros.body import ARKIT_52, SMPLX, BodyPose, FaceExpression
from avatar_ros.body.pose import TrackingState
from avatar_ros.geometry import (
    R_OPTICAL_SMPL,
    angle_between,
    matrix_from_rotvec,
    quat_from_matrix,
    quat_from_rotvec,
    quat_multiply,
    rigid,
)
from avatar_ros.tracking.fusion import Fusion

FPS = 30.0
RATES = np.random.default_rng(7).uniform(0.5, 2.0, (2, len(SMPLX)))
FINGERS = [i for i, n in enumerate(SMPLX.joints) if n[-1] in '123' and 'spine' not in n]


@functools.cache
def directions(seed: int) -> np.ndarray:
    """A unit vector (55, 3) for every joint."""
    axes = np.random.default_rng(seed).normal(size=(len(SMPLX), 3))
    return axes / np.linalg.norm(axes, axis=1, keepdims=True)


def truth(t_s: float, bias_deg: float = 0.0, seed: int = 0) -> BodyPose:
    """Somebody who moves every joint slowly, as a tracker sees them that errs by `bias_deg`.

    It errs in another direction for every joint, and other trackers (`seed`) in others.
    """
    rates, phases = RATES
    angles = np.radians(15.0) * np.sin(rates * t_s + 6 * phases) * np.sin(0.7 * rates * t_s)
    error = quat_from_rotvec(np.radians(bias_deg) * directions(seed))
    quats = quat_multiply(quat_from_rotvec(directions(7) * angles[:, None]), error)
    quats[0] = [1, 0, 0, 0]
    R = R_OPTICAL_SMPL @ matrix_from_rotvec([0, 0.3 * np.sin(t_s), 0])
    T = rigid(R, [0.3 * np.sin(0.5 * t_s), 0, 3.0])
    pose = BodyPose(SMPLX, T, quats, np.ones(len(SMPLX)), state=TrackingState.TRACKED)
    return replace(pose, frame_id='camera', person_id=f's{seed}', stamp_ns=round(t_s * 1e9))


def face_of(t_s: float, weight: float = 0.5) -> FaceExpression:
    weights = np.full(52, weight)
    return FaceExpression('arkit52', ARKIT_52, weights, stamp_ns=round(t_s * 1e9), person_id='f')


@dataclass
class Tracker:
    """A source: how it errs, when it is there, and what its clock does."""

    name: str
    bias_deg: float = 0.0
    seed: int = 0
    confidence: float = 1.0
    away: tuple[float, float] = (1e9, 1e9)
    lag_s: float = 0.0
    clock_s: float = 0.0
    drift: float = 0.0  # seconds a second
    jitter_s: float = 0.0
    noise_deg: float = 0.0
    rows: list[int] | None = None
    phase_s: float = 0.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    def sample(self, t_s: float) -> BodyPose | None:
        """What arrives at time `t_s` of the receiver."""
        if self.away[0] <= t_s < self.away[1]:
            return None
        pose = truth(t_s - self.lag_s, self.bias_deg, self.seed)
        confidence = np.full(len(SMPLX), self.confidence)
        if self.rows is not None:
            confidence[[i for i in range(len(SMPLX)) if i not in self.rows]] = 0.0
        quats = pose.rotations
        if self.noise_deg:
            noise = self.rng.normal(0, np.radians(self.noise_deg), (len(SMPLX), 3))
            quats = quat_multiply(quats, quat_from_rotvec(noise))
        clock_s = t_s * (1 + self.drift) + self.clock_s
        return replace(pose, confidence=confidence, rotations=quats, stamp_ns=round(clock_s * 1e9))


def run(fusion: Fusion, trackers: list[Tracker], seconds: float, start_s: float = 100.0):
    """Poses that come out, with the times, when the lead's samples set the pace."""
    out = []
    for tracker in trackers:  # noise of their own
        tracker.rng = np.random.default_rng(list(tracker.name.encode()))
    events = sorted(
        (start_s + k / FPS + t.phase_s, i)
        for i, t in enumerate(trackers)
        for k in range(round(seconds * FPS))
    )
    told_s = start_s
    for t_s, i in events:
        tracker = trackers[i]
        pose = tracker.sample(t_s)
        if pose is None:
            continue
        arrived_s = t_s + abs(tracker.rng.normal(0, tracker.jitter_s))
        fusion.add_pose(tracker.name, pose, arrived_s)
        if t_s - told_s > 1.0:
            told_s = t_s
            fusion.estimate_offsets(t_s)
        if tracker.name == fusion.lead(t_s):
            result = fusion.fuse(t_s)
            if result is not None:
                out.append((t_s, result[0]))
    return out


def largest_pop_deg(out) -> float:
    """Largest step of any joint from frame to frame, the root's turn included."""
    joints = np.stack([pose.rotations for _, pose in out])
    roots = quat_from_matrix(np.stack([pose.T_frame_root[:3, :3] for _, pose in out]))
    steps = angle_between(joints[1:], joints[:-1]).max()
    return float(np.degrees(max(steps, angle_between(roots[1:], roots[:-1]).max())))


def error_deg(pose: BodyPose, t_s: float, rows=slice(1, 22)) -> float:
    return float(np.degrees(angle_between(pose.rotations, truth(t_s).rotations)[rows].max()))


EVENTS = {
    'drops out': [Tracker('a', 20, 1, away=(104.0, 1e9)), Tracker('b', 20, 2)],
    'returns': [Tracker('a', 20, 1, away=(103.0, 106.0)), Tracker('b', 20, 2)],
    'comes and goes': [Tracker('a', 20, 1, away=(104.0, 104.7)), Tracker('b', 20, 2)],
    'misses a little': [Tracker('a', 20, 1, away=(104.0, 104.3)), Tracker('b', 20, 2)],
    'is alone and away': [Tracker('a', 20, 1, away=(103.0, 107.0))],
    'lags': [Tracker('a', 20, 1, away=(103.0, 106.0)), Tracker('b', 20, 2, lag_s=0.2)],
    'drifts': [
        Tracker('a', 20, 1, away=(103.0, 106.0)),
        Tracker('b', 20, 2, drift=0.05 / 60),
    ],
    'has another clock': [
        Tracker('a', 20, 1, away=(103.0, 106.0), clock_s=-3600.0),
        Tracker('b', 20, 2, clock_s=1e9),
    ],
    'alternates': [Tracker('a', 20, 1), Tracker('b', 20, 2, phase_s=0.016, noise_deg=0.2)],
    'knows hands only': [
        Tracker('a', 20, 1),
        Tracker('b', 20, 2, rows=FINGERS, away=(103.0, 106.0)),
    ],
}
