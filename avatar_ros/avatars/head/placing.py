# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Where the head of a whole body's pose is: a head avatar hangs there."""

from functools import cache

import numpy as np

from avatar_ros.body import FLAME, BodyPose
from avatar_ros.body.lbs import forward_kinematics
from avatar_ros.body.model import free_body
from avatar_ros.types import FloatArray

#: Height of the neck joint of a standing person: a head alone has no feet to stand on.
NECK_HEIGHT_M = 1.47


def neck_of(pose: BodyPose, flame_joints: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Orientation (3, 3) of what the neck stands on, of the head, and the neck joint's place (3,).

    :param flame_joints: rest joints (5, 3), for poses of a FLAME skeleton.
    :raises ValueError: if the pose has the wrong number of joints.
    """
    skeleton = pose.skeleton
    if len(pose.rotations) != len(skeleton):
        raise ValueError(
            f'pose has {len(pose.rotations)} rotations; skeleton {skeleton.name!r} '
            f'needs {len(skeleton)}.'
        )
    rest = flame_joints if skeleton is FLAME else _rest_joints_of(skeleton.name)
    rotations = np.asarray(pose.rotations, float)
    T = forward_kinematics(skeleton, rest, rotations, np.asarray(pose.T_frame_root, float))
    neck = skeleton.index['neck']
    head = skeleton.index.get('head', neck)
    return T[skeleton.parents[neck], :3, :3], T[head, :3, :3], T[neck, :3, 3]


def ground_height_of(pose: BodyPose, flame_joints: FloatArray, up: FloatArray | None) -> float:
    """Height along `up` (default y) of the floor under a standing person's head."""
    place = neck_of(pose, flame_joints)[2]
    return float(place @ (np.array([0.0, 1.0, 0.0]) if up is None else up)) - NECK_HEIGHT_M


@cache
def _rest_joints_of(kind: str) -> FloatArray:
    """Joints of the free body: where a neck is above a pelvis."""
    return free_body(kind).rest_joints()
