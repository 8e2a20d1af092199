# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Closed-form inverse kinematics of a hand: 21 MediaPipe landmarks -> wrist and finger rotations.

Every finger bone swings from its rest direction onto the seen one without twisting, in the frame
of the bone before it; the palm gives the wrist.
"""

import numpy as np

from avatar_ros.body.skeletons import FINGERS, HAND_INDEX, SMPLX
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.geometry.single import frame, limited, matrix_of, rotvec_of, smallest_rotation, unit
from avatar_ros.types import Array, FloatArray

_MAX_BEND = 1.9  # radians in one finger joint
#: Landmarks at the ends of each finger's three bones, from the palm to the tip.
_CHAIN = {
    finger: tuple(
        HAND_INDEX[f'{finger}_{part}']
        for part in (
            ('cmc', 'mcp', 'ip', 'tip') if finger == 'thumb' else ('mcp', 'pip', 'dip', 'tip')
        )
    )
    for finger in FINGERS
}
_WRIST, _INDEX, _PINKY = (HAND_INDEX[name] for name in ('wrist', 'index_mcp', 'pinky_mcp'))


class HandIK:
    """The hand of one side of a body with the given SMPL-X rest joints (55, 3)."""

    def __init__(self, side: str, rest_joints: Array) -> None:
        self.side = side
        joint = {name: np.asarray(rest_joints[i], float) for name, i in SMPLX.index.items()}
        index, pinky = joint[f'{side}_index1'], joint[f'{side}_pinky1']
        self._palm = frame((index + pinky) / 2 - joint[f'{side}_wrist'], index - pinky)
        self._bones: dict[str, list[FloatArray]] = {}
        for finger in FINGERS:
            a, b, c = (joint[f'{side}_{finger}{k}'] for k in (1, 2, 3))
            # The last bone has no joint at its end; at rest it goes on like the one before.
            self._bones[finger] = [unit(b - a), unit(c - b), unit(c - b)]

    def palm(self, world: Array) -> FloatArray:
        """Global rotation (3, 3) of the wrist joint from landmarks (21, 3), optical axes."""
        middle = (world[_INDEX] + world[_PINKY]) / 2
        across = world[_INDEX] - world[_PINKY]
        return np.ascontiguousarray(frame(middle - world[_WRIST], across) @ self._palm.T)

    def __call__(self, world: Array) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Global wrist rotation (3, 3) and finger joint name -> quaternion (4,) wxyz."""
        world = np.asarray(world, dtype=float)
        R_wrist = self.palm(world)
        quats: dict[str, FloatArray] = {}
        for finger in FINGERS:
            R = R_wrist
            points = world[list(_CHAIN[finger])]
            for k in range(3):
                seen = unit(R.T @ (points[k + 1] - points[k]))
                bend = limited(
                    rotvec_of(smallest_rotation(self._bones[finger][k], seen)), _MAX_BEND
                )
                quats[f'{self.side}_{finger}{k + 1}'] = quat_from_rotvec(bend)
                R = np.ascontiguousarray(R @ matrix_of(bend))
        return R_wrist, quats
