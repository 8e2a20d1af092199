# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Skeletons of tracked people as markers for RViz."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from avatar_ros.body import BodyPose
from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.skeletons import FLAME, SMPLX, Skeleton
from avatar_ros.nodes import messages
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.types import FloatArray

_WIDTH_M = 0.02
#: One a person, in turn.
_COLORS = ((0.2, 0.8, 1.0), (1.0, 0.6, 0.1), (0.5, 1.0, 0.3), (1.0, 0.4, 0.8))


def joint_positions(pose: BodyPose) -> FloatArray:
    """Joints (J, 3) in metres in the frame of the pose, with the bones of our free body."""
    return forward_kinematics(
        pose.skeleton, _rest_joints(pose.skeleton), pose.rotations, pose.T_frame_root
    )[:, :3, 3]


@cache
def _rest_joints(skeleton: Skeleton) -> FloatArray:
    """(J, 3); a joint that SMPL-X does not have (SMPL's hands) rests at its parent."""
    joints = free_rest_landmarks().joints
    rest = np.zeros((len(skeleton), 3))
    for row, (name, parent) in enumerate(zip(skeleton.joints, skeleton.parents, strict=True)):
        rest[row] = joints[SMPLX.index[name]] if name in SMPLX.index else rest[parent]
    return rest


def skeleton_markers(poses: Sequence[BodyPose], stamp_ns: int, frame_id: str) -> MarkerArray:
    """A list of lines for each person, one line a bone; whoever is not among them is erased.

    :param poses: all given in `frame_id`.
    """
    header = messages.header(stamp_ns, frame_id)
    erase = Marker(header=header, action=Marker.DELETEALL)
    markers = [erase]
    for number, pose in enumerate(poses):
        if pose.skeleton is FLAME:  # a head alone: no bones to show
            continue
        marker = Marker(
            header=header,
            ns=pose.person_id or 'person',
            id=number,
            type=Marker.LINE_LIST,
            action=Marker.ADD,
        )
        marker.pose.orientation.w = 1.0
        marker.scale.x = _WIDTH_M
        r, g, b = _COLORS[number % len(_COLORS)]
        marker.color = ColorRGBA(r=r, g=g, b=b, a=1.0)
        points = [Point(x=x, y=y, z=z) for x, y, z in joint_positions(pose).tolist()]
        for joint, parent in enumerate(pose.skeleton.parents):
            if parent >= 0:
                marker.points += [points[parent], points[joint]]
        markers.append(marker)
    return MarkerArray(markers=markers)
