# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Every source of body poses as one row: how to write a person, how to read him, what is lost."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import encoders as enc
import numpy as np
from truth import REST

from avatar_ros.body import SMPLX
from avatar_ros.tracking.adapters import PeopleIK, kinect, mapped, openxr, rep155, vmc, zed
from avatar_ros.tracking.adapters.transforms import TransformCollector

BODY = SMPLX.joints[:22]
_SIDES = ('left', 'right')
JOINT_NAMES = {f'body_{joint}': joint for joint in BODY}
_MAP = mapped.parse_map({'joints': JOINT_NAMES, 'order': list(JOINT_NAMES), 'rotations': True})
MARKER_NAMES = {
    f'M{k}': name
    for k, name in enumerate(
        [
            *BODY,
            'nose',
            *(f'{s}_{p}' for s in _SIDES for p in ('ear', 'heel', 'foot_index', 'index1')),
        ]
    )
}
_MARKER_MAP = mapped.parse_map({'joints': MARKER_NAMES})
_FRAMES = {
    f'tf_{joint}': (joint, SMPLX.joints[SMPLX.parents[row]] if row else None)
    for row, joint in enumerate(BODY)
}
_TF_MAP = mapped.parse_map({'joints': {f: j for f, (j, _) in _FRAMES.items()}, 'rotations': True})


@dataclass(frozen=True)
class Source:
    """One format."""

    encode: Callable[..., Any]
    """Person (and axes) -> message or packet."""
    make_reader: Callable[[], Callable[[Any], list]]
    """A fresh reader: message -> readings."""
    axes: np.ndarray
    """World of the truth -> frame of the pose that is expected."""
    cannot: frozenset = frozenset()
    """Joints whose place the format cannot tell."""
    unturned: frozenset = frozenset()
    """Joints whose rotation it cannot tell."""
    points_only: bool = False
    root_told: bool = True
    pitch_only: bool = False


def _both(*parts):
    return frozenset(f'{side}_{part}' for side in _SIDES for part in parts)


def _xr(kind):
    def encode(person, axes=enc.TO_STAGE, unit=1.0):
        return enc.xr_joints(person, kind, axes, unit)

    def read(message):
        _, positions, quats, valid = message
        return [openxr.body_pose(positions, quats, valid)]

    return encode, lambda: read


def _vmc():
    receiver = vmc.VmcReceiver()
    return lambda packet: receiver.read(packet)


def _tf():
    return TransformCollector(_TF_MAP, 'world').read


SOURCES = {
    'zed_18': Source(
        lambda p, **k: enc.zed(p, 18, **k),
        lambda: zed.people,
        enc.TO_ROS,
        # Its neck is the middle of the shoulders.
        cannot=_both('foot', 'collar') | {'spine1', 'spine2', 'spine3', 'neck', 'head'},
        unturned=_both('ankle', 'foot', 'wrist'),
        points_only=True,
    ),
    'zed_34': Source(
        lambda p, **k: enc.zed(p, 34, **k), lambda: zed.people, enc.TO_ROS, points_only=True
    ),
    'zed_38': Source(
        lambda p, **k: enc.zed(p, 38, **k), lambda: zed.people, enc.TO_ROS, points_only=True
    ),
    'azure_kinect': Source(
        enc.kinect,
        lambda: kinect.people,
        enc.TO_OPTICAL,
        cannot=_both('foot'),  # one point, and it does not tell how the foot is rolled
        points_only=True,
    ),
    'isaac_full_body': Source(
        enc.isaac_full_body, lambda: lambda m: [openxr.isaac_full_body(m)], enc.TO_ROS
    ),
    'openxr_bd_24': Source(*_xr('BD'), enc.TO_ROS),
    'openxr_fb_70': Source(
        *_xr('FB'),
        enc.TO_ROS,
        cannot=_both('knee', 'ankle', 'foot'),
        unturned=_both('hip', 'knee', 'ankle', 'foot'),
    ),
    'openxr_meta_84': Source(*_xr('META'), enc.TO_ROS),
    'vmc': Source(enc.vmc, _vmc, enc.TO_ROS),
    'rep155': Source(
        enc.rep155,
        lambda: lambda m: [rep155.body_pose(m, REST)],
        enc.TO_ROS,
        unturned=_both('wrist', 'ankle', 'foot', 'collar'),
        cannot=_both('foot'),
        root_told=False,
        pitch_only=True,
    ),
    'mocap4r2_rigid_bodies': Source(
        lambda p, **k: enc.rigid_bodies(p, JOINT_NAMES, **k),
        lambda: lambda m: [mapped.from_rigid_bodies(m, _MAP)],
        enc.TO_ROS,
    ),
    'mocap4r2_markers': Source(
        lambda p, **k: enc.markers(p, MARKER_NAMES, **k),
        lambda: lambda m: [mapped.from_markers(m, _MARKER_MAP)],
        enc.TO_ROS,
        points_only=True,
    ),
    'pose_array': Source(
        lambda p, **k: enc.pose_array(p, JOINT_NAMES, **k),
        lambda: lambda m: [mapped.from_pose_array(m, _MAP)],
        enc.TO_ROS,
    ),
    'tf': Source(lambda p, **k: enc.transforms(p, _FRAMES, **k), _tf, enc.TO_ROS),
}


def solver(source):
    """Message -> poses, with the inverse kinematics where a source needs it."""
    people, read = PeopleIK(REST), source.make_reader()
    return lambda message: [people.solve(reading) for reading in read(message)]
