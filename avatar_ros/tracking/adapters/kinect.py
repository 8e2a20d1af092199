# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Azure Kinect body tracking: visualization_msgs/MarkerArray on ``body_tracking_data``.

Each marker is a joint: id = 100 * body + joint, position in metres in the depth camera's frame.
Orientations come too, but what axes they have at the T-pose is not documented, and the tables in
use elsewhere disagree about their handedness. So the 28 positions that we have names for are used
instead; they tell everything but how forearms twist beyond the hand.
"""

from collections import defaultdict
from typing import Any

import numpy as np

from avatar_ros.body.foreign import KINECT_32, camera_joint_name
from avatar_ros.tracking.adapters.camera_skeleton import camera_skeleton
from avatar_ros.tracking.adapters.points import NamedPoints, stamp_and_frame, xyz
from avatar_ros.types import FloatArray

_ADD = 0  # visualization_msgs/Marker.action
_IDS_PER_BODY = 100


def people(message: Any, scale: float = 1.0) -> list[NamedPoints]:
    """Everybody in a MarkerArray.

    :raises ValueError: for a marker that is no joint.
    """
    bodies: dict[int, dict[str, FloatArray]] = defaultdict(dict)
    headers = {}
    for marker in message.markers:
        if marker.action != _ADD:
            continue
        body, joint = divmod(int(marker.id), _IDS_PER_BODY)
        if body < 0 or joint >= len(KINECT_32):
            raise ValueError(
                f'Marker.id is {marker.id}; expected 100 * body + joint with a joint of 0 to '
                f'{len(KINECT_32) - 1}. Is this body_tracking_data of the Azure Kinect driver?'
            )
        headers[body] = marker.header
        name, point = camera_joint_name(KINECT_32[joint]), scale * xyz(marker.pose.position)
        if name is not None and np.isfinite(point).all():
            bodies[body][name] = point
    return [
        NamedPoints(
            points,
            {},
            *stamp_and_frame(headers[body]),
            f'kinect_{body}',
            'azure_kinect',
            camera_skeleton(2),
        )
        for body, points in bodies.items()
    ]
