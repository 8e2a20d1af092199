# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Pure builders and parsers between our data and ROS messages: the only place that knows both.

Parsers check everything and raise `MessageError`, which names the field, the value found, what was
expected and the remedy. Nothing here needs a node or `rclpy.init`.
"""

import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from std_msgs.msg import Header

from avatar_ros.body import BodyPose, FaceExpression, Skeleton, skeleton_by_name
from avatar_ros.body.pose import IDENTITY_QUAT, TrackingState
from avatar_ros.geometry import (
    Camera,
    invert_rigid,
    normalize_quat,
    quat_from_matrix,
    quat_from_xyzw,
    rigid,
    xyzw_from_quat,
)
from avatar_ros.geometry.rotations import matrix_from_quat
from avatar_ros.msg import AvatarStatus, ViewRequest
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.msg import FaceExpression as FaceExpressionMsg
from avatar_ros.types import Array, FloatArray

MAX_VIEW_SIDE = 8192
MAX_VIEW_PIXELS = 20_000_000  # of all eyes of a request: more would stall everybody else
MAX_METRES = 1000.0
_LARGEST_QUAT = 1e6


class MessageError(ValueError):
    """A message that breaks its contract; the text says which field, and what to do."""


# -- stamps and headers ------------------------------------------------------------------------


def stamp_from_ns(ns: int) -> Time:
    """Nanoseconds -> builtin_interfaces/Time."""
    return Time(sec=ns // 1_000_000_000, nanosec=ns % 1_000_000_000)


def ns_from_stamp(stamp: Time) -> int:
    """builtin_interfaces/Time -> nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def header(stamp_ns: int, frame_id: str) -> Header:
    """A header with the stamp of the sample."""
    return Header(stamp=stamp_from_ns(stamp_ns), frame_id=frame_id)


# -- geometry ----------------------------------------------------------------------------------


def _quaternion(quat: Array) -> Quaternion:
    x, y, z, w = (float(v) for v in xyzw_from_quat(quat))
    return Quaternion(x=x, y=y, z=z, w=w)


def pose_message(T: Array) -> Pose:
    """Rigid transform (4, 4) -> geometry_msgs/Pose."""
    x, y, z = (float(v) for v in T[:3, 3])
    return Pose(position=Point(x=x, y=y, z=z), orientation=_quaternion(quat_from_matrix(T[:3, :3])))


def transform_message(
    T_parent_child: Array, parent: str, child: str, stamp_ns: int
) -> TransformStamped:
    """Rigid transform (4, 4) -> geometry_msgs/TransformStamped, as /tf holds them."""
    x, y, z = (float(v) for v in T_parent_child[:3, 3])
    rotation = _quaternion(quat_from_matrix(T_parent_child[:3, :3]))
    return TransformStamped(
        header=header(stamp_ns, parent),
        child_frame_id=child,
        transform=Transform(translation=Vector3(x=x, y=y, z=z), rotation=rotation),
    )


def _parse_quats(field: str, quaternions: Sequence[Quaternion]) -> FloatArray:
    quats = quat_from_xyzw([(q.x, q.y, q.z, q.w) for q in quaternions]).reshape(-1, 4)
    if not (np.abs(quats) < _LARGEST_QUAT).all():
        raise MessageError(
            f'{field} holds NaN, Inf or numbers beyond {_LARGEST_QUAT:g}; expected quaternions of '
            'length 1.'
        )
    try:
        return normalize_quat(quats)
    except ValueError as error:
        raise MessageError(f'{field}: {error}') from None


def parse_pose(field: str, pose: Pose) -> FloatArray:
    """geometry_msgs/Pose -> (4, 4)."""
    position = np.array([pose.position.x, pose.position.y, pose.position.z])
    if not (np.abs(position) <= MAX_METRES).all():
        raise MessageError(
            f'{field}.position is {position}; expected metres within {MAX_METRES:g} of the frame.'
        )
    quat = _parse_quats(f'{field}.orientation', [pose.orientation])[0]
    return rigid(matrix_from_quat(quat), position)


def _check_parallel(owner: str, **arrays: Sequence[object]) -> None:
    """Parallel arrays have the length of the first one."""
    (first, reference), *rest = arrays.items()
    for name, values in rest:
        if len(values) != len(reference):
            raise MessageError(
                f'{owner}.{name} has {len(values)} entries, {first} has {len(reference)}; '
                'these arrays are parallel and must be equally long.'
            )


def check_finite(field: str, values: Array) -> None:
    """:raises MessageError: if a value is NaN or infinite."""
    if not np.isfinite(values).all():
        raise MessageError(f'{field} holds NaN or Inf; expected finite numbers.')


# -- body and face -----------------------------------------------------------------------------


def body_pose_message(pose: BodyPose) -> BodyPoseMsg:
    """BodyPose -> message, every joint but the root by name."""
    names = pose.skeleton.joints[1:]
    message = BodyPoseMsg(
        header=header(pose.stamp_ns, pose.frame_id),
        person_id=pose.person_id,
        state=int(pose.state),
        skeleton=pose.skeleton.name,
        root=pose_message(pose.T_frame_root),
        joint_name=list(names),
        rotation=[_quaternion(q) for q in pose.rotations[1:]],
        source=pose.source,
    )
    message.confidence = array.array('f', pose.confidence[1:].astype(np.float32))
    message.betas = array.array('f', np.asarray(pose.betas, dtype=np.float32))
    return message


def parse_body_pose(message: BodyPoseMsg) -> BodyPose:
    """Checked message -> BodyPose.

    :raises MessageError: see module.
    """
    try:
        skeleton: Skeleton = skeleton_by_name(message.skeleton)
        rows = skeleton.rows(message.joint_name)
    except ValueError as error:
        raise MessageError(f'BodyPose: {error}') from None
    _check_parallel('BodyPose', joint_name=message.joint_name, rotation=message.rotation)
    rotations = np.tile(IDENTITY_QUAT, (len(skeleton), 1))
    confidence = np.zeros(len(skeleton))
    if len(rows):
        rotations[rows] = _parse_quats('BodyPose.rotation', message.rotation)
    if len(message.confidence):
        _check_parallel('BodyPose', joint_name=message.joint_name, confidence=message.confidence)
        values = np.asarray(message.confidence, dtype=float)
        check_finite('BodyPose.confidence', values)
        confidence[rows] = np.clip(values, 0.0, 1.0)
    else:
        confidence[rows] = 1.0
    betas = np.asarray(message.betas, dtype=float)
    check_finite('BodyPose.betas', betas)
    return BodyPose(
        skeleton=skeleton,
        T_frame_root=parse_pose('BodyPose.root', message.root),
        rotations=rotations,
        confidence=confidence,
        stamp_ns=ns_from_stamp(message.header.stamp),
        frame_id=message.header.frame_id,
        person_id=message.person_id,
        betas=betas,
        source=message.source,
        state=_tracking_state(message.state),
    )


def _tracking_state(value: int) -> TrackingState:
    try:
        return TrackingState(value)
    except ValueError:
        raise MessageError(
            f'BodyPose.state is {value}; expected {min(TrackingState)}..{max(TrackingState)}.'
        ) from None


def face_expression_message(face: FaceExpression) -> FaceExpressionMsg:
    """FaceExpression -> message."""
    message = FaceExpressionMsg(
        header=header(face.stamp_ns, face.frame_id),
        person_id=face.person_id,
        basis=face.basis,
        name=list(face.names),
        head=_quaternion(face.head),
        jaw=_quaternion(face.jaw),
        left_eye=_quaternion(face.left_eye),
        right_eye=_quaternion(face.right_eye),
        confidence=float(face.confidence),
    )
    message.weight = array.array('f', np.asarray(face.weights, dtype=np.float32))
    return message


def parse_face_expression(message: FaceExpressionMsg) -> FaceExpression:
    """Checked message -> FaceExpression.

    :raises MessageError: see module.
    """
    known = (FaceExpressionMsg.BASIS_ARKIT52, FaceExpressionMsg.BASIS_FLAME)
    if message.basis not in known:
        raise MessageError(
            f'FaceExpression.basis is {message.basis!r}; expected {" or ".join(known)}.'
        )
    _check_parallel('FaceExpression', name=message.name, weight=message.weight)
    if len(set(message.name)) != len(message.name):
        raise MessageError('FaceExpression.name holds a name twice; each may stand once.')
    weights = np.asarray(message.weight, dtype=float)
    check_finite('FaceExpression.weight', weights)
    if not np.isfinite(message.confidence):
        raise MessageError('FaceExpression.confidence is NaN or Inf; expected 0..1.')
    if message.basis == FaceExpressionMsg.BASIS_ARKIT52:
        weights = np.clip(weights, 0.0, 1.0)
    head, jaw, left_eye, right_eye = _parse_quats(
        'FaceExpression.head, jaw, left_eye, right_eye',
        [message.head, message.jaw, message.left_eye, message.right_eye],
    )
    return FaceExpression(
        basis=message.basis,
        names=tuple(message.name),
        weights=weights,
        head=head,
        jaw=jaw,
        left_eye=left_eye,
        right_eye=right_eye,
        confidence=float(np.clip(message.confidence, 0.0, 1.0)),
        stamp_ns=ns_from_stamp(message.header.stamp),
        frame_id=message.header.frame_id,
        person_id=message.person_id,
    )


# -- views -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """A parsed ViewRequest: one camera an eye, poses still in `frame_id`."""

    client_id: str
    frame_id: str
    cameras: tuple[Camera, ...]


def view_request_message(
    cameras: Sequence[Camera], *, client_id: str, frame_id: str, stamp_ns: int
) -> ViewRequest:
    """Cameras of one size (one an eye) -> message."""
    message = ViewRequest(
        header=header(stamp_ns, frame_id),
        client_id=client_id,
        eye=[pose_message(invert_rigid(camera.T_camera_world)) for camera in cameras],
        width=cameras[0].width,
        height=cameras[0].height,
    )
    message.tangent = array.array('f', np.concatenate([c.tangents for c in cameras]))
    return message


def parse_view_request(message: ViewRequest) -> View:
    """Checked message -> View.

    :raises MessageError: see module.
    """
    eyes = len(message.eye)
    if eyes not in (1, 2):
        raise MessageError(f'ViewRequest.eye has {eyes} poses; expected 1 (mono) or 2 (stereo).')
    if len(message.tangent) != 4 * eyes:
        raise MessageError(
            f'ViewRequest.tangent has {len(message.tangent)} values for {eyes} eyes; expected four '
            'an eye: left, right, up, down.'
        )
    if not (0 < message.width <= MAX_VIEW_SIDE and 0 < message.height <= MAX_VIEW_SIDE):
        raise MessageError(
            f'ViewRequest asks for {message.width}x{message.height} pixels; expected 1..'
            f'{MAX_VIEW_SIDE} a side.'
        )
    if eyes * message.width * message.height > MAX_VIEW_PIXELS:
        raise MessageError(
            f'ViewRequest asks for {eyes} x {message.width}x{message.height} pixels; '
            f'expected at most {MAX_VIEW_PIXELS} in all.'
        )
    tangents = np.asarray(message.tangent, dtype=float).reshape(eyes, 4)
    check_finite('ViewRequest.tangent', tangents)
    cameras = []
    for k in range(eyes):
        left, right, up, down = tangents[k]
        if not (right - left > 1e-3 and down - up > 1e-3):
            raise MessageError(
                f'ViewRequest.tangent of eye {k} is left {left:g}, right {right:g}, up {up:g}, '
                f'down {down:g}; expected left < right and up < down (image axes: y down).'
            )
        T_eye_frame = invert_rigid(parse_pose(f'ViewRequest.eye[{k}]', message.eye[k]))
        width, height = int(message.width), int(message.height)
        cameras.append(Camera.from_tangents(width, height, tangents[k]).at(T_eye_frame))
    return View(message.client_id, message.header.frame_id, tuple(cameras))


def status_message(stages_ms: Mapping[str, float], **fields: object) -> AvatarStatus:
    """AvatarStatus with parallel stage arrays filled; `fields` are the message's own."""
    message = AvatarStatus(stage=list(stages_ms), **fields)
    message.stage_ms = array.array('f', stages_ms.values())
    return message
