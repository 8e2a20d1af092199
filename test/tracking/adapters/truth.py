# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A person whose every point and rotation is known: T-poses and a captured walk."""

import numpy as np
from scipy.spatial.transform import Rotation

from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.skeletons import BLAZEPOSE_INDEX, SMPLX
from avatar_ros.geometry import rigid
from avatar_ros.tracking.rest_landmarks import RestLandmarks, free_rest_landmarks

REST = free_rest_landmarks()
#: BODY_34 as the ZED SDK exports it at rest: x right, y up, z back, metres, arms hanging.
ZED_34_AT_REST = {
    'pelvis': (0, -0.55, 0),
    'neck': (0, 0, 0),
    'left_collar': (-0.05009, 0.000996, 0),
    'left_shoulder': (-0.20009, 0.000996, 0),
    'left_elbow': (-0.20009, -0.25900, 0),
    'left_wrist': (-0.20009, -0.50900, 0),
    'left_middle1': (-0.20009, -0.55900, 0),
    'left_hip': (-0.1, -0.55, 0),
    'left_knee': (-0.1, -1.0, 0),
    'left_ankle': (-0.1, -1.4, 0),
    'left_foot': (-0.1, -1.5, -0.12),
    'head': (0, 0.13593, -0.06343),
    'nose': (0, 0.18124, -0.06343),
    'left_eye': (-0.02719, 0.21295, -0.03172),
    'left_ear': (-0.07703, 0.19211, 0.05437),
    'left_heel': (-0.1, -1.5, 0.04),
    'left_foot_index': (-0.1, -1.5, -0.12),
}
ZED_34_SPINE = {'spine1': -0.36667, 'spine3': -0.18334}  # their heights


def zed_34_at_rest(arms_hang=False):
    """The same from between the hips in SMPL axes, both sides."""
    lifted = Rotation.from_euler('z', 90, degrees=True).as_matrix()
    left = {name: np.array(p) * [-1, 1, -1] for name, p in ZED_34_AT_REST.items()}
    shoulder = left['left_shoulder']
    for name in ('left_elbow', 'left_wrist', 'left_middle1'):
        if not arms_hang:
            left[name] = shoulder + lifted @ (left[name] - shoulder)
    left |= {name: np.array([0, y, 0]) for name, y in ZED_34_SPINE.items()}
    right = {n.replace('left', 'right'): p * [-1, 1, 1] for n, p in left.items() if 'left' in n}
    return {name: p - left['pelvis'] for name, p in (left | right).items()}


def camera_rest(spine_points):
    """A whole skeleton around these points, with 0, 2 or 3 of them between pelvis and neck."""
    joints, points = REST.joints.copy(), REST.points.copy()
    known = zed_34_at_rest()
    for k, name in enumerate(('spine1', 'spine2', 'spine3'), start=1):
        share = {1: 1 / 3, 2: 1 / 2, 3: 2 / 3}[k] if spine_points == 2 else k / 4
        known[name] = share * known['neck']
    for name, place in known.items():
        if name in SMPLX.index:
            joints[SMPLX.index[name]] = place
        if (
            name in ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear')
            or 'heel' in name
            or 'foot_' in name
        ):
            points[BLAZEPOSE_INDEX[name]] = place
    for side in ('left', 'right'):  # other fingers as far from the wrist as the free body's
        wrist = SMPLX.index[f'{side}_wrist']
        for row, name in enumerate(SMPLX.joints):
            if name[-1] in '123' and name.startswith(side) and 'middle1' not in name:
                joints[row] = joints[wrist] + REST.joints[row] - REST.joints[wrist]
    return RestLandmarks(joints, points, REST.carrier)


class Truth:
    """Joint transforms of the free body in a world with SMPL axes."""

    def __init__(self, quats=None, T_root=None, rest=REST):
        self.rest = rest
        self.T_root = rigid(np.eye(3), [0.2, 1.0, 0.3]) if T_root is None else T_root
        self.quats = np.tile([1.0, 0, 0, 0], (len(SMPLX), 1)) if quats is None else quats
        self.T = forward_kinematics(SMPLX, rest.joints, self.quats, self.T_root)

    def as_camera(self, spine_points):
        """The same person as a camera tracker's skeleton has him, hips in the same place."""
        hips = REST.joints[SMPLX.rows(('left_hip', 'right_hip'))].mean(axis=0)
        T_root = self.T_root @ rigid(np.eye(3), hips - REST.joints[0])
        return Truth(self.quats, T_root, camera_rest(spine_points))

    def point(self, name):
        if name in SMPLX.index:
            return self.T[SMPLX.index[name], :3, 3]
        row = BLAZEPOSE_INDEX[name]
        carrier = self.rest.carrier[row]
        local = self.rest.points[row] - self.rest.joints[carrier]
        return self.T[carrier, :3, :3] @ local + self.T[carrier, :3, 3]

    def landmark(self, name):
        """Where BlazePose marks this, which at shoulders and hips is not the joint."""
        return self.rest.posed(self.T)[BLAZEPOSE_INDEX[name]]

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

    def landmark(self, name):
        return self._mirror @ self._person.landmark(name)

    def rotation(self, joint):
        return self._mirror @ self._person.rotation(joint) @ self._mirror

    def local(self, joint):
        return self._mirror @ self._person.local(joint) @ self._mirror


def other_side(joint):
    side, _, part = joint.partition('_')
    return {'left': f'right_{part}', 'right': f'left_{part}'}.get(side, joint)


class Swapped:
    """The same person with the name of each side given to the other."""

    def __init__(self, person):
        self._person = person

    def __getattr__(self, name):
        method = getattr(self._person, name)

        return lambda joint: method(other_side(joint))


class Jittery:
    """The same person, seen with normal noise on every point."""

    def __init__(self, person, sigma_m, rng):
        self._person, self._sigma_m, self._rng = person, sigma_m, rng

    def point(self, name):
        return self._person.point(name) + self._rng.normal(0, self._sigma_m, 3)

    def as_camera(self, spine_points):
        return Jittery(self._person.as_camera(spine_points), self._sigma_m, self._rng)

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


def before_the_camera(people, degrees):
    """The same, turned about the vertical, and on the spot in the mean; facing it at 0."""
    people = list(people)
    middle = np.mean([person.T_root[:3, 3] for person in people], axis=0) * [1, 0, 1]
    turn = rigid(Rotation.from_euler('y', degrees, degrees=True).as_matrix(), [0, 0, 0])
    for person in people:
        yield Truth(person.quats, turn @ rigid(np.eye(3), -middle) @ person.T_root)
