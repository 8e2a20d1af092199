# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The inverse kinematics alone: exact landmarks of motion-capture clips."""

import numpy as np

from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.skeletons import BLAZEPOSE_INDEX, SMPLX
from avatar_ros.geometry import R_OPTICAL_SMPL, matrix_from_quat, rigid
from avatar_ros.tracking import BodyIK, RestLandmarks
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.types import Array, FloatArray
from benchmarks.metrics import Metric
from benchmarks.motions import Motion, load_motions, without_root
from benchmarks.tracking_shared import BODY, metric


def clip_errors(motion: Motion, rest: RestLandmarks) -> FloatArray:
    """Distances (T, 22) in mm between the joints of a clip and those of exact landmarks -> IK."""
    ik = BodyIK(rest)
    errors = []
    for quats, position in zip(motion.quats, motion.translation, strict=True):
        T_root = rigid(R_OPTICAL_SMPL @ matrix_from_quat(quats[0]), R_OPTICAL_SMPL @ position)
        errors.append(round_trip_errors(ik, without_root(quats), T_root))
    return np.array(errors)


def round_trip_errors(ik: BodyIK, quats: Array, T_root: Array) -> FloatArray:
    """Distances (22,) in mm between the joints of a pose and those of its landmarks -> IK."""
    rest = ik.rest
    true = forward_kinematics(SMPLX, rest.joints, quats, T_root)
    world = rest.posed(true)
    solved = ik(world)
    to_pelvis = rest.joints[0] - (rest['left_hip'] + rest['right_hip']) / 2
    hips = (world[BLAZEPOSE_INDEX['left_hip']] + world[BLAZEPOSE_INDEX['right_hip']]) / 2
    R_root = solved.R_camera_root
    found = forward_kinematics(
        SMPLX, rest.joints, solved.quats, rigid(R_root, hips + R_root @ to_pelvis)
    )
    return 1e3 * np.linalg.norm((found - true)[BODY, :3, 3], axis=1)


def clips() -> list[Metric]:
    rest = free_rest_landmarks()
    errors = [clip_errors(motion, rest) for motion in load_motions()]
    frame_mm = np.concatenate([e.mean(axis=1) for e in errors])
    conditions = f'{len(errors)} clips at 30 Hz, {len(frame_mm)} frames, 22 joints, no filter'
    return [
        metric('clips.mean_joint_mm', frame_mm.mean(), 'mm', conditions),
        metric('clips.worst_clip_mm', max(e.mean() for e in errors), 'mm', conditions),
        metric('clips.worst_frame_mm', frame_mm.max(), 'mm', conditions),
        metric('clips.worst_joint_mm', max(e.max() for e in errors), 'mm', conditions),
    ]
