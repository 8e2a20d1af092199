# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics for sources that give points of one image and no depth.

A point lies somewhere on its ray. Bones of known length leave two places for the end of each,
before and behind; limits of the joints, what is usual and the pose before decide. So what lies
across the view is told nearly as well as the points are (the pitch of the pelvis and the bend of
the spine by none of them), and what lies along it is a guess: a limb that turns through the plane
of the image may come out on the wrong side of it. The person has the size of our own body, and
stands as far away as that size asks for.

The distance of a point from its ray is the object-space error of Lu, Hager and Mjolsness, "Fast and
globally convergent pose estimation from video images", IEEE PAMI 22 (6), 2000.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.body.skeletons import BLAZEPOSE_INDEX
from avatar_ros.geometry import R_OPTICAL_SMPL, matrix_from_rotvec, rotvec_from_matrix
from avatar_ros.tracking.adapters.point_solver import (
    PointSolver,
    Prior,
    Solution,
    rest_offsets,
    without_side,
)
from avatar_ros.tracking.adapters.points import BODY_JOINTS, ImagePoints
from avatar_ros.tracking.adapters.position_ik import pose_of
from avatar_ros.tracking.rest_landmarks import RestLandmarks
from avatar_ros.types import FloatArray

_J = len(BODY_JOINTS)
_TRUNK = ('left_hip', 'right_hip', 'left_shoulder', 'right_shoulder')
#: So often, and after a gap, the solver starts afresh as well, for what is found step by step from
#: the pose before may have taken the wrong one of two ways. The other must be better by so much
#: (of the cost), or poses would jump to and fro.
_AFRESH_EVERY = 5
_GAP_NS = 250_000_000
_BETTER = 3.0
_TRUST = 0.25  # in a point of an image, against one in space: it is twice as far off
_FOLLOW = 6.0  # how strongly joints stay where they were in the image before, as one over radians
#: Joint -> how people hold it, as a rotation vector on the left side, and how far about each axis
#: they usually are from that, in radians. It decides what an image leaves open.
_USUAL: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    **{f'spine{k}': ((0.0, 0.0, 0.0), (0.15, 0.1, 0.1)) for k in (1, 2, 3)},
    **{name: ((0.0, 0.0, 0.0), (0.25, 0.3, 0.15)) for name in ('neck', 'head')},
    'collar': ((0.0, 0.0, 0.0), (0.1, 0.15, 0.15)),
    'shoulder': ((0.0, -0.2, -1.0), (0.7, 0.7, 0.7)),
    'elbow': ((0.0, -0.6, 0.0), (0.4, 0.7, 0.1)),
    'wrist': ((0.0, 0.0, 0.0), (0.3, 0.3, 0.3)),
    'hip': ((-0.2, 0.0, 0.0), (0.5, 0.3, 0.3)),
    'knee': ((0.4, 0.0, 0.0), (0.6, 0.1, 0.1)),
    'ankle': ((0.0, 0.0, 0.0), (0.3, 0.2, 0.2)),
    'foot': ((0.0, 0.0, 0.0), (0.2, 0.1, 0.1)),
}
_LEAN_RAD = 0.15  # usual, of the person or the camera
_SMALLEST = 0.02  # of the distance: a trunk that is shorter in the image tells nothing


class ImageIK:
    """One person before one camera. Stateful in the last pose; `reset` forgets it."""

    def __init__(self, rest: RestLandmarks) -> None:
        self._rest = rest
        self._offset = rest_offsets(rest.joints)
        self._prior = _prior()
        self._standing = np.concatenate(
            [np.eye(3)[None], matrix_from_rotvec(self._prior.usual.reshape(-1, 3))]
        )
        self.reset()

    def reset(self) -> None:
        """Forget the person."""
        self._last: Solution | None = None
        self._stamp_ns, self._age = 0, 0
        self.error_m = 0.0
        """Mean distance of the pose's points from their rays, at the last call."""

    def __call__(self, seen: ImagePoints) -> BodyPose:
        """Pose in the camera's optical axes.

        :raises ValueError: if hips or shoulders are not seen, or too near to each other.
        """
        distance = self._distance(seen)
        names = [name for name in seen.points if seen.weight(name) > 0]
        rows = [BLAZEPOSE_INDEX[name] for name in names]
        carriers = np.array([_body_row(int(self._rest.carrier[row])) for row in rows])
        local = self._rest.points[rows] - self._rest.joints[carriers]
        weight = np.array([seen.weight(name) for name in names])
        rays = np.array([[*seen.points[name], 1.0] for name in names])
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        camera = np.zeros_like(rays)
        solver = PointSolver(
            self._offset, carriers, local, camera, weight * _TRUST, rays, self._prior
        )
        self._last = found = self._solve(solver, seen, distance)
        self.error_m, self._stamp_ns = found.error_m, seen.stamp_ns
        return pose_of(found, seen, carriers, local, weight, to_pelvis=np.zeros(3))

    def _distance(self, seen: ImagePoints) -> float:
        """Metres to the person, by the length of the trunk."""
        missing = [name for name in _TRUNK if not seen.weight(name)]
        if missing:
            raise ValueError(
                f'{seen.source} person {seen.person_id!r}: {", ".join(missing)} not seen; '
                'expected hips and shoulders, because nothing else can be placed without them.'
            )
        hips, shoulders = _middles(seen.points)
        length = float(np.linalg.norm(shoulders - hips))
        if not length > _SMALLEST:
            raise ValueError(
                f'{seen.source} person {seen.person_id!r}: shoulders and hips are '
                f'{length:.2g} of the distance apart in the image; expected more than '
                f'{_SMALLEST:g}. Come nearer, or choose another person.'
            )
        at_rest = np.subtract(*_middles({name: self._rest[name] for name in _TRUNK}))
        return float(np.linalg.norm(at_rest)) / length

    def _starts(self, seen: ImagePoints, distance: float) -> list[FloatArray]:
        """Rotations (3, 3) of the root of someone whose trunk lies in the plane of the image.

        Turned about the trunk by as much as hips and shoulders are narrow, which has two ways.
        """
        hips, shoulders = _middles(seen.points)
        right, down = shoulders - hips
        roll = float(np.arctan2(right, -down))  # of the trunk against the image's upward
        across = np.array([np.cos(roll), np.sin(roll)])
        shares = []
        for part in ('hip', 'shoulder'):
            left, other = f'left_{part}', f'right_{part}'
            wide = distance * float(across @ (seen.points[left] - seen.points[other]))
            shares.append(wide / float(self._rest[left][0] - self._rest[other][0]))
        heading = float(np.arccos(np.clip(np.mean(shares), -1.0, 1.0)))
        rolled = matrix_from_rotvec([0.0, 0.0, roll]) @ R_OPTICAL_SMPL
        return [rolled @ matrix_from_rotvec([0.0, h, 0.0]) for h in (heading, -heading)]

    def _solve(self, solver: PointSolver, seen: ImagePoints, distance: float) -> Solution:
        found = None if self._last is None else self._follow(solver, self._last)
        if found is not None:
            near = 0 <= seen.stamp_ns - self._stamp_ns < _GAP_NS
            self._age = self._age + 1 if near else _AFRESH_EVERY
            if self._age < _AFRESH_EVERY:
                return found
        self._age = 0
        hips = distance * np.array([*_middles(seen.points)[0], 1.0])
        starts = []
        for R_root in self._starts(seen, distance):
            R = self._standing.copy()
            R[0] = R_root
            starts.append(solver.fresh(R, hips, steps=15))
        fresh = min(starts, key=lambda start: start.cost)
        return fresh if found is None or fresh.cost < found.cost - _BETTER else found

    def _follow(self, solver: PointSolver, last: Solution) -> Solution:
        """From the pose before, which the joints do not leave far from one image to the next."""
        before = rotvec_from_matrix(last.R[1:]).ravel()
        usual, pull = self._prior.usual, self._prior.pull
        both = pull**2 + _FOLLOW**2
        mean = (pull**2 * usual + _FOLLOW**2 * before) / both
        solver.prior = replace(self._prior, usual=mean, pull=np.sqrt(both))
        found = solver.solve(last.R, last.t, steps=12)
        solver.prior = self._prior
        return replace(found, cost=solver.cost(found.R, found.t))


def _middles(points: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Of hips and of shoulders."""
    left_hip, right_hip, left_shoulder, right_shoulder = (points[name] for name in _TRUNK)
    return (left_hip + right_hip) / 2, (left_shoulder + right_shoulder) / 2


def _body_row(joint: int) -> int:
    while joint >= _J:
        joint = SMPLX.parents[joint]
    return joint


def _prior() -> Prior:
    usual, spread = np.empty((_J - 1, 3)), np.empty((_J - 1, 3))
    for row, name in enumerate(BODY_JOINTS[1:]):
        usual[row], spread[row] = _USUAL[without_side(name)]
        if name.startswith('right'):  # a mirror image turns y and z around
            usual[row, 1:] *= -1
    return Prior(usual.ravel(), (1 / spread).ravel(), R_OPTICAL_SMPL[:, 1], 1 / _LEAN_RAD)
