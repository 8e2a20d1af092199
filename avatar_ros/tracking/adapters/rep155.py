# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""REP-155 (ROS4HRI): ``/humans/bodies/<id>/joint_states``, a person as 20 hinges.

Axes and signs are those of `avatar_ros.body.rep155`, whose arms hang at zero.
Bends of the spine other than forward, wrists, feet, fingers and collars are not in it. Nor is where
the body stands: the pose is in the TF frame ``body_<id>`` (middle of the hips, x forward, z up).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.body.foreign import REP155_JOINTS
from avatar_ros.body.rep155 import AXES, HANGING, SIDES
from avatar_ros.geometry import (
    R_ROS_SMPL,
    matrix_from_rotvec,
    quat_from_matrix,
    quat_from_rotvec,
    rigid,
)
from avatar_ros.tracking.adapters.points import stamp_and_frame
from avatar_ros.tracking.adapters.retarget import pose_from_local_rotations
from avatar_ros.tracking.rest_landmarks import RestLandmarks
from avatar_ros.types import FloatArray

_LARGEST_RAD = 2 * np.pi


def body_pose(message: Any, rest: RestLandmarks) -> BodyPose:
    """Pose from a sensor_msgs/JointState whose names end in one ``_<id>``; missing hinges are 0.

    `rest` tells how far above the middle of the hips the pelvis joint lies.

    :raises ValueError: if names are not those of one REP-155 human, or an angle is no angle.
    """
    names, positions = list(message.name), list(message.position)
    if len(names) != len(positions):
        raise ValueError(
            f'JointState has {len(names)} names and {len(positions)} positions; these arrays are '
            'parallel and must be equally long.'
        )
    angles: dict[str, float] = {}
    ids = set()
    for name, position in zip(names, positions, strict=True):
        joint, _, body_id = name.rpartition('_')
        if joint not in REP155_JOINTS:
            raise ValueError(
                f'JointState names {name!r}; expected {REP155_JOINTS[0]}_<id> and the like. Is '
                'this the joint_states of a robot?'
            )
        if not abs(position) <= _LARGEST_RAD:
            raise ValueError(f'{name} is at {position}; expected radians within one turn.')
        ids.add(body_id)
        angles[joint] = float(position)
    if len(ids) != 1:
        raise ValueError(f'JointState is of {len(ids)} bodies; expected one message for each body.')
    (body_id,) = ids
    stamp_ns, _ = stamp_and_frame(message.header)
    hips = rest.joints[SMPLX.rows(('left_hip', 'right_hip'))].mean(axis=0)
    pelvis = R_ROS_SMPL @ (rest.joints[0] - hips)
    # Its zero pose is upright, so the body's frame has ROS axes.
    pose = pose_from_local_rotations(_local_quats(angles), rigid(R_ROS_SMPL, pelvis))
    return BodyPose(
        pose.skeleton,
        pose.T_frame_root,
        pose.rotations,
        pose.confidence,
        stamp_ns,
        f'body_{body_id}',
        body_id,
        source='rep155',
        state=pose.state,
    )


def _local_quats(angles: Mapping[str, float]) -> dict[str, FloatArray]:
    """SMPL-X joint -> parent-relative quaternion (4,) wxyz in SMPL axes."""

    def turn(*joints: str) -> FloatArray:
        """One hinge on the other."""
        R = np.eye(3)
        for joint in joints:
            R = R @ matrix_from_rotvec(angles.get(joint, 0.0) * AXES[joint])
        return R

    quats = {'pelvis': quat_from_rotvec(np.zeros(3))}
    third = angles.get('waist', 0.0) / 3 * AXES['waist'] @ R_ROS_SMPL
    for name in ('spine1', 'spine2', 'spine3'):
        quats[name] = quat_from_rotvec(third)
    quats['head'] = quat_from_matrix(_in_smpl(turn('r_head', 'y_head', 'p_head')))
    for letter, side, _ in SIDES:
        shoulder = turn(*(f'{letter}_{k}_shoulder' for k in 'ypr'))
        hanging = HANGING[side]
        elbow = _in_smpl(turn(f'{letter}_elbow'))
        quats[f'{side}_shoulder'] = quat_from_matrix(_in_smpl(shoulder) @ hanging)
        quats[f'{side}_elbow'] = quat_from_matrix(hanging.T @ elbow @ hanging)
        hip = turn(*(f'{letter}_{k}_hip' for k in 'ypr'))
        quats[f'{side}_hip'] = quat_from_matrix(_in_smpl(hip))
        quats[f'{side}_knee'] = quat_from_matrix(_in_smpl(turn(f'{letter}_knee')))
    return quats


def _in_smpl(R_ros: FloatArray) -> FloatArray:
    return R_ROS_SMPL.T @ R_ros @ R_ROS_SMPL
