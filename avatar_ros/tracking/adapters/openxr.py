# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""OpenXR body tracking: XR_BD 24 (PICO), XR_FB 70 and XR_META full body 84 (Quest).

IsaacTeleop sends the first as ``xr_teleop/full_body``, a msgpack dictionary in a ByteMultiArray.
Poses are global, in stage axes (x right, y up, z back), metres, quaternions xyzw.

At the T-pose all XR_BD joints have the axes x right, y up, z back. Those of XR_FB and XR_META
differ from limb to limb; they are worked out of the tables with which Godot's OpenXR plugin turns
both kinds of joint into the same humanoid skeleton. No specification states either: compare with a
recorded T-pose of your headset.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
from numpy.typing import ArrayLike

from avatar_ros.body import BodyPose
from avatar_ros.body.foreign import XR_BD_24, XR_FB_JOINTS, XR_SETS
from avatar_ros.body.skeletons import SIDES, SMPLX
from avatar_ros.geometry import R_ROS_STAGE, matrix_from_quat, quat_from_xyzw
from avatar_ros.tracking.adapters.points import stamp_and_frame
from avatar_ros.tracking.adapters.retarget import checked_quats, pose_from_global_rotations
from avatar_ros.types import FloatArray

_DIRECTIONS = {
    'left': (1.0, 0.0, 0.0),
    'right': (-1.0, 0.0, 0.0),
    'up': (0.0, 1.0, 0.0),
    'down': (0.0, -1.0, 0.0),
    'forward': (0.0, 0.0, 1.0),
    'back': (0.0, 0.0, -1.0),
}


def _axes(x: str, y: str, z: str) -> FloatArray:
    """Rest axes (3, 3) in SMPL axes: where x, y and z point at the T-pose."""
    R = np.array([_DIRECTIONS[name] for name in (x, y, z)]).T
    assert np.linalg.det(R) > 0, (x, y, z)
    return R


_BD_REST = _axes('right', 'up', 'back')
_TRUNK = _axes('down', 'forward', 'right')
_FB_REST = {
    ('left', 'arm'): _axes('right', 'forward', 'up'),
    ('right', 'arm'): _axes('right', 'back', 'down'),
    ('left', 'hand'): _axes('right', 'down', 'forward'),
    ('right', 'hand'): _axes('right', 'up', 'back'),
    ('left', 'leg'): _axes('up', 'back', 'right'),
    ('right', 'leg'): _axes('down', 'forward', 'right'),
    ('left', 'foot'): _axes('forward', 'up', 'right'),
    ('right', 'foot'): _axes('back', 'down', 'right'),
}
_PART = {
    **dict.fromkeys(('collar', 'shoulder', 'elbow'), 'arm'),
    **dict.fromkeys(('hip', 'knee'), 'leg'),
    **dict.fromkeys(('ankle', 'foot'), 'foot'),
}


def _fb_rest(joint: str) -> FloatArray:
    side, _, part = joint.partition('_')
    return _FB_REST[side, _PART.get(part, 'hand')] if side in SIDES else _TRUNK


#: Foreign name -> our joint and its rest axes.
_BD_JOINTS = {name: (name.lower(), _BD_REST) for name in XR_BD_24 if name.lower() in SMPLX.index}
_FB_AND_META_JOINTS = {name: (ours, _fb_rest(ours)) for name, ours in XR_FB_JOINTS.items()}


def body_pose(
    positions: ArrayLike,
    quats_xyzw: ArrayLike,
    valid: Sequence[bool],
    names: Sequence[str] | None = None,
) -> BodyPose:
    """Pose in ROS axes of the stage (x forward, y left, z up) from joint poses in stage axes.

    positions (N, 3) metres, quats_xyzw (N, 4), valid (N,). Without names the order is that of the
    set with N joints. Names may have their prefix ``XR_BODY_JOINT_`` and suffix.

    :raises ValueError: if arrays do not fit, the set is unknown, or the pelvis is not valid.
    """
    positions = np.asarray(positions, dtype=float).reshape(-1, 3)
    quats_xyzw = np.asarray(quats_xyzw, dtype=float).reshape(-1, 4)
    count = len(positions)
    if names is None:
        if count not in XR_SETS:
            raise ValueError(
                f'{count} joints came; expected {", ".join(map(str, XR_SETS))} (XR_BD, XR_FB, '
                'XR_META full body), or the name of each.'
            )
        names = XR_SETS[count]
    if not count == len(quats_xyzw) == len(valid) == len(names):
        raise ValueError(
            f'joint_names, joint_positions, joint_orientations and joint_valid hold {len(names)}, '
            f'{count}, {len(quats_xyzw)} and {len(valid)} entries; expected equally many, with 3 '
            'numbers a position and 4 an orientation.'
        )
    short = [short_name(name) for name in names]
    table = _FB_AND_META_JOINTS if 'HIPS' in short else _BD_JOINTS
    quats, good = checked_quats('joint_orientations', quat_from_xyzw(quats_xyzw))
    R_stage = matrix_from_quat(quats)
    with np.errstate(invalid='ignore', over='ignore'):  # a place that is none is refused below
        in_ros = positions @ R_ROS_STAGE.T
    R: dict[str, FloatArray] = {}
    places: dict[str, FloatArray] = {}
    for row, name in enumerate(short):
        if name not in table or not valid[row] or not good[row]:
            continue
        joint, rest = table[name]
        R[joint] = R_ROS_STAGE @ R_stage[row] @ rest.T
        places[joint] = in_ros[row]
    return replace(pose_from_global_rotations(R, places), source='openxr')


def short_name(name: str) -> str:
    """``XR_BODY_JOINT_LEFT_HIP_BD``, ``left_hip`` -> ``LEFT_HIP``."""
    name = name.upper()
    for prefix in ('XR_BODY_JOINT_', 'XR_FULL_BODY_JOINT_'):
        name = name.removeprefix(prefix)
    for suffix in ('_BD', '_FB', '_META'):
        name = name.removesuffix(suffix)
    return name


def stamped(pose: BodyPose, header: Any) -> BodyPose:
    """The pose with stamp and frame of a std_msgs/Header."""
    stamp_ns, frame_id = stamp_and_frame(header)
    return replace(pose, stamp_ns=stamp_ns, frame_id=frame_id)


def isaac_full_body(payload: bytes) -> BodyPose:
    """Pose from the msgpack dictionary of IsaacTeleop's ``full_body``, stamped with its time.

    :raises ValueError: if the payload is no such dictionary.
    """
    try:
        # Its limits of nesting, lengths and memory follow from the size of the payload.
        content = msgpack.unpackb(payload)
    except (ValueError, msgpack.UnpackException) as error:
        raise ValueError(f'full_body is not msgpack ({error or type(error).__name__}).') from error
    if not isinstance(content, dict):
        raise ValueError(f'full_body holds a {type(content).__name__}; expected a dictionary.')
    needed = ('joint_positions', 'joint_orientations', 'joint_valid')
    missing = [key for key in needed if not isinstance(content.get(key), list)]
    if missing:
        raise ValueError(f'full_body has no list {", ".join(missing)}; expected {needed}.')
    names = content.get('joint_names')
    if names is not None and not _all(names, str):
        raise ValueError('full_body.joint_names is not a list of names.')
    stamp = content.get('timestamp', 0)
    if not isinstance(stamp, int) or not 0 <= stamp < 1 << 62:
        raise ValueError(f'full_body.timestamp is {stamp!r}; expected nanoseconds.')
    pose = body_pose(
        _numbers(content['joint_positions'], 'joint_positions', 3),
        _numbers(content['joint_orientations'], 'joint_orientations', 4),
        [bool(value) for value in content['joint_valid']],
        names,
    )
    return replace(pose, stamp_ns=stamp, source='isaac_full_body')


def _all(values: object, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _numbers(rows: list[object], name: str, width: int) -> FloatArray:
    try:
        array = np.array(rows, dtype=float)
    except (ValueError, TypeError, OverflowError):
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(f'full_body.{name} is not a list of {width} numbers for each joint.')
    return array
