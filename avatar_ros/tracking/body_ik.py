# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Closed-form inverse kinematics: 33 BlazePose landmarks -> SMPL-X body rotations.

Only directions are used, never lengths, so the tracked person may be of any size. The trunk is
solved first (pelvis and chest share what the landmarks leave open), then each limb as a hinge
chain. Where a limb is straight its hinge axis is not seen; it is then carried over from the
image before, so that elbows and knees do not flip.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from avatar_ros.body.skeletons import BLAZEPOSE_INDEX, SIDES, SMPLX
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.geometry.single import (
    cross,
    frame,
    length,
    limited,
    matrix_of,
    rotvec_of,
    smallest_rotation,
    unit,
)
from avatar_ros.tracking.rest_landmarks import RestLandmarks
from avatar_ros.types import Array, FloatArray

_L = BLAZEPOSE_INDEX
_HEAD_WEIGHT = 0.3  # of the head's direction from the shoulders, against the trunk's
_MAX_NECK = 1.4  # radians, head against chest
_MAX_WRIST = 1.3
_MAX_ANKLE = 0.9
_MAX_FOREARM_TWIST = 1.4


@dataclass(frozen=True)
class BodyRotations:
    """Result of the IK."""

    R_camera_root: FloatArray
    """(3, 3): SMPL axes at the pelvis to optical axes."""
    quats: FloatArray
    """(55, 4) wxyz parent-relative; identity where nothing was solved."""
    R_camera_joint: dict[str, FloatArray]
    """Global rotations of the trunk, head and limbs, for hands and face to build on."""


class BodyIK:
    """Stateful only in the hinge axes of straight limbs; `reset` forgets them."""

    def __init__(self, rest: RestLandmarks) -> None:
        self.rest = rest
        self._hinges: dict[str, FloatArray] = {}
        joint = {name: rest.joints[i] for name, i in SMPLX.index.items()}
        hips = (rest['left_hip'] + rest['right_hip']) / 2
        shoulders = (rest['left_shoulder'] + rest['right_shoulder']) / 2
        ears = (rest['left_ear'] + rest['right_ear']) / 2
        spine = [joint[f'spine{k}'] for k in (1, 2, 3)]
        #: Hip middle -> spine1 -> spine2 -> spine3 -> shoulder middle, at rest.
        self._spine = np.diff([hips, *spine, shoulders], axis=0)
        #: Shoulder middle -> neck -> head -> middle of the ears, at rest.
        self._neck = np.diff([shoulders, joint['neck'], joint['head'], ears], axis=0)
        self._head_frame = frame(rest['nose'] - ears, rest['left_ear'] - rest['right_ear'])
        #: From the landmarks of shoulders and hips to the joints, in chest and pelvis.
        self._to_joint = {
            name: joint[name] - rest[name]
            for name in (f'{side}_{part}' for side in SIDES for part in ('shoulder', 'hip'))
        }
        self._frames: dict[str, FloatArray] = {}
        self._toes_out: dict[str, float] = {}
        for side, sign in (('left', 1.0), ('right', -1.0)):
            elbow_axis = np.array([0.0, -sign, 0.0])
            upper = joint[f'{side}_elbow'] - joint[f'{side}_shoulder']
            lower = joint[f'{side}_wrist'] - joint[f'{side}_elbow']
            index, pinky = rest[f'{side}_index'], rest[f'{side}_pinky']
            hand = (index + pinky) / 2 - joint[f'{side}_wrist']
            thigh = joint[f'{side}_knee'] - joint[f'{side}_hip']
            shin = joint[f'{side}_ankle'] - joint[f'{side}_knee']
            knee_axis = np.array([1.0, 0.0, 0.0])
            foot = rest[f'{side}_foot_index'] - rest[f'{side}_heel']
            # Feet rest with the toes a little out: from the foot's own axis to that of the knee.
            along, across = unit(shin), unit(cross(-shin, foot))
            toes_out = float(np.arctan2(cross(across, knee_axis) @ along, across @ knee_axis))
            self._toes_out[side] = toes_out
            self._frames[f'{side}_shoulder'] = frame(upper, elbow_axis)
            self._frames[f'{side}_elbow'] = frame(lower, elbow_axis)
            self._frames[f'{side}_wrist'] = frame(hand, index - pinky)
            self._frames[f'{side}_hip'] = frame(thigh, knee_axis)
            self._frames[f'{side}_knee'] = frame(shin, knee_axis)
            self._frames[f'{side}_ankle'] = frame(foot, -shin)

    def reset(self) -> None:
        """Forget the hinge axes of earlier images."""
        self._hinges.clear()

    def __call__(
        self, world: Array, R_camera_head: FloatArray | None = None, *, hips_seen: float = 1.0
    ) -> BodyRotations:
        """Rotations from landmarks (33, 3) in optical axes.

        A face tracker knows the head better than ears and nose do: pass its `R_camera_head`.
        `hips_seen` in 0..1 is the share to which the place of the head may bend the trunk.
        """
        world = np.asarray(world, dtype=float)
        R_head = R_camera_head
        if R_head is None:
            ears = (world[_L['left_ear']] + world[_L['right_ear']]) / 2
            across = world[_L['left_ear']] - world[_L['right_ear']]
            R_head = frame(world[_L['nose']] - ears, across) @ self._head_frame.T
        R_root, R_chest = self._trunk(world, R_head, hips_seen)
        quats = np.tile([1.0, 0.0, 0.0, 0.0], (len(SMPLX), 1))
        spine = rotvec_of(R_root.T @ R_chest) / 3
        for name in ('spine1', 'spine2', 'spine3'):
            quats[SMPLX.index[name]] = quat_from_rotvec(spine)
        neck = limited(rotvec_of(R_chest.T @ R_head), _MAX_NECK) / 2
        for name in ('neck', 'head'):
            quats[SMPLX.index[name]] = quat_from_rotvec(neck)
        R_joint = {'pelvis': R_root, 'spine3': R_chest}
        R_joint['head'] = R_chest @ matrix_of(2 * neck)
        for side in SIDES:
            self._arm(world, side, R_chest, R_joint, quats)
            self._leg(world, side, R_root, R_joint, quats)
        return BodyRotations(R_root, quats, R_joint)

    # -- trunk -------------------------------------------------------------------------------

    def _trunk(
        self, world: FloatArray, R_head: FloatArray, hips_seen: float
    ) -> tuple[FloatArray, FloatArray]:
        """Global rotations of pelvis and chest."""
        hips = (world[_L['left_hip']] + world[_L['right_hip']]) / 2
        shoulders = (world[_L['left_shoulder']] + world[_L['right_shoulder']]) / 2
        ears = (world[_L['left_ear']] + world[_L['right_ear']]) / 2
        trunk = unit(shoulders - hips)
        pelvis, chest = _solve_trunk(
            frame(world[_L['left_hip']] - world[_L['right_hip']], trunk),
            frame(world[_L['left_shoulder']] - world[_L['right_shoulder']], trunk),
            np.ascontiguousarray(R_head),
            trunk,
            unit(ears - shoulders),
            self._spine,
            self._neck,
            _HEAD_WEIGHT * hips_seen,
        )
        return pelvis, chest

    # -- limbs -------------------------------------------------------------------------------

    def _arm(
        self,
        world: FloatArray,
        side: str,
        R_chest: FloatArray,
        R_joint: dict[str, FloatArray],
        quats: FloatArray,
    ) -> None:
        sign = 1.0 if side == 'left' else -1.0
        shoulder, elbow, wrist = (world[_L[f'{side}_{p}']] for p in ('shoulder', 'elbow', 'wrist'))
        shoulder = shoulder + R_chest @ self._to_joint[f'{side}_shoulder']
        index, pinky = world[_L[f'{side}_index']], world[_L[f'{side}_pinky']]
        upper, lower = unit(elbow - shoulder), unit(wrist - elbow)
        guess = self._guess(f'{side}_shoulder', R_chest, upper, np.array([0.0, -sign, 0.0]))
        axis = self._hinge(f'{side}_elbow', cross(upper, lower), guess, upper, 0.12, 0.35)
        R_upper = frame(upper, axis) @ self._frames[f'{side}_shoulder'].T
        R_lower = frame(lower, axis) @ self._frames[f'{side}_elbow'].T
        R_hand = frame((index + pinky) / 2 - wrist, index - pinky)
        R_hand = R_hand @ self._frames[f'{side}_wrist'].T
        # Half of the hand's twist is the forearm's (pronation): the skin would wring otherwise.
        bone = self._frames[f'{side}_elbow'][:, 0]
        twist = float(rotvec_of(R_lower.T @ R_hand) @ bone)
        twist = float(np.clip(twist, -_MAX_FOREARM_TWIST, _MAX_FOREARM_TWIST))
        R_lower = R_lower @ matrix_of(0.5 * twist * bone)
        wrist_bend = limited(rotvec_of(R_lower.T @ R_hand), _MAX_WRIST)
        quats[SMPLX.index[f'{side}_shoulder']] = quat_from_rotvec(rotvec_of(R_chest.T @ R_upper))
        quats[SMPLX.index[f'{side}_elbow']] = quat_from_rotvec(rotvec_of(R_upper.T @ R_lower))
        quats[SMPLX.index[f'{side}_wrist']] = quat_from_rotvec(wrist_bend)
        R_joint[f'{side}_elbow'] = R_lower
        R_joint[f'{side}_wrist'] = R_lower @ matrix_of(wrist_bend)

    def _leg(
        self,
        world: FloatArray,
        side: str,
        R_root: FloatArray,
        R_joint: dict[str, FloatArray],
        quats: FloatArray,
    ) -> None:
        hip, knee, ankle = (world[_L[f'{side}_{p}']] for p in ('hip', 'knee', 'ankle'))
        hip = hip + R_root @ self._to_joint[f'{side}_hip']
        foot = unit(world[_L[f'{side}_foot_index']] - world[_L[f'{side}_heel']])
        thigh, shin = unit(knee - hip), unit(ankle - knee)
        # A straight leg points its knee where the foot points.
        guess = matrix_of(self._toes_out[side] * shin) @ cross(-shin, foot)
        if length(guess) < 0.3:
            guess = self._guess(f'{side}_hip', R_root, thigh, np.array([1.0, 0.0, 0.0]))
        axis = self._hinge(f'{side}_knee', cross(thigh, shin), guess, thigh, 0.15, 0.45)
        R_thigh = frame(thigh, axis) @ self._frames[f'{side}_hip'].T
        R_shin = frame(shin, axis) @ self._frames[f'{side}_knee'].T
        R_foot = frame(foot, -shin) @ self._frames[f'{side}_ankle'].T
        ankle_bend = limited(rotvec_of(R_shin.T @ R_foot), _MAX_ANKLE)
        quats[SMPLX.index[f'{side}_hip']] = quat_from_rotvec(rotvec_of(R_root.T @ R_thigh))
        quats[SMPLX.index[f'{side}_knee']] = quat_from_rotvec(rotvec_of(R_thigh.T @ R_shin))
        quats[SMPLX.index[f'{side}_ankle']] = quat_from_rotvec(ankle_bend)

    def _guess(
        self, joint: str, R_parent: FloatArray, bone: FloatArray, rest_axis: FloatArray
    ) -> FloatArray:
        """Hinge axis (3,) if the bone had swung out of its rest direction without twisting."""
        return smallest_rotation(R_parent @ self._frames[joint][:, 0], bone) @ R_parent @ rest_axis

    def _hinge(
        self,
        key: str,
        seen: FloatArray,
        guess: FloatArray,
        bone: FloatArray,
        straight: float,
        bent: float,
    ) -> FloatArray:
        """Unit hinge axis across `bone`: as seen when bent, as before (or guessed) when straight.

        `seen` is the cross product of the two bones, its length the sine of the bend.
        """
        before = self._hinges.get(key)
        if before is not None:
            guess = unit(guess) + 3.0 * before
        sine = length(seen)
        trust = min(1.0, max(0.0, (sine - straight) / (bent - straight)))
        fallback = unit(guess - bone * (guess @ bone))
        axis = trust * (seen / max(sine, 1e-9)) + (1.0 - trust) * fallback
        axis = axis - bone * (axis @ bone)
        axis = fallback if length(axis) < 1e-3 else unit(axis)
        self._hinges[key] = axis
        return axis


@njit(cache=True, nogil=True, error_model='numpy')
def _trunk_residual(
    angles: FloatArray,
    pelvis_0: FloatArray,
    chest_0: FloatArray,
    R_head: FloatArray,
    trunk: FloatArray,
    head: FloatArray,
    spine: FloatArray,
    neck: FloatArray,
    head_weight: float,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    pelvis = pelvis_0 @ matrix_of(np.array([angles[0], 0.0, 0.0]))
    chest = chest_0 @ matrix_of(np.array([angles[1], 0.0, 0.0]))
    bend = rotvec_of(pelvis.T @ chest)
    step = matrix_of(bend / 3.0)
    vertebra = pelvis
    reach = vertebra @ spine[0]
    for k in range(1, 4):
        vertebra = vertebra @ step
        reach = reach + vertebra @ spine[k]
    between = chest @ matrix_of(rotvec_of(chest.T @ R_head) / 2.0)
    skull = chest @ neck[0] + between @ neck[1] + R_head @ neck[2]
    residual = np.empty(7)
    residual[:3] = unit(reach) - trunk
    residual[3:6] = head_weight * (unit(skull) - head)
    residual[6] = 0.03 * bend[0]
    return residual, pelvis, chest


@njit(cache=True, nogil=True, error_model='numpy')
def _solve_trunk(
    pelvis_0: FloatArray,
    chest_0: FloatArray,
    R_head: FloatArray,
    trunk: FloatArray,
    head: FloatArray,
    spine: FloatArray,
    neck: FloatArray,
    head_weight: float,
) -> tuple[FloatArray, FloatArray]:
    """Global rotations of pelvis and chest.

    The lines of hips and shoulders are seen (first columns of `pelvis_0` and `chest_0`); what is
    open is how far pelvis and chest are pitched about them. Levenberg-Marquardt finds both from the
    direction of the trunk and the place of the head, with a weak pull towards an unbent spine.
    """
    angles = np.zeros_like(trunk[:2])
    jacobian = np.empty((7, 2))
    r, pelvis, chest = _trunk_residual(
        angles, pelvis_0, chest_0, R_head, trunk, head, spine, neck, head_weight
    )
    damping = 1e-4
    for _ in range(8):
        for k in range(2):
            nudged = angles.copy()
            nudged[k] += 1e-5
            moved, _, _ = _trunk_residual(
                nudged, pelvis_0, chest_0, R_head, trunk, head, spine, neck, head_weight
            )
            jacobian[:, k] = (moved - r) / 1e-5
        normal = jacobian.T @ jacobian + damping * np.eye(2)
        step = np.linalg.solve(normal, jacobian.T @ r)
        trial = np.minimum(1.5, np.maximum(-1.5, angles - step))
        moved, moved_pelvis, moved_chest = _trunk_residual(
            trial, pelvis_0, chest_0, R_head, trunk, head, spine, neck, head_weight
        )
        # Contradictory landmarks (a head that cannot sit on these shoulders) must not end in a
        # contortion: a step that does not help is taken back and made shorter.
        if moved @ moved < r @ r:
            angles, r, pelvis, chest = trial, moved, moved_pelvis, moved_chest
            damping *= 0.1
        else:
            damping *= 30.0
    return pelvis, chest
