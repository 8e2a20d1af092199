# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Rotations of 22 SMPL-X joints that bring points of the body to where they were seen.

Damped least squares. Points count by their confidence, and joints are held by limits and by a weak
pull to rest, which decides what points leave open (the twist of a straight arm, how a bend is
shared along the spine).
"""

from dataclasses import dataclass

import numpy as np

from avatar_ros.body import SMPLX
from avatar_ros.body.skeletons import SIDES
from avatar_ros.geometry import matrix_from_rotvec, rotvec_from_matrix
from avatar_ros.tracking.adapters.points import BODY_JOINTS
from avatar_ros.types import Array, FloatArray

_J = len(BODY_JOINTS)
_PARENTS = SMPLX.parents[:_J]
_SIGMA_M = 0.005  # of a point; the scale against which the pull to rest counts
_PULL = 0.03
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
_CLEARLY = 0.5  # distance of the root's y axis from up
_SMALL_GAIN = 1e-3  # of the cost: a point moved by 0.2 mm


def without_side(name: str) -> str:
    """`elbow` of `left_elbow`."""
    for side in SIDES:
        name = name.removeprefix(f'{side}_')
    return name


def _limit_arrays() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Limits and pulls (63,) of all joints but the root; the right side mirrors the left."""
    low, high, pull = np.empty((_J, 3)), np.empty((_J, 3)), np.empty((_J, 3))
    for row, name in enumerate(BODY_JOINTS):
        if row == 0:
            continue
        lowest, highest, pulls = _LIMITS[without_side(name)]
        low[row], high[row], pull[row] = lowest, highest, pulls
        if name.startswith('right'):  # a mirror image turns y and z around
            low[row, 1:], high[row, 1:] = -np.array(highest[1:]), -np.array(lowest[1:])
    return low[1:].ravel(), high[1:].ravel(), pull[1:].ravel()


def _ancestors() -> Array:
    above = np.zeros((_J, _J), dtype=bool)
    for row in range(_J):
        if row:
            above[row] = above[_PARENTS[row]]
        above[row, row] = True
    return above


_LOW, _HIGH, _PULLS = _limit_arrays()
#: [j, a]: a is j or an ancestor of j.
ABOVE = _ancestors()


@dataclass(frozen=True)
class Solution:
    """What was found."""

    R: FloatArray
    """(22, 3, 3): of the root in the frame of the points, of the others against their parents."""
    t: FloatArray
    """(3,): where the root is, metres."""
    error_m: float
    """Mean distance of the points from where they were seen, by confidence."""
    cost: float
    """What was made small: squares of distances, limits and pulls."""


@dataclass(frozen=True)
class Prior:
    """How people usually are, for what points leave open."""

    usual: FloatArray
    """(63,): rotation vectors of all joints but the root."""
    pull: FloatArray
    """(63,): how strongly each is pulled there, as one over radians."""
    up: FloatArray
    """(3,): where the root's y axis usually points, in the frame of the points."""
    upright: float
    """How strongly it is pulled there."""


def rest_offsets(joints: FloatArray) -> FloatArray:
    """Bones (22, 3) from parent to joint, of rest joints (55, 3); the root's is its place."""
    offset = joints[:_J].copy()
    offset[1:] -= joints[list(_PARENTS[1:])]
    return offset


class PointSolver:
    """Levenberg-Marquardt for the points of one instant."""

    def __init__(
        self,
        offset: FloatArray,
        carriers: Array,
        local: FloatArray,
        target: FloatArray,
        weight: FloatArray,
        rays: FloatArray | None = None,
        prior: 'Prior | None' = None,
    ) -> None:
        """A body with bones `offset` (22, 3), of which P points are seen.

        :param carriers: (P,) row of the joint that carries a point.
        :param local: (P, 3) the point in the axes of that joint, metres from it.
        :param target: (P, 3) where it was seen.
        :param weight: (P,) confidence, 0..1.
        :param rays: (P, 3) directions from the targets on which the points were seen: then only
            what lies across them counts, and behind the target all of it; None = points in space.
        :param prior: None = weakly to rest.
        """
        self.prior = prior or Prior(np.zeros_like(_PULLS), _PULLS, np.zeros(3), 0.0)
        self.stiffness = 1.0
        self.offset, self.carriers, self.local, self.target = offset, carriers, local, target
        self.weight, self.rays = weight, rays
        self.root_w = np.sqrt(weight) / _SIGMA_M
        self.moves = ABOVE[carriers]  # (P, J)
        self.rest = self._forward(np.tile(np.eye(3), (_J, 1, 1)), np.zeros(3))[0]

    def fresh(self, R: FloatArray, t: FloatArray, steps: int = 40) -> Solution:
        """From a rough start, at first as if hinges were only that: no elbow bends sideways."""
        self.stiffness = 10.0
        rough = self.solve(R, t, steps)
        self.stiffness = 1.0
        return self.solve(rough.R, rough.t, steps)

    def cost(self, R: FloatArray, t: FloatArray) -> float:
        """What `solve` makes small."""
        return self._linearise(R, t)[0]

    def solve(self, R: FloatArray, t: FloatArray, steps: int) -> Solution:
        """Improve local rotations and pelvis until a step does not matter any more."""
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
        distance = np.linalg.norm(self._away(points)[0], axis=1)
        return Solution(R, t, float(np.average(distance, weights=self.weight)), cost)

    def _away(self, points: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """(P, 3) from where they were seen, as far as it counts; (P, 3, 3) which part that is."""
        away = points - self.target
        if self.rays is None:
            return away, None
        ahead = (away * self.rays).sum(axis=1) > 0
        along = np.where(ahead[:, None], self.rays, 0.0)
        across = np.eye(3) - along[:, :, None] * along[:, None, :]
        return np.einsum('pab,pb->pa', across, away), across

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
        away, across = self._away(points)
        if across is not None:
            jacobian = across @ jacobian
        jacobian = jacobian.reshape(3 * count, _TURNS + 3)
        error = (away * self.root_w[:, None]).ravel()
        bend = rotvec_from_matrix(R[1:]).ravel()
        over = np.clip(bend - _HIGH, 0.0, None) + np.clip(bend - _LOW, None, 0.0)
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ error
        own = np.arange(3, _TURNS)  # of all joints but the root
        pull, upright = self.stiffness * self.prior.pull, self.stiffness * self.prior.upright
        normal[own, own] += pull**2 + _LIMIT_WEIGHT**2 * (over != 0)
        unusual = bend - self.prior.usual
        gradient[own] += pull**2 * unusual + _LIMIT_WEIGHT**2 * over
        pulls, limits = pull * unusual, _LIMIT_WEIGHT * over
        # A turn w about the root's own axes moves its y by w x y.
        lean = R[0][:, 1] - self.prior.up
        leans = np.stack([R[0][:, 2], np.zeros(3), -R[0][:, 0]], axis=1)
        # Cauchy's loss: who clearly bows or lies is not pulled up (Black and Rangarajan 1996).
        bent = float(lean @ lean) / _CLEARLY**2
        normal[:3, :3] += upright**2 / (1 + bent) * leans.T @ leans
        gradient[:3] += upright**2 / (1 + bent) * leans.T @ lean
        cost = error @ error + pulls @ pulls + limits @ limits
        cost += (upright * _CLEARLY) ** 2 * np.log1p(bent)
        return float(cost), normal, gradient, points
