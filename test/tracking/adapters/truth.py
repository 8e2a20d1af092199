# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A person whose every point and rotation is known: T-poses and a captured walk."""

import numpy as np
from scipy.spatial.transform import Rotation

from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.skeletons import BLAZEPOSE_INDEX, SMPLX
from avatar_ros.geometry import rigid
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks

REST = free_rest_landmarks()


class Truth:
    """Joint transforms of the free body in a world with SMPL axes."""

    def __init__(self, quats=None, T_root=None):
        self.quats = np.tile([1.0, 0, 0, 0], (len(SMPLX), 1)) if quats is None else quats
        self.T = forward_kinematics(
            SMPLX,
            REST.joints,
            self.quats,
            rigid(np.eye(3), [0.2, 1.0, 0.3]) if T_root is None else T_root,
        )

    def point(self, name):
        if name in SMPLX.index:
            return self.T[SMPLX.index[name], :3, 3]
        row = BLAZEPOSE_INDEX[name]
        carrier = REST.carrier[row]
        local = REST.points[row] - REST.joints[carrier]
        return self.T[carrier, :3, :3] @ local + self.T[carrier, :3, 3]

    def rotation(self, joint):
        return self.T[SMPLX.index[joint], :3, :3]

    def local(self, joint):
        return Rotation.from_quat(self.quats[SMPLX.index[joint]], scalar_first=True).as_matrix()


def bent(**rotvecs):
    """A person in the T-pose but for these joints."""
    quats = np.tile([1.0, 0, 0, 0], (len(SMPLX), 1))
    for joint, rotvec in rotvecs.items():
        quats[SMPLX.index[joint]] = Rotation.from_rotvec(rotvec).as_quat(scalar_first=True)
    return Truth(quats)


class Mirrored:
    """The same person as left-handed axes have him: numbers as they would be copied."""

    def __init__(self, person, mirror):
        self._person, self._mirror = person, mirror

    def point(self, name):
        return self._mirror @ self._person.point(name)

    def rotation(self, joint):
        return self._mirror @ self._person.rotation(joint) @ self._mirror

    def local(self, joint):
        return self._mirror @ self._person.local(joint) @ self._mirror


class Swapped:
    """The same person with the name of each side given to the other."""

    def __init__(self, person):
        self._person = person

    def __getattr__(self, name):
        method = getattr(self._person, name)

        def of_other_side(joint):
            side, _, part = joint.partition('_')
            return method({'left': f'right_{part}', 'right': f'left_{part}'}.get(side, joint))

        return of_other_side


class Jittery:
    """The same person, seen with normal noise on every point."""

    def __init__(self, person, sigma_m, rng):
        self._person, self._sigma_m, self._rng = person, sigma_m, rng

    def point(self, name):
        return self._person.point(name) + self._rng.normal(0, self._sigma_m, 3)

    def __getattr__(self, name):
        return getattr(self._person, name)


def of_motion(motion, step=3, spine_pitch_only=False):
    """People of a clip; with a spine that bends forward only, for formats that say no more."""
    for k in range(0, len(motion), step):
        quats = motion.quats[k].copy()
        R = Rotation.from_quat(quats[0], scalar_first=True).as_matrix()
        quats[0] = [1, 0, 0, 0]
        if spine_pitch_only:
            for name in ('spine1', 'spine2', 'spine3'):
                row = SMPLX.index[name]
                x = Rotation.from_quat(quats[row], scalar_first=True).as_rotvec()[0]
                quats[row] = Rotation.from_rotvec([x, 0, 0]).as_quat(scalar_first=True)
        yield Truth(quats, rigid(R, motion.translation[k]))
