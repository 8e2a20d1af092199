# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Poses and faces in which a person is lit and pictured."""

import cv2
import numpy as np
from makehuman import posed_joints, skin

from avatar_ros.body.skeletons import ARKIT_52, FINGERS, SMPLX
from dressed_person.part import Part

FACES = {
    'neutral': {},
    'open': {'jawOpen': 0.9},
    'blink': {'eyeBlinkLeft': 1.0, 'eyeBlinkRight': 1.0},
    'half': {'eyeBlinkLeft': 0.5, 'eyeBlinkRight': 0.5},
    'smile': {'mouthSmileLeft': 1.0, 'mouthSmileRight': 1.0, 'jawOpen': 0.15},
    'brows': {'browInnerUp': 1.0, 'browOuterUpLeft': 1.0, 'browOuterUpRight': 1.0},
    'pucker': {'mouthPucker': 1.0},
    'tongue': {'jawOpen': 0.7, 'tongueOut': 1.0},
    'talk': {
        'jawOpen': 0.35,
        'mouthFunnel': 0.4,
        'mouthUpperUpLeft': 0.4,
        'mouthUpperUpRight': 0.4,
    },
}


class Poses:
    """The parts of one person in each of the poses and faces, from the T-pose."""

    def __init__(self, parts: list[Part], joints: np.ndarray) -> None:
        self.parts, self.rest_joints = parts, joints
        self.rotvecs = poses(joints)
        self._rotations = {
            name: local_to_global(np.stack([cv2.Rodrigues(r)[0] for r in pose]))
            for name, pose in self.rotvecs.items()
        }

    def joints(self, pose: str) -> np.ndarray:
        """(55, 3)."""
        return posed_joints(self.rest_joints, self._rotations[pose])

    def vertices(self, pose: str, face: str) -> list[np.ndarray]:
        """(V, 3) of each part."""
        weights = np.array([FACES[face].get(name, 0.0) for name in ARKIT_52])
        result = []
        for part in self.parts:
            v = part.vertices
            if part.deltas is not None:
                v = v + np.einsum('k,kvc->vc', weights, part.deltas)
            result.append(skin(v, part.weights, self.rest_joints, self._rotations[pose]))
        return result


def poses(joints: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> parent-relative rotation vectors (55, 3) from the T-pose."""
    row = SMPLX.index
    result = {name: np.zeros((len(SMPLX), 3)) for name in ('t', 'relaxed', 'up', 'sit', 'bent')}
    for side, s in (('left', 1), ('right', -1)):
        flexion = np.cross(
            joints[row[f'{side}_middle2']] - joints[row[f'{side}_middle1']],
            joints[row[f'{side}_middle3']] - joints[row[f'{side}_middle2']],
        )
        flexion /= np.linalg.norm(flexion)
        for finger in FINGERS[:4]:
            for k, angle in ((1, 0.22), (2, 0.30), (3, 0.22)):
                result['relaxed'][row[f'{side}_{finger}{k}']] = flexion * angle
                result['bent'][row[f'{side}_{finger}{k}']] = flexion * 1.2
        result['relaxed'][row[f'{side}_shoulder']] = (0.1, 0, -s * 1.15)
        result['relaxed'][row[f'{side}_elbow']] = (0, -s * 0.25, 0)
        result['up'][row[f'{side}_shoulder']] = (0, 0, s * 1.0)
        result['up'][row[f'{side}_collar']] = (0, 0, s * 0.25)
        result['bent'][row[f'{side}_shoulder']] = (s * 0.4, -s * 0.4, -s * 1.1)
        result['bent'][row[f'{side}_elbow']] = (0, -s * 1.9, 0)
        result['bent'][row[f'{side}_hip']] = (-0.4 * s, 0, 0)
        result['bent'][row[f'{side}_knee']] = (0.8, 0, 0)
        result['sit'][row[f'{side}_hip']] = (-1.5, 0, 0)
        result['sit'][row[f'{side}_knee']] = (1.5, 0, 0)
        result['sit'][row[f'{side}_shoulder']] = (0, -s * 0.5, -s * 1.0)
        result['sit'][row[f'{side}_elbow']] = (0, -s * 1.0, 0)
    return result


def local_to_global(local: np.ndarray) -> np.ndarray:
    R = local.copy()
    for j, parent in enumerate(SMPLX.parents):
        if parent >= 0:
            R[j] = R[parent] @ local[j]
    return R
