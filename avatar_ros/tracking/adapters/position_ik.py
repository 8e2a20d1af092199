# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics for sources that give points and no rotations.

The closed form of `tracking.body_ik` needs MediaPipe's 33 landmarks. Here any set of named points
will do: damped least squares over the rotations of 22 SMPL-X joints. Bones have the lengths of the
tracked person (the median of what was seen), points count by their confidence, and joints are
held by limits and by a weak pull to rest, which decides what points leave open (the twist of a
straight arm, how a bend is shared along the spine). It starts from the pose before.
"""

from collections import deque
from dataclasses import replace

import numpy as np

from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.body.pose import IDENTITY_QUAT, TrackingState
from avatar_ros.body.skeletons import SIDES
from avatar_ros.geometry import (
    matrix_from_rotvec,
    quat_from_matrix,
    rigid,
    rotvec_from_matrix,
)
from avatar_ros.tracking.adapters.plausible import check_person
from avatar_ros.tracking.adapters.points import (
    BODY_JOINTS,
    Attachment,
    NamedPoints,
    attachment,
)
from avatar_ros.tracking.rest_landmarks import RestLandmarks
from avatar_ros.types import FloatArray

_J = len(BODY_JOINTS)
_PARENTS = SMPLX.parents[:_J]
_SIGMA_M = 0.005  # of a point; the scale against which the pull to rest counts
_PULL = 0.03
_LENGTHS_KEPT = 61
_LOST_M = 0.05  # a mean error of this much, and the solver starts afresh
#: So does it, to keep what fits better, after a gap and where the trunk has turned at once: limbs
#: that were carried along may fit as well with half a turn about themselves.
_GAP_NS, _TURNED_RAD = 250_000_000, 0.6
#: Joint -> lowest and highest rotation about x, y, z in radians, on the left side, and how strongly
#: each is pulled to rest. What a hinge cannot do is pulled most.
_STIFF, _LOOSE = 0.6, _PULL
_LIMITS: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = {
    **{f'spine{k}': ((-0.5, -0.6, -0.5), (0.9, 0.6, 0.5), (0.1, 0.1, 0.1)) for k in (1, 2, 3)},
    **{name: ((-0.8, -0.9, -0.6), (0.8, 0.9, 0.6), (0.1, 0.1, 0.1)) for name in ('neck', 'head')},
    'collar': ((-0.4, -0.5, -0.4), (0.4, 0.5, 0.7), (0.3, 0.3, 0.3)),
    'shoulder': ((-2.4, -2.8, -2.4), (2.4, 2.8, 2.4), (_LOOSE, _LOOSE, _LOOSE)),
    'elbow': ((-1.6, -2.7, -0.3), (1.6, 0.05, 0.3), (0.2, _LOOSE, _STIFF)),
    'wrist': ((-0.8, -0.9, -1.5), (0.8, 0.9, 1.5), (0.1, 0.1, 0.1)),
    'hip': ((-2.6, -1.2, -1.2), (1.2, 1.2, 1.6), (_LOOSE, 0.06, _LOOSE)),
    'knee': ((-0.05, -0.6, -0.3), (2.8, 0.6, 0.3), (_LOOSE, 0.3, _STIFF)),
    'ankle': ((-1.2, -0.6, -0.6), (1.2, 0.6, 0.6), (0.1, 0.1, 0.1)),
    'foot': ((-0.8, -0.3, -0.3), (0.8, 0.3, 0.3), (0.2, 0.2, 0.2)),
}
_LIMIT_WEIGHT = 10.0
_TURNS = 3 * _J
_LARGEST_TURN = 0.7  # radians of one joint in one step
_SMALL_GAIN = 1e-3  # of the cost: a point moved by 0.2 mm


class PositionIK:
    """One person. Stateful in the bone lengths and the last pose; `reset` forgets both."""

    def __init__(self, body: RestLandmarks, skeleton: RestLandmarks | None = None) -> None:
        """:param skeleton: of the tracker that sends the points; None if it is the body's."""
        self.skeleton = skeleton
        self._rest = rest = skeleton or body
        self._to_pelvis = _hips_to_pelvis(body) - _hips_to_pelvis(rest)
        self._offset = np.diff(rest.joints[:_J], axis=0, prepend=0.0)
        for row in range(1, _J):
            self._offset[row] = rest.joints[row] - rest.joints[_PARENTS[row]]
        self._above = np.zeros((_J, _J), dtype=bool)  # [j, a]: a is j or an ancestor of j
        for row in range(_J):
            if row:
                self._above[row] = self._above[_PARENTS[row]]
            self._above[row, row] = True
        self._low, self._high, self._pull = _limit_arrays()
        self._attachments: dict[str, Attachment] = {}
        self.reset()

    def reset(self) -> None:
        """Forget the person."""
        self._ratios: dict[str, deque[float]] = {}
        self._R: FloatArray | None = None
        self._t: FloatArray = np.zeros(3)
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
        solver = _Solver(self, offset, carriers, local, target, weight)
        trunk = solver.aligned()[0][0]
        turned = float(np.linalg.norm(rotvec_from_matrix(self._trunk.T @ trunk)))
        sure = seen.stamp_ns - self._stamp_ns < _GAP_NS and turned < _TURNED_RAD
        R, t, error = solver.start(self._R, self._t, sure)
        self._R, self._t, self.error_m = R, t, error
        self._trunk, self._stamp_ns = trunk, seen.stamp_ns
        return self._pose(seen, R, t, carriers, local, weight)

    def _learn_lengths(self, seen: NamedPoints) -> tuple[float, FloatArray]:
        """Size of the person against the rest body, and the bones (22, 3) of this person."""
        rest, index = self._rest.joints, SMPLX.index
        for a, b in _MEASURED:
            if seen.weight(a) > 0.5 and seen.weight(b) > 0.5:
                length = float(np.linalg.norm(seen.points[b] - seen.points[a]))
                ratio = length / float(np.linalg.norm(rest[index[b]] - rest[index[a]]))
                key = _without_side(a) + _without_side(b)  # people are as long left as right
                self._ratios.setdefault(key, deque(maxlen=_LENGTHS_KEPT)).append(
                    float(np.clip(ratio, 0.4, 2.5))
                )
        medians = {key: float(np.median(values)) for key, values in self._ratios.items()}
        scale = float(np.median(list(medians.values()))) if medians else 1.0
        offset = self._offset.copy()
        for row in range(1, _J):
            parent = BODY_JOINTS[_PARENTS[row]]
            key = _without_side(parent) + _without_side(BODY_JOINTS[row])
            offset[row] *= medians.get(key, scale)
        return scale, offset

    def _pose(
        self,
        seen: NamedPoints,
        R: FloatArray,
        t: FloatArray,
        carriers: FloatArray,
        local: FloatArray,
        weight: FloatArray,
    ) -> BodyPose:
        quats = np.tile(IDENTITY_QUAT, (len(SMPLX), 1))
        quats[1:_J] = quat_from_matrix(R[1:])
        # A joint is as sure as the surest point that it moves, and that lies off its centre.
        moves = self._above[carriers]
        at_centre = np.linalg.norm(local, axis=1) < 0.01
        moves[np.arange(len(carriers))[at_centre], carriers[at_centre]] = False
        confidence = np.zeros(len(SMPLX))
        confidence[:_J] = np.max(np.where(moves, weight[:, None], 0.0), axis=0, initial=0.0)
        quats[:_J][confidence[:_J] == 0] = IDENTITY_QUAT
        T_root = rigid(R[0], t + R[0] @ self._to_pelvis)
        pose = BodyPose(SMPLX, T_root, quats, confidence, state=TrackingState.TRACKED)
        return replace(
            pose,
            stamp_ns=seen.stamp_ns,
            frame_id=seen.frame_id,
            person_id=seen.person_id,
            source=seen.source,
        )


class _Solver:
    """Levenberg-Marquardt for the points of one instant."""

    def __init__(
        self,
        ik: PositionIK,
        offset: FloatArray,
        carriers: FloatArray,
        local: FloatArray,
        target: FloatArray,
        weight: FloatArray,
    ) -> None:
        self.low, self.high, self.pull = ik._low, ik._high, ik._pull
        self.offset, self.carriers, self.local, self.target = offset, carriers, local, target
        self.root_w = np.sqrt(weight) / _SIGMA_M
        self.weight = weight
        self.moves = ik._above[carriers]  # (P, J)
        self.rest = self._forward(np.tile(np.eye(3), (_J, 1, 1)), np.zeros(3))[0]

    def start(
        self, R: FloatArray | None, t: FloatArray, sure: bool
    ) -> tuple[FloatArray, FloatArray, float]:
        """Local rotations (22, 3, 3), pelvis (3,), mean error in metres.

        From those before, if they are `sure` to be near.
        """
        if R is not None:
            found = self.solve(R, t, steps=12)
            if sure and found[2] < _LOST_M:
                return found[:3]
        # From the rest pose: first as if hinges were only that, so that no elbow bends sideways.
        soft, self.pull = self.pull, 10.0 * self.pull
        rough = self.solve(*self.aligned(), steps=40)
        self.pull = soft
        fresh = self.solve(rough[0], rough[1], steps=40)
        return (fresh if R is None or fresh[3] < found[3] else found)[:3]

    def aligned(self) -> tuple[FloatArray, FloatArray]:
        """The rest pose where it fits hips, shoulders and all that the trunk carries best."""
        rows = np.isin(self.carriers, [BODY_JOINTS.index(n) for n in _TRUNK])
        a, b = self.rest[rows], self.target[rows]
        u, _, vt = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
        flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        R = np.tile(np.eye(3), (_J, 1, 1))
        R[0] = (u @ flip @ vt).T
        return R, b.mean(0) - R[0] @ a.mean(0)

    def solve(
        self, R: FloatArray, t: FloatArray, steps: int
    ) -> tuple[FloatArray, FloatArray, float, float]:
        """Improve local rotations and pelvis until a step does not matter any more.

        The last two are the mean error in metres and the cost, with limits and pulls.
        """
        damping = 1e-4
        cost, normal, gradient, points = self._linearise(R, t)
        for _ in range(steps):
            damped = normal + np.diag(damping * np.diag(normal) + 1e-9)
            step = np.linalg.solve(damped, -gradient)
            turn = step[:-3].reshape(_J, 3)
            size = np.linalg.norm(turn, axis=1, keepdims=True)
            turn = turn * np.minimum(1.0, _LARGEST_TURN / np.maximum(size, 1e-9))
            R_new, t_new = R @ matrix_from_rotvec(turn), t + step[-3:]
            trial = self._linearise(R_new, t_new)
            if trial[0] >= cost:
                damping *= 10.0
                if damping > 1e6:
                    break
                continue
            gain = cost - trial[0]
            R, t = R_new, t_new
            cost, normal, gradient, points = trial
            damping = max(damping * 0.2, 1e-6)
            if gain < _SMALL_GAIN + 1e-3 * cost:
                break
        distance = np.linalg.norm(points - self.target, axis=1)
        return R, t, float(np.average(distance, weights=self.weight)), cost

    def _forward(self, R: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Points (P, 3), global rotations (J, 3, 3) and joint positions (J, 3)."""
        R_global, joints = np.empty((_J, 3, 3)), np.empty((_J, 3))
        R_global[0], joints[0] = R[0], t
        for row in range(1, _J):
            parent = _PARENTS[row]
            R_global[row] = R_global[parent] @ R[row]
            joints[row] = joints[parent] + R_global[parent] @ self.offset[row]
        turned = np.einsum('pab,pb->pa', R_global[self.carriers], self.local)
        return joints[self.carriers] + turned, R_global, joints

    def _linearise(
        self, R: FloatArray, t: FloatArray
    ) -> tuple[float, FloatArray, FloatArray, FloatArray]:
        """Cost, normal matrix (69, 69), gradient (69,) and the points (P, 3)."""
        points, R_global, joints = self._forward(R, t)
        count = len(points)
        reach = points[:, None] - joints[None]  # (P, J, 3)
        # A turn about the joint's own axis c moves a point by axis x reach.
        x, y, z = np.moveaxis(reach[:, :, None], 3, 0)
        ax, ay, az = np.moveaxis(np.swapaxes(R_global, 1, 2)[None], 3, 0)
        arms = np.stack([ay * z - az * y, az * x - ax * z, ax * y - ay * x], axis=1)  # (P, 3, J, c)
        arms *= (self.moves * self.root_w[:, None])[:, None, :, None]
        jacobian: FloatArray = np.empty((count, 3, _TURNS + 3))
        jacobian[:, :, :_TURNS] = arms.reshape(count, 3, _TURNS)
        jacobian[:, :, _TURNS:] = self.root_w[:, None, None] * np.eye(3)
        jacobian = jacobian.reshape(3 * count, _TURNS + 3)
        error = ((points - self.target) * self.root_w[:, None]).ravel()
        bend = rotvec_from_matrix(R[1:]).ravel()
        over = np.clip(bend - self.high, 0.0, None) + np.clip(bend - self.low, None, 0.0)
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ error
        own = np.arange(3, _TURNS)  # of all joints but the root
        normal[own, own] += self.pull**2 + _LIMIT_WEIGHT**2 * (over != 0)
        gradient[own] += self.pull**2 * bend + _LIMIT_WEIGHT**2 * over
        pulls, limits = self.pull * bend, _LIMIT_WEIGHT * over
        return float(error @ error + pulls @ pulls + limits @ limits), normal, gradient, points


_TRUNK = (
    *('pelvis', 'spine1', 'spine2', 'spine3', 'neck', 'left_hip', 'right_hip'),
    *('left_collar', 'right_collar', 'left_shoulder', 'right_shoulder'),
)
#: Bones with a length that points can tell.
_MEASURED = tuple((BODY_JOINTS[_PARENTS[row]], BODY_JOINTS[row]) for row in range(1, _J))


def _hips_to_pelvis(rest: RestLandmarks) -> FloatArray:
    hips = rest.joints[SMPLX.rows(('left_hip', 'right_hip'))]
    return np.asarray(rest.joints[SMPLX.index['pelvis']] - hips.mean(axis=0))


def _without_side(name: str) -> str:
    for side in SIDES:
        name = name.removeprefix(f'{side}_')
    return name


def _limit_arrays() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Limits and pulls (63,) of all joints but the root; the right side mirrors the left."""
    low, high, pull = np.empty((_J, 3)), np.empty((_J, 3)), np.empty((_J, 3))
    for row, name in enumerate(BODY_JOINTS):
        if row == 0:
            continue
        lowest, highest, pulls = _LIMITS[_without_side(name)]
        low[row], high[row], pull[row] = lowest, highest, pulls
        if name.startswith('right'):  # a mirror image turns y and z around
            low[row, 1:], high[row, 1:] = -np.array(highest[1:]), -np.array(lowest[1:])
    return low[1:].ravel(), high[1:].ravel(), pull[1:].ravel()
