# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Motion capture without a convention: the user says which name is which joint, in a YAML file.

For mocap4r2_msgs Markers and RigidBodies, geometry_msgs/PoseArray and TF:

    joints:                    # name in the source: SMPL-X joint or BlazePose landmark
      Hips: pelvis
      LeftForeArm: left_elbow
    order: [Hips, ...]         # PoseArray only: the name of each pose
    scale: 0.001               # to metres; default 1
    rotations: true            # use orientations, not only positions; default false
    rest:                      # xyzw of a joint at the T-pose, seen from a person's own axes
      LeftForeArm: [0, 0, 0, 1]    # (x left, y up, z forward); default no rotation
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.body.skeletons import BLAZEPOSE_INDEX
from avatar_ros.geometry import matrix_from_quat, quat_from_xyzw
from avatar_ros.tracking.adapters.points import NamedPoints, stamp_and_frame, xyz
from avatar_ros.tracking.adapters.retarget import checked_quats, pose_from_global_rotations
from avatar_ros.types import FloatArray

_KEYS = frozenset(('joints', 'order', 'scale', 'rotations', 'rest'))


@dataclass(frozen=True)
class SourceMap:
    """What the YAML file says."""

    joints: Mapping[str, str]
    order: tuple[str, ...] = ()
    scale: float = 1.0
    rotations: bool = False
    rest: Mapping[str, FloatArray] | None = None
    """Name in the source -> rest axes (3, 3)."""


def load_map(path: str | Path) -> SourceMap:
    """:raises ValueError: naming the entry that is wrong, and what it should be."""
    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(
            f'map {str(path)!r} cannot be read: {error}. Give a YAML file as in docs/trackers.md.'
        ) from None
    try:
        return parse_map(content)
    except ValueError as error:
        raise ValueError(f'map {path}: {error}') from None


def parse_map(content: Any) -> SourceMap:
    """Checked content of a map file.

    :raises ValueError: see `load_map`.
    """
    if not isinstance(content, dict) or not isinstance(content.get('joints'), dict):
        raise ValueError('has no "joints"; expected a table of source names and our joints.')
    unknown = set(content) - _KEYS
    if unknown:
        raise ValueError(f'has {sorted(map(str, unknown))}; expected only {sorted(_KEYS)}.')
    joints = {str(name): str(joint) for name, joint in content['joints'].items()}
    for name, joint in joints.items():
        if joint not in SMPLX.index and joint not in BLAZEPOSE_INDEX:
            raise ValueError(
                f'{name} is mapped to {joint!r}; expected a SMPL-X joint such as left_elbow, or a '
                'landmark such as left_heel.'
            )
    if len(set(joints.values())) != len(joints):
        raise ValueError('maps two names to one joint; expected each joint once.')
    scale = content.get('scale', 1.0)
    if not isinstance(scale, int | float) or not 0 < scale < 1e6:
        raise ValueError(f'scale is {scale!r}; expected metres a unit, such as 0.001.')
    order = tuple(map(str, content.get('order') or ()))
    rest = {}
    for name, xyzw in (content.get('rest') or {}).items():
        try:
            quats, good = checked_quats('rest', quat_from_xyzw(np.array(xyzw, float)[None]))
        except (ValueError, TypeError):
            good = np.zeros(1, dtype=bool)
        if not good.all():
            raise ValueError(f'rest of {name} is {xyzw!r}; expected a quaternion [x, y, z, w].')
        rest[str(name)] = matrix_from_quat(quats[0])
    return SourceMap(joints, order, float(scale), bool(content.get('rotations', False)), rest)


Poses = Mapping[str, tuple[FloatArray, FloatArray]]
"""Name in the source -> position (3,) in its unit, quaternion (4,) wxyz."""


def from_markers(message: Any, source_map: SourceMap) -> NamedPoints:
    """mocap4r2_msgs/Markers -> points; a marker is known by its name, or by its index."""
    points = {}
    for marker in message.markers:
        name = marker.marker_name or str(marker.marker_index)
        if name in source_map.joints:
            position = source_map.scale * xyz(marker.translation)
            points[source_map.joints[name]] = position
    stamp_ns, frame_id = stamp_and_frame(message.header)
    return NamedPoints(points, {}, stamp_ns, frame_id, 'mocap', 'mocap4r2_markers')


def from_rigid_bodies(message: Any, source_map: SourceMap) -> NamedPoints | BodyPose:
    """mocap4r2_msgs/RigidBodies -> pose, or points if the map says no rotations."""
    poses = {body.rigid_body_name: _pose(body.pose) for body in message.rigidbodies}
    stamp_ns, frame_id = stamp_and_frame(message.header)
    return from_poses(poses, source_map, stamp_ns, frame_id, 'mocap4r2_rigid_bodies')


def from_pose_array(message: Any, source_map: SourceMap) -> NamedPoints | BodyPose:
    """geometry_msgs/PoseArray in the map's order.

    :raises ValueError: if it has not as many poses as the order names.
    """
    if len(message.poses) != len(source_map.order):
        raise ValueError(
            f'PoseArray has {len(message.poses)} poses, "order" of the map names '
            f'{len(source_map.order)}; expected the name of each pose.'
        )
    poses = {n: _pose(p) for n, p in zip(source_map.order, message.poses, strict=True)}
    stamp_ns, frame_id = stamp_and_frame(message.header)
    return from_poses(poses, source_map, stamp_ns, frame_id, 'pose_array')


def from_poses(
    poses: Poses, source_map: SourceMap, stamp_ns: int, frame_id: str, source: str
) -> NamedPoints | BodyPose:
    """Global poses by source name -> pose through rest axes, or points for the inverse kinematics.

    :raises ValueError: with rotations, if no name is mapped to the pelvis or its pose is not valid.
    """
    named = {name: pose for name, pose in poses.items() if name in source_map.joints}
    scale = source_map.scale
    if not source_map.rotations:
        points = {
            source_map.joints[name]: scale * position for name, (position, _) in named.items()
        }
        return NamedPoints(points, {}, stamp_ns, frame_id, 'mocap', source)
    rest: Mapping[str, FloatArray] = source_map.rest or {}
    places: dict[str, FloatArray] = {}
    R: dict[str, FloatArray] = {}
    for name, (position, quat) in named.items():
        joint = source_map.joints[name]
        quats, good = checked_quats(name, quat[None])
        if not good[0] or joint not in SMPLX.index:
            continue
        R[joint] = matrix_from_quat(quats[0]) @ rest.get(name, np.eye(3)).T
        places[joint] = scale * position
    pose = pose_from_global_rotations(R, places)
    return replace(pose, stamp_ns=stamp_ns, frame_id=frame_id, person_id='mocap', source=source)


def _pose(message: Any) -> tuple[FloatArray, FloatArray]:
    o = message.orientation
    return xyz(message.position), quat_from_xyzw([o.x, o.y, o.z, o.w])
