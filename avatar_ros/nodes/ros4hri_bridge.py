# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Node `ros4hri_bridge`: BodyPose and FaceExpression -> the topics and frames of REP-155.

For each person: `/humans/bodies/<id>/joint_states` (20 hinges), `/humans/bodies/<id>/urdf`
(latched), the frames `body_<id>`, its links, `face_<id>` and `gaze_<id>` on `/tf`; and who is
there on `/humans/bodies/tracked` and `/humans/faces/tracked` if `hri_msgs` is installed.
"""

import importlib
import math
import re
import sys
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.body.pose import TrackingState
from avatar_ros.body.rep155 import Rep155Human
from avatar_ros.body.rep155_urdf import urdf
from avatar_ros.geometry import R_ROS_OPTICAL, R_ROS_SMPL, matrix_from_quat, rigid, slerp
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.msg import FaceExpression as FaceExpressionMsg
from avatar_ros.nodes import messages, qos
from avatar_ros.nodes.health import DiagnosticsPublisher, Statistics
from avatar_ros.nodes.parameters import declare, parameter
from avatar_ros.nodes.runtime import run_node
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.types import FloatArray

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # the wheels of PyPI have no geometry2; a ROS installation always does
    TFMessage = None

_FACE_S = 1.0  # for so long a face counts as tracked
_IDS_PERIOD_S = 1.0
_QUIET_S = 2.0


@dataclass(frozen=True)
class BridgeParameters:
    """Parameters of the node."""

    prefix: str = parameter('/humans', 'in front of the topics; REP-155 says /humans')
    reference_frame: str = parameter('world', 'frame of poses that name none')
    publish_links: bool = parameter(
        True, 'all links of the human on /tf; false where a robot_state_publisher does it'
    )
    max_people: int = parameter(8, 'bodies at a time', low=1, high=64)
    max_rate_hz: float = parameter(30.0, 'of each body', low=0.1, high=1000.0)
    leave_s: float = parameter(2.0, 'without a pose until a body is gone', low=0.1, high=3600.0)


@dataclass
class Body:
    """One tracked body and its topics."""

    id: str
    joint_states: Publisher
    urdf: Publisher
    angles: dict[str, float] = field(default_factory=dict)
    seen_s: float = 0.0
    sent_s: float = -math.inf
    face_s: float = -math.inf
    R_face_gaze: FloatArray = field(default_factory=lambda: R_ROS_OPTICAL.copy())


class Ros4HriBridgeNode(Node):
    """Subscribes body_pose, face_expression; publishes below /humans and on /tf."""

    def __init__(self, *, subscribe: bool = True, **kwargs: object) -> None:
        super().__init__('ros4hri_bridge', **kwargs)
        p = self.parameters = declare(self, BridgeParameters)
        if not re.fullmatch(r'/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*', p.prefix):
            raise ValueError(f'parameter prefix is {p.prefix!r}; expected a name such as /humans.')
        self.statistics = Statistics()
        self.human = Rep155Human(free_rest_landmarks().joints)
        self._fixed = {link.name for link in self.human.links} | {'body', 'face', 'gaze'}
        self.bodies: dict[str, Body] = {}
        self._tf = self._publisher(TFMessage, '/tf', QoSProfile(depth=100))
        ids = _ids_list()
        self._tracked = {
            kind: self._publisher(ids, f'{p.prefix}/{kind}/tracked', qos.LATCHED)
            for kind in ('bodies', 'faces')
        }
        self._told: dict[str, list[str]] = {}
        self._ids_type = ids
        if ids is None:
            self.statistics.info['hri_msgs'] = 'not installed'
            self.get_logger().warning(
                'hri_msgs is not installed, so nothing is said on '
                f'{p.prefix}/bodies/tracked. Install it with '
                '"sudo apt install ros-$ROS_DISTRO-hri-msgs", or build it in your workspace. '
                'joint_states, urdf and TF are published all the same.'
            )
        if TFMessage is None:
            self.get_logger().warning('tf2_msgs is not installed, so there are no frames on /tf.')
        self._started_s = self._received_s = time.monotonic()
        self.diagnostics = DiagnosticsPublisher(self, self.statistics, 'rep155')
        if subscribe:
            qos.create(
                self.create_subscription, BodyPoseMsg, 'body_pose', self._on_pose, profile=qos.POSE
            )
            qos.create(
                self.create_subscription,
                FaceExpressionMsg,
                'face_expression',
                self._on_face,
                profile=qos.POSE,
            )
        self.create_timer(0.2, self._watch)

    def _publisher(self, kind: type | None, topic: str, profile: QoSProfile) -> Publisher | None:
        if kind is None:
            return None
        return qos.create(self.create_publisher, kind, topic, profile=profile)

    # -- input -------------------------------------------------------------------------------

    def _on_pose(self, message: BodyPoseMsg) -> None:
        self._received_s = time.monotonic()
        self.statistics.count('messages')
        try:
            self.accept_pose(messages.parse_body_pose(message))
        except Exception as error:  # whatever it is, no message may end the node
            self._failed('body_pose', error)

    def _on_face(self, message: FaceExpressionMsg) -> None:
        self.statistics.count('messages')
        try:
            self.accept_face(messages.parse_face_expression(message))
        except Exception as error:
            self._failed('face_expression', error)

    def accept_pose(self, pose: BodyPose) -> None:
        """Publish what REP-155 says of a person.

        :raises ValueError: if there is one person too many, or their pose is no body's.
        """
        if pose.state == TrackingState.LOST:
            self._remove(pose.person_id)
            return
        pose = replace(pose, frame_id=pose.frame_id or self.parameters.reference_frame)
        self._check_frame(pose.frame_id)
        now = time.monotonic()
        known = self.bodies.get(pose.person_id)
        if known is not None and now - known.sent_s < 0.8 / self.parameters.max_rate_hz:
            known.seen_s = now
            self.statistics.count('poses_skipped')
            return
        angles = self.human.angles(pose, known.angles if known is not None else None)
        body = known or self._add(pose.person_id)
        body.angles, body.seen_s, body.sent_s = angles, now, now
        state = JointState(header=messages.header(pose.stamp_ns, ''))
        state.name = [f'{joint}_{body.id}' for joint in angles]
        state.position = list(angles.values())
        body.joint_states.publish(state)
        if self._tf is not None and self._tf.get_subscription_count():
            self._tf.publish(TFMessage(transforms=self.transforms(body, pose)))
        self.statistics.count('poses')
        self.statistics.tick()
        self._tell_ids()

    def accept_face(self, face: FaceExpression) -> None:
        """Where a person looks; faces of unknown bodies are passed over."""
        body = self.bodies.get(face.person_id)
        if body is None or face.confidence <= 0.0:
            return
        body.face_s = time.monotonic()
        R_eyes = matrix_from_quat(slerp(face.left_eye, face.right_eye, 0.5))
        body.R_face_gaze = R_ROS_SMPL @ R_eyes @ R_ROS_SMPL.T @ R_ROS_OPTICAL

    def _failed(self, topic: str, error: Exception) -> None:
        self.statistics.fail('messages_refused', f'{topic}: {error}')
        text = str(error) if isinstance(error, ValueError) else f'{type(error).__name__}: {error}'
        self.get_logger().error(f'{topic} refused: {text}', throttle_duration_sec=5.0)

    def _check_frame(self, frame_id: str) -> None:
        """A body that hangs on a body would make TF a circle, or no tree."""
        link, _, body_id = frame_id.rpartition('_')
        ours = any(body.id == body_id for body in self.bodies.values())
        if (link in self._fixed and ours) or link == 'body':
            raise ValueError(
                f'the pose is in frame {frame_id!r}, which is a frame of a body itself; expected '
                'that of a sensor or of the world. Poses from REP-155 need no bridge to it.'
            )

    # -- people ------------------------------------------------------------------------------

    def _add(self, person_id: str) -> Body:
        if len(self.bodies) >= self.parameters.max_people:
            raise ValueError(
                f'person {person_id!r:.40} is one more than max_people = '
                f'{self.parameters.max_people}.'
            )
        body_id = body_name(person_id, {body.id for body in self.bodies.values()})
        topic = f'{self.parameters.prefix}/bodies/{body_id}'
        body = Body(
            body_id,
            qos.create(
                self.create_publisher, JointState, f'{topic}/joint_states', profile=qos.VIEW
            ),
            qos.create(self.create_publisher, String, f'{topic}/urdf', profile=qos.LATCHED),
        )
        body.urdf.publish(String(data=urdf(self.human, body_id)))
        self.bodies[person_id] = body
        self.statistics.count('bodies')
        return body

    def _remove(self, person_id: str) -> None:
        body = self.bodies.pop(person_id, None)
        if body is not None:
            self.destroy_publisher(body.joint_states)
            self.destroy_publisher(body.urdf)
            self._tell_ids()

    def _watch(self) -> None:
        now = time.monotonic()
        for person_id, body in list(self.bodies.items()):
            if now - body.seen_s > self.parameters.leave_s:
                self._remove(person_id)
        self._tell_ids(again=now - self._started_s > _IDS_PERIOD_S)
        if now - self._started_s > _IDS_PERIOD_S:
            self._started_s = now
        quiet = now - self._received_s > _QUIET_S
        self.diagnostics.warning = 'nothing comes on body_pose' if quiet else ''

    def _tell_ids(self, *, again: bool = False) -> None:
        """When somebody has come or gone, and once a second."""
        now = time.monotonic()
        bodies = list(self.bodies.values())
        ids = {
            'bodies': [body.id for body in bodies],
            'faces': [body.id for body in bodies if now - body.face_s < _FACE_S],
        }
        self.statistics.info['bodies'] = ', '.join(ids['bodies'])
        for kind, publisher in self._tracked.items():
            if publisher is not None and (again or ids[kind] != self._told.get(kind)):
                message = self._ids_type()
                message.header.stamp = self.get_clock().now().to_msg()
                message.ids = ids[kind]
                publisher.publish(message)
        self._told = ids

    # -- frames ------------------------------------------------------------------------------

    def transforms(self, body: Body, pose: BodyPose) -> list[TransformStamped]:
        """The frames of a person: one tree below the frame of the pose."""
        frames = [(pose.frame_id, 'body', self.human.T_frame_body(pose))]
        if self.parameters.publish_links:
            moved = self.human.transforms(body.angles)
            frames += [
                (f'{link.parent}_{body.id}', link.name, moved[link.name])
                for link in self.human.links
            ]
        frames.append((f'head_{body.id}', 'face', self.human.T_head_face))
        frames.append((f'face_{body.id}', 'gaze', rigid(body.R_face_gaze, np.zeros(3))))
        return [
            messages.transform_message(T, parent, f'{child}_{body.id}', pose.stamp_ns)
            for parent, child, T in frames
        ]

    def close(self) -> None:
        """Stop."""
        self.diagnostics.close()


def body_name(person_id: str, taken: set[str]) -> str:
    """A short name of letters and digits that begins with a letter, as REP-155 wants ids."""
    name = re.sub(r'[^A-Za-z0-9]', '', person_id)[:16]
    name = name if name[:1].isalpha() else f'b{name}'
    unique, k = name, 2
    while unique in taken:
        unique, k = f'{name}x{k}', k + 1
    return unique


def _ids_list() -> Any:
    """hri_msgs/IdsList, or None where the package is absent."""
    try:
        return importlib.import_module('hri_msgs.msg').IdsList
    except (ImportError, AttributeError):
        return None


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `ros4hri_bridge`."""
    return run_node(Ros4HriBridgeNode, args)


if __name__ == '__main__':
    sys.exit(main())
