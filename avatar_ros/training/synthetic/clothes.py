# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Clothes that move with the pose: folds at bent joints and a hem that lags behind the trunk.

Not cloth simulation: a smooth function of the joint angles alone, so that a network can learn it
and a test can know it.
"""

import numpy as np

from avatar_ros.body.skeletons import Skeleton
from avatar_ros.types import Array, FloatArray

#: Joints at which cloth folds, and how far at a bend of one radian, in metres.
_FOLDS = {
    'hip': 0.008,
    'knee': 0.012,
    'shoulder': 0.008,
    'elbow': 0.012,
}
_TRUNK_FOLDS = {'spine1': 0.014, 'spine2': 0.010}
_REACH_M = 0.13
_WAVELENGTH_M = 0.055
_HEM_M = 0.03
_BARE = ('head', 'neck', 'wrist', 'hand', 'ankle', 'foot', 'jaw', 'eye')
_FINGERS = ('index', 'middle', 'pinky', 'ring', 'thumb')


class Clothes:
    """How the surface points (N, 3) of a dressed person move, all in the T-pose."""

    def __init__(
        self,
        skeleton: Skeleton,
        rest_joints: FloatArray,
        points: FloatArray,
        normals: FloatArray,
        main_joint: Array,
    ) -> None:
        self.points, self.normals = points, normals
        bare = [any(w in joint for w in (*_BARE, *_FINGERS)) for joint in skeleton.joints]
        #: (N,) whether a point is cloth: what no bare joint carries.
        self.cloth = ~np.array(bare)[main_joint]
        rng = np.random.default_rng(7)
        self._folds = []
        folds = {f'{s}_{j}': a for j, a in _FOLDS.items() for s in ('left', 'right')}
        for joint, amount in {**folds, **_TRUNK_FOLDS}.items():
            row = skeleton.index[joint]
            near = np.exp(-((points - rest_joints[row]) ** 2).sum(1) / (2 * _REACH_M**2))
            way = rng.normal(size=3)
            # Folds run across the limb: the arms lie along x, legs and trunk along y.
            way += 3 * np.array(
                [1.0, 0, 0] if 'elbow' in joint or 'shoulder' in joint else [0, 1, 0]
            )
            way *= 2 * np.pi / _WAVELENGTH_M / np.linalg.norm(way)
            self._folds.append((row, amount * near * self.cloth, way, rng.uniform(0, 2 * np.pi)))
        self._trunk = skeleton.index['spine1'], skeleton.index['spine2']
        pelvis = rest_joints[0]
        self._hem = self.cloth * np.exp(-(((points[:, 1] - pelvis[1]) / 0.12) ** 2))

    def moved(self, rotvecs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Points and unit normals (N, 3) of the T-pose under the joints' bends (J, 3)."""
        height = np.zeros(len(self.points))
        slope = np.zeros_like(self.points)
        for row, amount, way, phase in self._folds:
            bend = float(np.linalg.norm(rotvecs[row]))
            angle = self.points @ way + phase + 2.5 * bend
            height += amount * bend * np.sin(angle)
            slope += (amount * bend * np.cos(angle))[:, None] * way
        trunk = rotvecs[self._trunk[0]] + rotvecs[self._trunk[1]]
        sway = _HEM_M * np.array([trunk[2] - trunk[1], 0.0, -trunk[0]])
        points = self.points + height[:, None] * self.normals + self._hem[:, None] * sway
        along = (slope * self.normals).sum(1, keepdims=True) * self.normals
        normals = self.normals - (slope - along)
        return points, normals / np.linalg.norm(normals, axis=1, keepdims=True)
