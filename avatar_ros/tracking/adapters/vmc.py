# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Virtual Motion Capture protocol (https://protocol.vmc.info): OSC over UDP, port 39539.

``/VMC/Ext/Root/Pos`` and ``/VMC/Ext/Bone/Pos`` carry a name, a position and a quaternion xyzw,
local to the parent, in Unity's left-handed axes; bones of a VRM have no rotation at the T-pose.
``/VMC/Ext/Blend/Val`` sets a weight, ``/VMC/Ext/Blend/Apply`` says that all are set. Blend shapes
are ARKit's ("perfect sync") or VRM expressions.
"""

from collections.abc import Sequence

import numpy as np

from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.body.foreign import ARKIT_OF_LOWER, UNITY_BONES, VRM_EXPRESSIONS
from avatar_ros.geometry import (
    M_SMPL_UNITY,
    R_ROS_SMPL,
    matrix_from_quat,
    quat_from_xyzw,
    quat_smpl_from_unity,
    rigid,
)
from avatar_ros.tracking.adapters.arkit import expression
from avatar_ros.tracking.adapters.osc import messages
from avatar_ros.tracking.adapters.plausible import checked_position
from avatar_ros.tracking.adapters.retarget import checked_quats, pose_from_local_rotations
from avatar_ros.types import FloatArray

PORT = 39539
_MAX_SHAPES = 512  # names that a sender may make up


class VmcReceiver:
    """Collects what a sender says: a frame comes in several packets."""

    def __init__(self) -> None:
        self._T_root: FloatArray = np.eye(4)  # SMPL axes
        self._hips: FloatArray = np.zeros(3)
        self._quats: dict[str, FloatArray] = {}
        self._shapes: dict[str, float] = {}

    def read(self, packet: bytes, received_ns: int = 0) -> list[BodyPose | FaceExpression]:
        """What the packet completes: the pose after bones, the expression after ``Blend/Apply``.

        Poses are in ROS axes: whoever looks along Unity's +z looks along +x.

        :raises ValueError: if the packet is not OSC, or a message of VMC is not as it should be.
            What came before it in the packet is kept.
        """
        bones = applied = False
        for message in messages(packet):
            match message.address:
                case '/VMC/Ext/Root/Pos':
                    _, position, quat = _named_transform(message.arguments)
                    R = matrix_from_quat(quat)
                    self._T_root = rigid(R, position)
                case '/VMC/Ext/Bone/Pos':
                    name, position, quat = _named_transform(message.arguments)
                    joint = UNITY_BONES.get(name[:1].upper() + name[1:])
                    if joint is None:
                        continue
                    self._quats[joint] = quat
                    if joint == 'pelvis':
                        self._hips = position
                    bones = True
                case '/VMC/Ext/Blend/Val':
                    self._set_shape(message.arguments)
                case '/VMC/Ext/Blend/Apply':
                    applied = True
        result: list[BodyPose | FaceExpression] = []
        if bones and 'pelvis' in self._quats:
            result.append(self._pose(received_ns))
        if applied:
            result.append(expression(self._weights(), stamp_ns=received_ns))
        return result

    def _set_shape(self, arguments: Sequence[object]) -> None:
        if len(arguments) < 2 or not isinstance(arguments[0], str):
            raise ValueError(f'/VMC/Ext/Blend/Val has {arguments!r:.80}; expected name and value.')
        (value,) = _numbers(arguments[1:2])
        if len(self._shapes) < _MAX_SHAPES or arguments[0] in self._shapes:
            self._shapes[arguments[0]] = value

    def _weights(self) -> dict[str, float]:
        weights: dict[str, float] = {}
        for name, value in self._shapes.items():
            key = name.lower()
            shapes = {ARKIT_OF_LOWER[key]: 1.0} if key in ARKIT_OF_LOWER else {}
            for shape, share in (shapes or VRM_EXPRESSIONS.get(key, {})).items():
                weights[shape] = max(weights.get(shape, 0.0), share * value)
        return weights

    def _pose(self, received_ns: int) -> BodyPose:
        T_root_hips = rigid(matrix_from_quat(self._quats['pelvis']), self._hips)
        T = rigid(R_ROS_SMPL, np.zeros(3)) @ self._T_root @ T_root_hips
        pose = pose_from_local_rotations(self._quats, T)
        return BodyPose(
            pose.skeleton,
            pose.T_frame_root,
            pose.rotations,
            pose.confidence,
            received_ns,
            person_id='vmc',
            source='vmc',
            state=pose.state,
        )


def _named_transform(arguments: Sequence[object]) -> tuple[str, FloatArray, FloatArray]:
    """Name, position (3,) and quaternion (4,) wxyz in SMPL axes."""
    if len(arguments) < 8 or not isinstance(arguments[0], str):
        raise ValueError(f'VMC transform {arguments!r:.80}; expected a name and seven numbers.')
    values = np.array(_numbers(arguments[1:8]))
    position = checked_position(arguments[0], M_SMPL_UNITY @ values[:3])
    quats, good = checked_quats(arguments[0], quat_from_xyzw(values[None, 3:]))
    if not good[0]:
        raise ValueError(f'VMC rotation of {arguments[0][:40]!r} is no unit quaternion.')
    return arguments[0], position, quat_smpl_from_unity(quats[0])


def _numbers(values: Sequence[object]) -> list[float]:
    """The values, each a finite number."""
    numbers = [float(v) for v in values if isinstance(v, int | float) and np.isfinite(v)]
    if len(numbers) != len(values):
        raise ValueError(f'VMC holds {values!r:.80}; expected finite numbers.')
    return numbers
