# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A person as TF frames: collects transforms and gives the frames of a map in one fixed frame."""

from typing import Any

import numpy as np

from avatar_ros.body import BodyPose
from avatar_ros.geometry import invert_rigid, matrix_from_quat, quat_from_matrix, rigid
from avatar_ros.geometry import quat_from_xyzw as wxyz
from avatar_ros.tracking.adapters.mapped import SourceMap, from_poses
from avatar_ros.tracking.adapters.plausible import checked_position
from avatar_ros.tracking.adapters.points import NamedPoints, stamp_and_frame, xyz
from avatar_ros.tracking.adapters.retarget import checked_quats
from avatar_ros.types import FloatArray

_MAX_DEPTH = 64
_MAX_FRAMES = 4096


class TransformCollector:
    """Newest transform of every frame. Of a person, the one that holds the pelvis counts as new."""

    def __init__(self, source_map: SourceMap, fixed_frame: str) -> None:
        self._map = source_map
        self._fixed = fixed_frame
        self._parents: dict[str, tuple[str, FloatArray]] = {}
        self._pelvis = next((n for n, j in source_map.joints.items() if j == 'pelvis'), None)
        if self._pelvis is None:
            raise ValueError('the map names no frame for the pelvis; expected one.')

    def read(self, message: Any) -> list[NamedPoints | BodyPose]:
        """The person after a tf2_msgs/TFMessage that moved the pelvis; else nothing.

        :raises ValueError: if a transform is not finite, or frames go round in a circle.
        """
        stamp_ns = None
        for transform in message.transforms:
            child = str(transform.child_frame_id).lstrip('/')
            stamp, parent = stamp_and_frame(transform.header)
            if len(self._parents) >= _MAX_FRAMES and child not in self._parents:
                continue
            q = transform.transform.rotation
            quats, good = checked_quats(child, wxyz([[q.x, q.y, q.z, q.w]]))
            if not good[0]:
                raise ValueError(f'TF of {child!r} has no unit quaternion; expected a rotation.')
            position = checked_position(f'TF of {child}', xyz(transform.transform.translation))
            T_parent_child = rigid(matrix_from_quat(quats[0]), position)
            self._parents[child] = (parent.lstrip('/'), T_parent_child)
            if child == self._pelvis:
                stamp_ns = stamp
        if stamp_ns is None:
            return []
        poses = {}
        for name in self._map.joints:
            T = self._in_fixed_frame(name)
            if T is not None:
                poses[name] = (T[:3, 3], quat_from_matrix(T[:3, :3]))
        return [from_poses(poses, self._map, stamp_ns, self._fixed, 'tf')]

    def _in_fixed_frame(self, frame: str) -> FloatArray | None:
        """T_fixed_frame (4, 4); None while the two are not connected."""
        T_root_frame, root = self._up(frame)
        T_root_fixed, other = self._up(self._fixed)
        if root != other:
            return None
        return np.asarray(invert_rigid(T_root_fixed) @ T_root_frame)

    def _up(self, frame: str) -> tuple[FloatArray, str]:
        T = np.eye(4)
        for _ in range(_MAX_DEPTH):
            if frame not in self._parents:
                return T, frame
            frame, T_parent_child = self._parents[frame]
            T = T_parent_child @ T
        raise ValueError(f'TF is deeper than {_MAX_DEPTH} frames at {frame!r}; is it a circle?')
