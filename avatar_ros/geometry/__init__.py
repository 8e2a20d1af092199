# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Rotations, rigid transforms, cameras: the only place where a convention is converted.

Inside the package quaternions are ``wxyz`` (as in gsplat), ROS messages carry ``xyzw``.
``T_a_b`` maps points given in frame ``b`` to frame ``a``.
"""

from avatar_ros.geometry.axes import (
    M_SMPL_UNITY,
    R_OPTICAL_ROS,
    R_OPTICAL_SMPL,
    R_ROS_OPTICAL,
    R_ROS_SMPL,
    R_ROS_STAGE,
    quat_smpl_from_unity,
)
from avatar_ros.geometry.camera import Camera, look_at
from avatar_ros.geometry.camera_yaml import load_camera_yaml
from avatar_ros.geometry.rigid import invert_rigid, rigid, transform_points
from avatar_ros.geometry.rotations import (
    angle_between,
    matrix_from_quat,
    matrix_from_rotvec,
    normalize_quat,
    quat_conjugate,
    quat_from_matrix,
    quat_from_rotvec,
    quat_from_xyzw,
    quat_multiply,
    rotvec_from_matrix,
    rotvec_from_quat,
    slerp,
    xyzw_from_quat,
)

__all__ = [
    'M_SMPL_UNITY',
    'R_OPTICAL_ROS',
    'R_OPTICAL_SMPL',
    'R_ROS_OPTICAL',
    'R_ROS_SMPL',
    'R_ROS_STAGE',
    'Camera',
    'angle_between',
    'invert_rigid',
    'load_camera_yaml',
    'look_at',
    'matrix_from_quat',
    'matrix_from_rotvec',
    'normalize_quat',
    'quat_conjugate',
    'quat_from_matrix',
    'quat_from_rotvec',
    'quat_from_xyzw',
    'quat_multiply',
    'quat_smpl_from_unity',
    'rigid',
    'rotvec_from_matrix',
    'rotvec_from_quat',
    'slerp',
    'transform_points',
    'xyzw_from_quat',
]
