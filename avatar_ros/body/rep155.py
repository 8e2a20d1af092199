# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The human of REP-155 (ROS4HRI): 20 hinges, and how a SMPL-X pose is told with them.

Names, axes and order of the hinges are those of ``human_description/urdf/human-tpl.xacro``; the
places of the joints are those of our body, so that a skeleton drawn from the hinges lies in the
person. At zero it stands upright with hanging arms. Axes are ROS axes (x forward, y left, z up),
and the origin of the body is the middle of the hips.

What 20 hinges cannot tell: the spine's lean and twist, the collars, the twist of forearms and
shins, wrists, feet, fingers. Shoulders, hips and head are turned so that arms, legs and face point
where they do in truth, even if the trunk that they hang on does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from avatar_ros.body.foreign import REP155_JOINTS
from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.pose import BodyPose
from avatar_ros.body.skeletons import SMPLX
from avatar_ros.geometry import R_ROS_SMPL, matrix_from_rotvec, rigid, rotvec_from_matrix
from avatar_ros.types import FloatArray

_X, _Y, _Z = np.eye(3)
#: Letter of the hinge's name, side of the joint's name, and the sign that mirrors an axis.
SIDES = (('l', 'left', 1.0), ('r', 'right', -1.0))
#: Axis (3,) of each hinge, in the axes of its parent.
AXES: dict[str, FloatArray] = {
    'waist': _Y,
    'r_head': _X,
    'y_head': _Z,
    'p_head': -_Y,
    **{
        f'{letter}_{hinge}': axis
        for letter, _, sign in SIDES
        for hinge, axis in {
            'y_shoulder': -sign * _Z,
            'p_shoulder': sign * _X,
            'r_shoulder': sign * _Z,
            'elbow': -_Y,
            'y_hip': -_Z,
            'p_hip': sign * _X,
            'r_hip': -_Y,
            'knee': -_Y,
        }.items()
    },
}
#: Range in radians of a human joint, as the URDF states it. Angles are not cut off there.
LIMITS = {
    'waist': (-0.8, 1.8),
    'r_head': (-1.0, 1.0),
    'y_head': (-1.6, 1.6),
    'p_head': (-1.5, 1.5),
    'y_shoulder': (-1.7, 1.7),
    'p_shoulder': (-0.4, 3.3),
    'r_shoulder': (-1.7, 1.7),
    'elbow': (0.0, 2.7),
    'y_hip': (-0.8, 0.8),
    'p_hip': (-0.6, 1.6),
    'r_hip': (-0.8, 2.4),
    'knee': (-2.7, 0.0),
}
_SELLION_M = 0.02  # in front of the middle of the eyes
_STRAIGHT, _BENT = 0.1, 0.3  # sine of a bend from which its plane is (not) seen
_SINGULAR = 0.01
#: From the T-pose to hanging arms, in SMPL axes.
HANGING = {side: matrix_from_rotvec([0.0, 0.0, -sign * np.pi / 2]) for _, side, sign in SIDES}


@dataclass(frozen=True)
class Link:
    """A link of the human and what it hangs on."""

    name: str
    parent: str
    joint: str
    """Name of the joint to the parent, without the ``_<id>``."""
    origin: FloatArray
    """(3,) metres in the parent."""
    axis: FloatArray | None = None
    """Of a hinge; None if it is fixed."""


def limits(joint: str) -> tuple[float, float]:
    """Least and largest angle of a hinge in radians."""
    return LIMITS[joint] if joint in LIMITS else LIMITS[joint[2:]]


class Rep155Human:
    """The human whose joints rest at `joints` (55, 3): SMPL-X, T-pose, metres, SMPL axes."""

    def __init__(self, joints: FloatArray) -> None:
        self._rest = np.asarray(joints, dtype=float)
        self._hips = self._at('left_hip', 'right_hip')
        self._shoulders = self._at('left_shoulder', 'right_shoulder')
        # One hinge for three vertebrae, and one for two: to first order about their middle.
        self._waist = self._at('spine1', 'spine2', 'spine3')
        self._neck = self._at('neck', 'head')
        self._eyes = self._at('left_eye_smplhf', 'right_eye_smplhf')
        self.links: tuple[Link, ...] = tuple(self._make_links())
        """Every link but the root ``body``; parents before children."""
        self._by_name = {link.name: link for link in self.links}
        self._hinged = [k for k, link in enumerate(self.links) if link.axis is not None]
        self._axes = np.stack([AXES[self.links[k].joint] for k in self._hinged])
        self._zero = np.stack([rigid(np.eye(3), link.origin) for link in self.links])

    def _at(self, *names: str) -> FloatArray:
        """Middle of joints at rest (3,), SMPL axes."""
        return np.asarray(self._rest[SMPLX.rows(names)].mean(axis=0))

    def _make_links(self) -> list[Link]:
        def step(a: FloatArray, b: FloatArray, turn: FloatArray | None = None) -> FloatArray:
            way = b - a if turn is None else turn @ (b - a)
            return np.asarray(R_ROS_SMPL @ way)

        zero = np.zeros(3)
        head = self._at('head') * (1, 0, 1) + self._eyes * (0, 1, 0)  # between the ears
        links = [
            Link('waist', 'body', 'waist', step(self._hips, self._waist), AXES['waist']),
            Link('torso', 'waist', 'torso', step(self._waist, self._shoulders)),
            Link('r_head', 'torso', 'r_head', step(self._shoulders, self._neck), AXES['r_head']),
            Link('y_head', 'r_head', 'y_head', zero, AXES['y_head']),
            Link('p_head', 'y_head', 'p_head', zero, AXES['p_head']),
            Link('head', 'p_head', 'head', step(self._neck, head)),
        ]
        for letter, side, _ in SIDES:
            for limb, base, root, bend, tip in (
                ('shoulder', 'torso', self._shoulders, 'elbow', 'wrist'),
                ('hip', 'body', self._hips, 'knee', 'ankle'),
            ):
                turn = HANGING[side] if limb == 'shoulder' else None
                joints = [self._at(f'{side}_{name}') for name in (limb, bend, tip)]
                y, p, r = (f'{letter}_{k}_{limb}' for k in 'ypr')
                upper, lower = f'{letter}_{limb}', f'{letter}_{bend}'
                end = f'{letter}_{tip}'
                links += [
                    Link(y, base, y, step(root, joints[0]), AXES[y]),
                    Link(p, y, p, zero, AXES[p]),
                    Link(upper, p, r, zero, AXES[r]),
                    Link(lower, upper, lower, step(joints[0], joints[1], turn), AXES[lower]),
                    Link(end, lower, end, step(joints[1], joints[2], turn)),
                ]
        return links

    @property
    def T_head_face(self) -> FloatArray:
        """(4, 4): the face's frame lies at the sellion."""
        head = self._at('head')[2]
        forward = self._eyes[2] + _SELLION_M - head
        return rigid(np.eye(3), np.array([forward, 0.0, 0.0]))

    def T_frame_body(self, pose: BodyPose) -> FloatArray:
        """(4, 4) of ``body_<id>`` in the pose's frame."""
        R_frame_root = pose.T_frame_root[:3, :3]
        hips = pose.T_frame_root[:3, 3] + R_frame_root @ (self._hips - self._rest[0])
        return rigid(R_frame_root @ R_ROS_SMPL.T, hips)

    def transforms(self, angles: Mapping[str, float]) -> dict[str, FloatArray]:
        """Forward kinematics: T_parent_link (4, 4) of every link."""
        turned = np.array([angles[self.links[k].joint] for k in self._hinged])
        T = self._zero.copy()
        T[self._hinged, :3, :3] = matrix_from_rotvec(turned[:, None] * self._axes)
        return {link.name: T[k] for k, link in enumerate(self.links)}

    # -- from a pose -------------------------------------------------------------------------

    def angles(self, pose: BodyPose, before: Mapping[str, float] | None = None) -> dict[str, float]:
        """Radians of the 20 hinges, in the order of the standard.

        Where an arm hangs straight down two of its hinges do the same; `before` decides which of
        them turns, so that neither jumps. Joints that the pose lacks are at rest.
        """
        R = self._rotations(pose)
        pitch = _pitch(R['spine3'])
        R_torso = matrix_from_rotvec(pitch * AXES['waist'])
        found = {'waist': pitch}
        head = R_torso.T @ R['head']
        found['r_head'] = float(np.arctan2(head[2, 1], head[1, 1]))
        found['y_head'] = float(np.arcsin(np.clip(-head[0, 1], -1, 1)))
        found['p_head'] = -float(np.arctan2(head[0, 2], head[0, 0]))
        by_name = self._by_name
        for letter, side, sign in SIDES:
            hanging = R_ROS_SMPL @ HANGING[side] @ R_ROS_SMPL.T
            upper = R_torso.T @ R[f'{side}_shoulder'] @ hanging.T
            lower = R_torso.T @ R[f'{side}_elbow'] @ hanging.T
            bones = by_name[f'{letter}_elbow'].origin, by_name[f'{letter}_wrist'].origin
            elbow, upper = _hinge(upper, lower, *bones, AXES[f'{letter}_elbow'])
            names = [f'{letter}_{k}_shoulder' for k in 'ypr']
            last = [before[name] for name in names] if before else [0.0, 0.0, 0.0]
            found.update(zip(names, _shoulder(upper, sign, last), strict=True))
            found[f'{letter}_elbow'] = elbow
            bones = by_name[f'{letter}_knee'].origin, by_name[f'{letter}_ankle'].origin
            knee, upper = _hinge(
                R[f'{side}_hip'], R[f'{side}_knee'], *bones, AXES[f'{letter}_knee']
            )
            found[f'{letter}_y_hip'] = -float(np.arctan2(-upper[0, 1], upper[1, 1]))
            found[f'{letter}_p_hip'] = sign * float(np.arcsin(np.clip(upper[2, 1], -1, 1)))
            found[f'{letter}_r_hip'] = -float(np.arctan2(-upper[2, 0], upper[2, 2]))
            found[f'{letter}_knee'] = knee
        return {joint: found[joint] for joint in REP155_JOINTS}

    def _rotations(self, pose: BodyPose) -> dict[str, FloatArray]:
        """How joints are turned from rest in the pelvis's axes (3, 3), ROS axes, by name."""
        if 'spine3' not in pose.skeleton.index:
            raise ValueError(
                f'the pose is of skeleton {pose.skeleton.name!r}; REP-155 needs a whole body, '
                'smpl or smplx.'
            )
        rest = np.zeros((len(pose.skeleton), 3))
        T = forward_kinematics(pose.skeleton, rest, pose.rotations)
        R = R_ROS_SMPL @ T[:, :3, :3] @ R_ROS_SMPL.T
        return {joint: R[row] for joint, row in pose.skeleton.index.items()}


def _pitch(R: FloatArray) -> float:
    """How far (about y) a rotation leans z forward."""
    return float(np.arctan2(R[0, 2], R[2, 2]))


def _hinge(
    upper: FloatArray,
    lower: FloatArray,
    upper_bone: FloatArray,
    lower_bone: FloatArray,
    axis: FloatArray,
) -> tuple[float, FloatArray]:
    """Angle of a hinge, and the upper bone's rotation that brings the hinge into the bend's plane.

    `upper` and `lower` are how the bones are turned in truth; both bones then point as they do,
    which the twist about themselves pays for.
    """
    along, onward = upper @ upper_bone, lower @ lower_bone
    along, onward = along / np.linalg.norm(along), onward / np.linalg.norm(onward)
    u, w = upper_bone / np.linalg.norm(upper_bone), lower_bone / np.linalg.norm(lower_bone)
    # u . (w turned by t about the axis) = a cos t + b sin t + c is the cosine of the bend.
    c = float((u @ axis) * (axis @ w))
    a, b = float(u @ w) - c, float(u @ np.cross(axis, w))
    reach = float(np.hypot(a, b))
    middle, off = float(np.arctan2(b, a)), np.arccos(np.clip((along @ onward - c) / reach, -1, 1))
    turned = float(rotvec_from_matrix(upper.T @ lower) @ axis)
    candidates = [_wrapped(middle + off), _wrapped(middle - off)]
    angle = min(candidates, key=lambda t: abs(_wrapped(t - turned)))
    # Twist about the upper bone, from where the hinge would put the lower one to where it is.
    put = upper @ matrix_from_rotvec(angle * axis) @ w
    p, q = put - (put @ along) * along, onward - (onward @ along) * along
    twist = float(np.arctan2(np.cross(p, q) @ along, p @ q))
    sine = float(np.linalg.norm(q))
    trust = float(np.clip((sine - _STRAIGHT) / (_BENT - _STRAIGHT), 0.0, 1.0))
    return angle, np.asarray(matrix_from_rotvec(trust * twist * along) @ upper)


def _shoulder(R: FloatArray, sign: float, before: list[float]) -> tuple[float, float, float]:
    """Yaw, pitch and roll with R = Rz(-sign yaw) Rx(sign pitch) Rz(sign roll)."""
    sine = float(np.hypot(R[0, 2], R[1, 2]))
    if sine < _SINGULAR and R[2, 2] > 0:  # it hangs: only the sum of yaw and roll is seen
        whole = float(np.arctan2(R[1, 0], R[0, 0]))
        yaw = before[0]
        return yaw, 0.0, _wrapped(sign * whole + yaw)
    yaw = -sign * float(np.arctan2(R[0, 2], -R[1, 2]))
    pitch = sign * float(np.arctan2(sine, R[2, 2]))
    roll = sign * float(np.arctan2(R[2, 0], R[2, 1]))
    pair = [(yaw, pitch, roll), (_wrapped(yaw + np.pi), -pitch, _wrapped(roll + np.pi))]
    ranges = [LIMITS[f'{k}_shoulder'] for k in 'ypr']

    def cost(angles: tuple[float, float, float]) -> float:
        beyond = sum(
            max(0.0, low - t, t - high) for t, (low, high) in zip(angles, ranges, strict=True)
        )
        moved = sum(abs(_wrapped(t - b)) for t, b in zip(angles, before, strict=True))
        return 10.0 * beyond + moved

    return min(pair, key=cost)


def _wrapped(angle: float | FloatArray) -> float:
    """The same angle within half a turn."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
