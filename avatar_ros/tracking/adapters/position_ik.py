# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics for sources that give points and no rotations.

The closed form of `tracking.body_ik` needs MediaPipe's 33 landmarks. Here any set of named points
will do (`point_solver`). Bones have the lengths of the tracked person, the median of what was seen.
It starts from the pose before.
"""

from collections import deque

import numpy as np

from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.body.pose import IDENTITY_QUAT, TrackingState
from avatar_ros.geometry import quat_from_matrix, rigid, rotvec_from_matrix
from avatar_ros.tracking.adapters.plausible import check_person
from avatar_ros.tracking.adapters.point_solver import (
    ABOVE,
    PointSolver,
    Solution,
    rest_offsets,
    without_side,
)
from avatar_ros.tracking.adapters.points import (
    BODY_JOINTS,
    Attachment,
    NamedPoints,
    SeenPoints,
    attachment,
)
from avatar_ros.tracking.rest_landmarks import RestLandmarks
from avatar_ros.types import Array, FloatArray

_J = len(BODY_JOINTS)
_PARENTS = SMPLX.parents[:_J]
_LENGTHS_KEPT = 61
_LOST_M = 0.05  # a mean error of this much, and the solver starts afresh
#: So does it, to keep what fits better, after a gap and where the trunk has turned at once: limbs
#: that were carried along may fit as well with half a turn about themselves.
_GAP_NS, _TURNED_RAD = 250_000_000, 0.6


class PositionIK:
    """One person. Stateful in the bone lengths and the last pose; `reset` forgets both."""

    def __init__(self, body: RestLandmarks, skeleton: RestLandmarks | None = None) -> None:
        """:param skeleton: of the tracker that sends the points; None if it is the body's."""
        self.skeleton = skeleton
        self._rest = rest = skeleton or body
        self._to_pelvis = _hips_to_pelvis(body) - _hips_to_pelvis(rest)
        self._offset = rest_offsets(rest.joints)
        self._attachments: dict[str, Attachment] = {}
        self.reset()

    def reset(self) -> None:
        """Forget the person."""
        self._ratios: dict[str, deque[float]] = {}
        self._last: Solution | None = None
        self._trunk: FloatArray = np.eye(3)
        self._stamp_ns = 0
        self.error_m = 0.0
        """Mean distance of the points from where the pose puts them, at the last call."""

    def __call__(self, seen: NamedPoints) -> BodyPose:
        """Pose in the frame of the points, with the size of the person taken out.

        :raises ValueError: if the points are no person (see `check_person`).
        """
        check_person(seen)
        names = [name for name in seen.points if seen.weight(name) > 0]
        for name in names:
            if name not in self._attachments:
                self._attachments[name] = attachment(name, self._rest)
        attached = [self._attachments[name] for name in names]
        carriers = np.array([a.carrier for a in attached])
        target = np.array([seen.points[name] for name in names], dtype=float)
        weight = np.array([seen.weight(name) for name in names])
        scale, offset = self._learn_lengths(seen)
        local = np.array([a.rest for a in attached]) - self._rest.joints[carriers]
        for k, name in enumerate(names):  # a joint that hangs on its parent has its bone's length
            row = SMPLX.index.get(name, _J)
            local[k] = 0.0 if row < _J else scale * local[k]
        solver = PointSolver(offset, carriers, local, target, weight)
        start = _aligned(solver)
        turned = float(np.linalg.norm(rotvec_from_matrix(self._trunk.T @ start[0][0])))
        sure = seen.stamp_ns - self._stamp_ns < _GAP_NS and turned < _TURNED_RAD
        self._last = found = self._solve(solver, start, sure)
        self.error_m = found.error_m
        self._trunk, self._stamp_ns = start[0][0], seen.stamp_ns
        return pose_of(found, seen, carriers, local, weight, self._to_pelvis)

    def _solve(
        self, solver: PointSolver, start: tuple[FloatArray, FloatArray], sure: bool
    ) -> Solution:
        """From the pose before, if it is `sure` to be near, or else what fits better."""
        found = self._last and solver.solve(self._last.R, self._last.t, steps=12)
        if found is not None and sure and found.error_m < _LOST_M:
            return found
        fresh = solver.fresh(*start)
        return fresh if found is None or fresh.cost < found.cost else found

    def _learn_lengths(self, seen: NamedPoints) -> tuple[float, FloatArray]:
        """Size of the person against the rest body, and the bones (22, 3) of this person."""
        rest, index = self._rest.joints, SMPLX.index
        for a, b in _MEASURED:
            if seen.weight(a) > 0.5 and seen.weight(b) > 0.5:
                length = float(np.linalg.norm(seen.points[b] - seen.points[a]))
                ratio = length / float(np.linalg.norm(rest[index[b]] - rest[index[a]]))
                key = without_side(a) + without_side(b)  # people are as long left as right
                self._ratios.setdefault(key, deque(maxlen=_LENGTHS_KEPT)).append(
                    float(np.clip(ratio, 0.4, 2.5))
                )
        medians = {key: float(np.median(values)) for key, values in self._ratios.items()}
        scale = float(np.median(list(medians.values()))) if medians else 1.0
        offset = self._offset.copy()
        for row in range(1, _J):
            parent = BODY_JOINTS[_PARENTS[row]]
            key = without_side(parent) + without_side(BODY_JOINTS[row])
            offset[row] *= medians.get(key, scale)
        return scale, offset


def pose_of(
    found: Solution,
    seen: SeenPoints,
    carriers: Array,
    local: FloatArray,
    weight: FloatArray,
    to_pelvis: FloatArray,
) -> BodyPose:
    """What was found as a pose: joints that no point tells are at rest, without confidence.

    :param to_pelvis: (3,) from the solver's root to the pelvis, in the root's axes.
    """
    quats = np.tile(IDENTITY_QUAT, (len(SMPLX), 1))
    quats[1:_J] = quat_from_matrix(found.R[1:])
    # A joint is as sure as the surest point that it moves, and that lies off its centre.
    moves = ABOVE[carriers]
    at_centre = np.linalg.norm(local, axis=1) < 0.01
    moves[np.arange(len(carriers))[at_centre], carriers[at_centre]] = False
    confidence = np.zeros(len(SMPLX))
    confidence[:_J] = np.max(np.where(moves, weight[:, None], 0.0), axis=0, initial=0.0)
    quats[:_J][confidence[:_J] == 0] = IDENTITY_QUAT
    T_root = rigid(found.R[0], found.t + found.R[0] @ to_pelvis)
    return BodyPose(
        SMPLX,
        T_root,
        quats,
        confidence,
        seen.stamp_ns,
        seen.frame_id,
        seen.person_id,
        source=seen.source,
        state=TrackingState.TRACKED,
    )


def _aligned(solver: PointSolver) -> tuple[FloatArray, FloatArray]:
    """The rest pose where it fits hips, shoulders and all that the trunk carries best."""
    rows = np.isin(solver.carriers, [BODY_JOINTS.index(n) for n in _TRUNK])
    a, b = solver.rest[rows], solver.target[rows]
    u, _, vt = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    R = np.tile(np.eye(3), (_J, 1, 1))
    R[0] = (u @ flip @ vt).T
    return R, b.mean(0) - R[0] @ a.mean(0)


_TRUNK = (
    *('pelvis', 'spine1', 'spine2', 'spine3', 'neck', 'left_hip', 'right_hip'),
    *('left_collar', 'right_collar', 'left_shoulder', 'right_shoulder'),
)
#: Bones with a length that points can tell.
_MEASURED = tuple((BODY_JOINTS[_PARENTS[row]], BODY_JOINTS[row]) for row in range(1, _J))


def _hips_to_pelvis(rest: RestLandmarks) -> FloatArray:
    hips = rest.joints[SMPLX.rows(('left_hip', 'right_hip'))]
    return np.asarray(rest.joints[SMPLX.index['pelvis']] - hips.mean(axis=0))
