# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The skeleton of camera trackers (ZED, Azure Kinect) in the T-pose.

It is not SMPL's: the spine is a straight line from between the hips to between the shoulders, where
the neck begins; feet end on the ground, hands in the palm. Points of a tracker put at SMPL's joints
would lean the body back by 20 degrees. So the inverse kinematics works on the tracker's skeleton,
and what its joints have turned since the T-pose is the same on every other.

The numbers are those of ZED's BODY_34 at rest, as the SDK exports it, with the arms lifted. That
BODY_38 and the Kinect are alike was found in no document, and in no recording that may be used.
"""

from collections.abc import Mapping
from functools import cache

import numpy as np

from avatar_ros.body.skeletons import BLAZEPOSE_INDEX, SIDES, SMPLX
from avatar_ros.tracking.rest_landmarks import RestLandmarks, free_rest_landmarks
from avatar_ros.types import FloatArray

#: Metres from between the hips: x left (of the left side), y up, z forward.
_JOINTS = {
    'pelvis': (0.0, 0.0, 0.0),
    'neck': (0.0, 0.551, 0.0),
    'head': (0.0, 0.686, 0.063),
    'collar': (0.050, 0.551, 0.0),
    'shoulder': (0.200, 0.551, 0.0),
    'elbow': (0.460, 0.551, 0.0),
    'wrist': (0.710, 0.551, 0.0),
    'hip': (0.100, 0.0, 0.0),
    'knee': (0.100, -0.450, 0.0),
    'ankle': (0.100, -0.850, 0.0),
    'foot': (0.100, -0.950, 0.120),
}
_POINTS = {
    'nose': (0.0, 0.731, 0.063),
    'eye': (0.027, 0.763, 0.032),
    'ear': (0.077, 0.742, -0.054),
    'heel': (0.100, -0.950, -0.040),
    'foot_index': (0.100, -0.950, 0.120),
}
_PALM_M = 0.050
#: How far up the spine its points are, by how many there are between pelvis and neck.
_SPINE = {
    0: (1 / 4, 2 / 4, 3 / 4),
    2: (1 / 3, 1 / 2, 2 / 3),  # navel and chest; spine2, which is not seen, between them
    3: (1 / 4, 2 / 4, 3 / 4),
}
_HAND = ('thumb', 'index', 'middle', 'ring', 'pinky')


@cache
def camera_skeleton(spine_points: int) -> RestLandmarks:
    """Joints and landmarks in the T-pose, metres from between the hips, SMPL axes.

    :param spine_points: between pelvis and neck: 0 (BODY_18), 2 (BODY_34, Kinect) or 3 (BODY_38).
    """
    free = free_rest_landmarks()
    joints, points = free.joints.copy(), free.points.copy()
    for name, place in _both_sides(_JOINTS):
        joints[SMPLX.index[name]] = place
    neck = np.array(_JOINTS['neck'])
    for name, share in zip(('spine1', 'spine2', 'spine3'), _SPINE[spine_points], strict=True):
        joints[SMPLX.index[name]] = share * neck
    for name, place in _both_sides(_POINTS):
        points[BLAZEPOSE_INDEX[name]] = place
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        wrist = SMPLX.index[f'{side}_wrist']
        fingers = [row for row, name in enumerate(SMPLX.joints)
                   if name.startswith(tuple(f'{side}_{finger}' for finger in _HAND))]  # fmt: skip
        joints[fingers] += joints[wrist] - free.joints[wrist]
        joints[SMPLX.index[f'{side}_middle1']] = joints[wrist] + [sign * _PALM_M, 0, 0]
    return RestLandmarks(joints, points, free.carrier)


def _both_sides(table: Mapping[str, tuple[float, ...]]) -> list[tuple[str, FloatArray]]:
    """Names as ours are, with their places; those beside the middle on either side."""
    found = []
    for name, place in table.items():
        left = np.array(place)
        if left[0]:
            found += [(f'left_{name}', left), (f'right_{name}', left * [-1, 1, 1])]
        else:
            found.append((name, left))
    return found
