# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""ZED body tracking: zed_msgs/ObjectsStamped (once zed_interfaces), body formats 18, 34 and 38.

Positions only, metres, in the left camera's frame with ROS axes. Of the 70 key points of a message
the first 18, 34 or 38 are written; one that was not seen is NaN. The wrapper sends no confidence
for single key points, so all of a person have the person's.
"""

from typing import Any

import numpy as np

from avatar_ros.body.foreign import ZED_FORMATS, camera_joint_name
from avatar_ros.tracking.adapters.camera_skeleton import camera_skeleton
from avatar_ros.tracking.adapters.points import NamedPoints, stamp_and_frame
from avatar_ros.types import FloatArray

_SEARCHING, _TERMINATED = 2, 3  # zed_msgs/Object.tracking_state
_SPINE_POINTS = {
    number: sum('SPINE' in name for name in names) for number, names in ZED_FORMATS.items()
}
_ROWS = {
    number: {
        ours: row for row, name in enumerate(names) if (ours := camera_joint_name(name)) is not None
    }
    for number, names in ZED_FORMATS.items()
}


def people(message: Any, scale: float = 1.0) -> list[NamedPoints]:
    """Everybody in an ObjectsStamped who has a skeleton.

    :raises ValueError: for a body format that is not known, or too few key points.
    """
    stamp_ns, frame_id = stamp_and_frame(message.header)
    found = []
    for body in message.objects:
        if not body.skeleton_available or body.tracking_state == _TERMINATED:
            continue
        if body.body_format not in _ROWS:
            raise ValueError(
                f'Object.body_format is {body.body_format}; expected 0 (BODY_18), 1 (BODY_34) or '
                '2 (BODY_38). Set body_tracking.body_format of the ZED node.'
            )
        # A body lost from sight is predicted on.
        certain = 0.5 if body.tracking_state == _SEARCHING else 1.0
        rows = _ROWS[body.body_format]
        key_points = _key_points(body.skeleton_3d, len(ZED_FORMATS[body.body_format]))
        seen = [bool(np.isfinite(p).all() and p.any()) for p in key_points]
        points = {name: scale * key_points[row] for name, row in rows.items() if seen[row]}
        confidence = certain * float(np.clip(body.confidence / 100, 0.01, 1.0))
        found.append(
            NamedPoints(
                points,
                dict.fromkeys(points, confidence),
                stamp_ns,
                frame_id,
                f'zed_{body.label_id}',
                'zed',
                camera_skeleton(_SPINE_POINTS[body.body_format]),
            )
        )
    return found


def _key_points(skeleton: Any, count: int) -> FloatArray:
    rows = [list(key_point.kp) for key_point in skeleton.keypoints][:count]
    if len(rows) < count or any(len(row) != 3 for row in rows):
        raise ValueError(
            f'Object.skeleton_3d has {len(rows)} key points; this body format needs {count} of '
            'three numbers each.'
        )
    return np.array(rows, dtype=float)
