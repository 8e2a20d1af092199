# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Skeletons, body poses, SMPL-family models and skinning."""

from avatar_ros.body.pose import BodyPose, FaceExpression, neutral_face, rest_pose
from avatar_ros.body.skeletons import ARKIT_52, FLAME, SMPL, SMPLX, Skeleton, skeleton_by_name

__all__ = [
    'ARKIT_52',
    'FLAME',
    'SMPL',
    'SMPLX',
    'BodyPose',
    'FaceExpression',
    'Skeleton',
    'neutral_face',
    'rest_pose',
    'skeleton_by_name',
]
