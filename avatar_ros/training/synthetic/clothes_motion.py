# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""How cloth on a mesh moves with the pose: wrinkles at bent joints and a swaying hem.

Not simulation: a smooth function of the joint rotations alone, zero in the T-pose and on skin,
so that a network can learn it and a test can know it.
"""

import numpy as np

from avatar_ros.body.skeletons import Skeleton
from avatar_ros.types import Array, FloatArray

#: Joint -> (height of its wrinkles in metres, reach in metres, wavelength in metres).
_WRINKLES = {
    'left_elbow': (0.011, 0.10, 0.040),
    'right_elbow': (0.011, 0.10, 0.040),
    'left_shoulder': (0.009, 0.10, 0.050),
    'right_shoulder': (0.009, 0.10, 0.050),
    'left_knee': (0.012, 0.12, 0.050),
    'right_knee': (0.012, 0.12, 0.050),
    'left_hip': (0.010, 0.12, 0.055),
    'right_hip': (0.010, 0.12, 0.055),
    'spine1': (0.012, 0.11, 0.060),
    'spine2': (0.010, 0.11, 0.055),
}
#: A bend of this much raises the wrinkles to 63 % of their height, in radians.
_HALF_BEND_RAD = 0.7
#: No wrinkle is higher, in metres.
MAX_WRINKLE_M = 0.015
#: The hem sways no further, in metres.
MAX_SWAY_M = 0.02
#: How far above and below the hips the hem is felt, in metres.
_HEM_REACH_M = 0.10
_NEGLIGIBLE = 1e-3


class ClothesMotion:
    """Displacement of vertices (V, 3) in the T-pose.

    :param cloth: (V,) 0 on skin, 1 on cloth, in between at a seam.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        rest_joints: FloatArray,
        vertices: FloatArray,
        normals: FloatArray,
        cloth: Array,
    ) -> None:
        self._normals = normals
        self._wrinkles: list[tuple[int, float, Array, FloatArray, FloatArray]] = []
        for name, (height, reach, wavelength) in _WRINKLES.items():
            row = skeleton.index[name]
            away = vertices - rest_joints[row]
            near = np.exp(-0.5 * (away**2).sum(1) / reach**2) * cloth
            rows = np.flatnonzero(near > _NEGLIGIBLE)
            # Wrinkles run across the limb and a little around it: arms lie along x, legs along y.
            arm = 'elbow' in name or 'shoulder' in name
            way = np.array([1.0, 0.35, 0.25] if arm else [0.30, 1.0, 0.35])
            if name.startswith('right'):
                way[0] = -way[0]
            way *= 2 * np.pi / wavelength / np.linalg.norm(way)
            self._wrinkles.append((row, height, rows, near[rows], away[rows] @ way))
        hips = rest_joints[[skeleton.index['left_hip'], skeleton.index['right_hip']]].mean(0)
        self._hem = cloth * np.exp(-(((vertices[:, 1] - hips[1]) / _HEM_REACH_M) ** 2))
        self._hips = skeleton.rows(['left_hip', 'right_hip'])
        self._spine = skeleton.rows(['spine1', 'spine2', 'spine3'])

    def displacement(self, rotvecs: FloatArray) -> FloatArray:
        """(V, 3) metres under joint rotations (J, 3); the global orientation does not matter."""
        height: FloatArray = np.zeros(len(self._normals))
        for row, most, rows, near, phase in self._wrinkles:
            bend = rotvecs[row]
            amount = most * (1.0 - np.exp(-float(bend @ bend) / _HALF_BEND_RAD**2))
            shift = 1.8 * bend[0] + 1.4 * bend[1] + 1.1 * bend[2]
            # More out than in: cloth must not sink into the skin below it.
            height[rows] += amount * near * (np.sin(phase + shift) + 0.4) / 1.4
        height = np.asarray(MAX_WRINKLE_M * np.tanh(height / MAX_WRINKLE_M))
        trunk, hips = rotvecs[self._spine].sum(0), rotvecs[self._hips].sum(0)
        # Leaning forward the hem hangs away from the belly; a lifted thigh pushes it forward.
        sway = np.array([0.04 * trunk[2] - 0.02 * trunk[1], 0.0, 0.03 * trunk[0] - 0.012 * hips[0]])
        length = np.linalg.norm(sway)
        sway *= MAX_SWAY_M * np.tanh(length / MAX_SWAY_M) / max(float(length), 1e-9)
        return np.asarray(height[:, None] * self._normals + self._hem[:, None] * sway)
