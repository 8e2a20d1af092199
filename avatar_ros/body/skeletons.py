# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Every joint and landmark table, by name. Index maps are computed from names, never typed in.

Sources: SMPL (Loper 2015), SMPL-X (Pavlakos 2019), FLAME (Li 2017) joint orders as in the
``smplx`` package; BlazePose GHUM 33 and hand 21 as in MediaPipe; the 52 ARKit blend shapes of
``ARFaceAnchor.BlendShapeLocation``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avatar_ros.types import Array

_BODY = (
    ('pelvis', ''),
    ('left_hip', 'pelvis'),
    ('right_hip', 'pelvis'),
    ('spine1', 'pelvis'),
    ('left_knee', 'left_hip'),
    ('right_knee', 'right_hip'),
    ('spine2', 'spine1'),
    ('left_ankle', 'left_knee'),
    ('right_ankle', 'right_knee'),
    ('spine3', 'spine2'),
    ('left_foot', 'left_ankle'),
    ('right_foot', 'right_ankle'),
    ('neck', 'spine3'),
    ('left_collar', 'spine3'),
    ('right_collar', 'spine3'),
    ('head', 'neck'),
    ('left_shoulder', 'left_collar'),
    ('right_shoulder', 'right_collar'),
    ('left_elbow', 'left_shoulder'),
    ('right_elbow', 'right_shoulder'),
    ('left_wrist', 'left_elbow'),
    ('right_wrist', 'right_elbow'),
)
_SMPL_HANDS = (('left_hand', 'left_wrist'), ('right_hand', 'right_wrist'))
_SMPLX_HEAD = (('jaw', 'head'), ('left_eye_smplhf', 'head'), ('right_eye_smplhf', 'head'))
SIDES = ('left', 'right')
#: In the order of SMPL-X's hand joints.
FINGERS = ('index', 'middle', 'pinky', 'ring', 'thumb')
_SMPLX_FINGERS = tuple(
    (f'{side}_{finger}{k}', f'{side}_wrist' if k == 1 else f'{side}_{finger}{k - 1}')
    for side in SIDES
    for finger in FINGERS
    for k in (1, 2, 3)
)


@dataclass(frozen=True)
class Skeleton:
    """Named joints in file order; every parent stands before its children."""

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]

    @classmethod
    def from_pairs(cls, name: str, pairs: Sequence[tuple[str, str]]) -> 'Skeleton':
        joints = tuple(joint for joint, _ in pairs)
        return cls(name, joints, tuple(joints.index(p) if p else -1 for _, p in pairs))

    def __len__(self) -> int:
        return len(self.joints)

    @cached_property
    def index(self) -> dict[str, int]:
        """Joint name -> row."""
        return {joint: i for i, joint in enumerate(self.joints)}

    @cached_property
    def parent_array(self) -> Array:
        """Parents (J,) as int32; -1 for the root."""
        return np.asarray(self.parents, dtype=np.int32)

    def rows(self, names: Sequence[str]) -> Array:
        """Rows (len(names),) of the named joints.

        :raises ValueError: naming the joints that this skeleton lacks.
        """
        missing = [name for name in names if name not in self.index]
        if missing:
            raise ValueError(
                f'skeleton {self.name!r} has no joint {", ".join(map(repr, missing[:5]))}. '
                f'Its joints are {", ".join(self.joints)}.'
            )
        return np.asarray([self.index[name] for name in names], dtype=np.int64)


SMPL = Skeleton.from_pairs('smpl', _BODY + _SMPL_HANDS)
SMPLX = Skeleton.from_pairs('smplx', _BODY + _SMPLX_HEAD + _SMPLX_FINGERS)
FLAME = Skeleton.from_pairs(
    'flame',
    (
        ('global', ''),
        ('neck', 'global'),
        ('jaw', 'neck'),
        ('left_eye', 'neck'),
        ('right_eye', 'neck'),
    ),
)
SKELETONS = {skeleton.name: skeleton for skeleton in (SMPL, SMPLX, FLAME)}


def skeleton_by_name(name: str) -> Skeleton:
    """:raises ValueError: if there is no such skeleton, with those there are."""
    if name not in SKELETONS:
        raise ValueError(f'unknown skeleton {name!r}; known are {", ".join(sorted(SKELETONS))}.')
    return SKELETONS[name]


#: BlazePose landmarks, in MediaPipe's order.
BLAZEPOSE_33 = (
    'nose',
    'left_eye_inner',
    'left_eye',
    'left_eye_outer',
    'right_eye_inner',
    'right_eye',
    'right_eye_outer',
    'left_ear',
    'right_ear',
    'mouth_left',
    'mouth_right',
    'left_shoulder',
    'right_shoulder',
    'left_elbow',
    'right_elbow',
    'left_wrist',
    'right_wrist',
    'left_pinky',
    'right_pinky',
    'left_index',
    'right_index',
    'left_thumb',
    'right_thumb',
    'left_hip',
    'right_hip',
    'left_knee',
    'right_knee',
    'left_ankle',
    'right_ankle',
    'left_heel',
    'right_heel',
    'left_foot_index',
    'right_foot_index',
)
BLAZEPOSE_INDEX = {name: i for i, name in enumerate(BLAZEPOSE_33)}
#: Bones to draw between BlazePose landmarks.
BLAZEPOSE_BONES = tuple(
    (BLAZEPOSE_INDEX[a], BLAZEPOSE_INDEX[b])
    for side in SIDES
    for a, b in (
        (f'{side}_shoulder', f'{side}_elbow'),
        (f'{side}_elbow', f'{side}_wrist'),
        (f'{side}_wrist', f'{side}_index'),
        (f'{side}_wrist', f'{side}_pinky'),
        (f'{side}_shoulder', f'{side}_hip'),
        (f'{side}_hip', f'{side}_knee'),
        (f'{side}_knee', f'{side}_ankle'),
        (f'{side}_ankle', f'{side}_heel'),
        (f'{side}_heel', f'{side}_foot_index'),
    )
) + tuple(
    (BLAZEPOSE_INDEX[f'left_{part}'], BLAZEPOSE_INDEX[f'right_{part}'])
    for part in ('shoulder', 'hip')
)

#: MediaPipe hand landmarks, in its order.
HAND_21 = (
    'wrist',
    *(
        f'{finger}_{part}'
        for finger, parts in (
            ('thumb', ('cmc', 'mcp', 'ip', 'tip')),
            ('index', ('mcp', 'pip', 'dip', 'tip')),
            ('middle', ('mcp', 'pip', 'dip', 'tip')),
            ('ring', ('mcp', 'pip', 'dip', 'tip')),
            ('pinky', ('mcp', 'pip', 'dip', 'tip')),
        )
        for part in parts
    ),
)
HAND_INDEX = {name: i for i, name in enumerate(HAND_21)}

#: ARKit's blend shapes, alphabetically, as the free body's expressions are.
ARKIT_52 = (
    'browDownLeft',
    'browDownRight',
    'browInnerUp',
    'browOuterUpLeft',
    'browOuterUpRight',
    'cheekPuff',
    'cheekSquintLeft',
    'cheekSquintRight',
    'eyeBlinkLeft',
    'eyeBlinkRight',
    'eyeLookDownLeft',
    'eyeLookDownRight',
    'eyeLookInLeft',
    'eyeLookInRight',
    'eyeLookOutLeft',
    'eyeLookOutRight',
    'eyeLookUpLeft',
    'eyeLookUpRight',
    'eyeSquintLeft',
    'eyeSquintRight',
    'eyeWideLeft',
    'eyeWideRight',
    'jawForward',
    'jawLeft',
    'jawOpen',
    'jawRight',
    'mouthClose',
    'mouthDimpleLeft',
    'mouthDimpleRight',
    'mouthFrownLeft',
    'mouthFrownRight',
    'mouthFunnel',
    'mouthLeft',
    'mouthLowerDownLeft',
    'mouthLowerDownRight',
    'mouthPressLeft',
    'mouthPressRight',
    'mouthPucker',
    'mouthRight',
    'mouthRollLower',
    'mouthRollUpper',
    'mouthShrugLower',
    'mouthShrugUpper',
    'mouthSmileLeft',
    'mouthSmileRight',
    'mouthStretchLeft',
    'mouthStretchRight',
    'mouthUpperUpLeft',
    'mouthUpperUpRight',
    'noseSneerLeft',
    'noseSneerRight',
    'tongueOut',
)
ARKIT_INDEX = {name: i for i, name in enumerate(ARKIT_52)}


def mirrored(name: str) -> str:
    """The name of the same joint, landmark or blend shape on the other side of the body."""
    for a, b in (('left', 'right'), ('Left', 'Right')):
        if a in name:
            return name.replace(a, b)
        if b in name:
            return name.replace(b, a)
    return name
