# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Node `pose_adapter`: topics or packets of another tracker -> BodyPose and FaceExpression.

What each source listens to is in [trackers.md](trackers.md); here it is `azure_kinect`.
"""

import sys
import time
from dataclasses import dataclass, replace
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.geometry import Camera
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.msg import FaceExpression as FaceExpressionMsg
from avatar_ros.nodes import images, messages, qos
from avatar_ros.nodes.health import DiagnosticsPublisher, Statistics
from avatar_ros.nodes.parameters import declare, parameter
from avatar_ros.nodes.pose_sources import SOURCES, Options, TopicSource, UdpSource
from avatar_ros.nodes.runtime import run_node
from avatar_ros.nodes.udp import UdpListener
from avatar_ros.nodes.worker import Worker
from avatar_ros.tracking import OneEuroConfig
from avatar_ros.tracking.adapters import ImagePoints, NamedPoints, PeopleIK, Reading
from avatar_ros.tracking.pose_filter import PoseFilter, PoseFilterConfig
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks

_QUIET_S = 2.0
_EVERY_MESSAGE_DEPTH = 100
_LATCHED = QoSProfile(
    depth=_EVERY_MESSAGE_DEPTH,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
    reliability=ReliabilityPolicy.RELIABLE,
)


@dataclass(frozen=True)
class AdapterParameters:
    """Parameters of the node."""

    source: str = parameter('zed', 'which tracker to listen to', choices=tuple(SOURCES))
    topic: str = parameter('', 'topic to listen to; empty = the usual one of the source')
    map: str = parameter('', 'YAML file: which name is which joint (motion capture, TF)')
    scale: float = parameter(
        1.0, 'metres a unit of ZED and Kinect positions', low=1e-4, high=1000.0
    )
    fixed_frame: str = parameter('world', 'frame in which poses from TF are expressed')
    frame_id: str = parameter('world', 'frame of sources that tell none')
    person_id: str = parameter('', 'only this person, such as zed_7; empty = everybody')
    filter__when: str = parameter(
        'auto',
        'smooth poses (One-Euro); auto = of sources that give points alone',
        choices=('auto', 'always', 'never'),
    )
    filter__min_cutoff_hz: float = parameter(2.0, 'lower is calmer at rest', low=0.05, high=60.0)
    filter__beta: float = parameter(4.0, 'higher follows fast motion better', low=0.0, high=1000.0)
    host: str = parameter('127.0.0.1', 'address to listen on for packets; 0.0.0.0 = every network')
    port: int = parameter(0, 'UDP port; 0 = the usual one of the source', low=0, high=65535)


class PoseAdapterNode(Node):
    """Subscribes a topic or listens on a port; publishes body_pose, face_expression."""

    def __init__(self, *, subscribe: bool = True, **kwargs: object) -> None:
        super().__init__('pose_adapter', **kwargs)
        p = self.parameters = declare(self, AdapterParameters)
        self.statistics = Statistics()
        self._people = PeopleIK(free_rest_landmarks())
        one_euro = OneEuroConfig(p.filter__min_cutoff_hz, p.filter__beta)
        self._smooth = PoseFilter(PoseFilterConfig(one_euro, one_euro))
        self._pose = qos.create(self.create_publisher, BodyPoseMsg, 'body_pose', profile=qos.POSE)
        self._face = qos.create(
            self.create_publisher, FaceExpressionMsg, 'face_expression', profile=qos.POSE
        )
        self._started_s = self._received_s = time.monotonic()
        self._worker: Worker[Any] | None = None
        self._listener: UdpListener | None = None
        self._camera: Camera | None = None
        source = SOURCES[p.source]
        if isinstance(source, UdpSource):
            self._read_packet = source.make_reader()
            if subscribe:
                self._listener = UdpListener(p.host, p.port or source.port, self.accept_packet)
            self._where = f'UDP {p.host}:{p.port or source.port}'
        else:
            self._read_message = source.make_reader(
                Options(p.scale, p.map, p.fixed_frame, lambda: self._camera)
            )
            self._where = p.topic or source.topic
            if not source.every_message:
                self._worker = Worker('pose_adapter', self._process, self._failed)
            if subscribe:
                self._subscribe(source)
        self.statistics.info.update(source=p.source, listens_to=self._where)
        self.diagnostics = DiagnosticsPublisher(self, self.statistics, p.source)
        self.create_timer(1.0, self._watch)
        self.get_logger().info(f'{p.source}: listening to {self._where}')

    def _subscribe(self, source: TopicSource) -> None:
        kind = source.message_type(self.parameters.source)
        profile = qos.SENSOR
        if source.every_message:
            profile = QoSProfile(
                depth=_EVERY_MESSAGE_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT
            )
        qos.create(self.create_subscription, kind, self._where, self.accept, profile=profile)
        if source.needs_camera:
            qos.create(
                self.create_subscription, CameraInfo, 'camera_info', self.accept_info,
                profile=qos.SENSOR,
            )  # fmt: skip
        for topic in source.latched_topics:
            qos.create(self.create_subscription, kind, topic, self.accept, profile=_LATCHED)

    # -- input -------------------------------------------------------------------------------

    def accept(self, message: Any) -> None:
        """Take a message of the source's type."""
        self._count()
        if self._worker is not None:
            if self._worker.inbox.put(message) is not None:
                self.statistics.count('messages_dropped')
            return
        try:
            self._process(message)
        except Exception as error:  # whatever it is, no message may end the node
            self._failed(error)

    def accept_info(self, message: CameraInfo) -> None:
        """Take the camera of which the source tells places in the image."""
        try:
            self._camera = images.parse_camera_info(message)
        except Exception as error:  # whatever it is, no message may end the node
            self._failed(error, 'camera_info_refused')

    def accept_packet(self, packet: bytes) -> None:
        """Take a UDP packet. Packets add up to frames, so none is skipped."""
        self._count()
        try:
            now_ns = self.get_clock().now().nanoseconds
            self._publish_all(self._read_packet(packet, now_ns))
        except Exception as error:  # whatever it is, no packet may end the node
            self._failed(error)

    def _count(self) -> None:
        self._received_s = time.monotonic()
        self.statistics.count('messages')

    # -- work --------------------------------------------------------------------------------

    def _process(self, message: Any) -> None:
        start = time.perf_counter()
        readings = self._read_message(message)
        read = time.perf_counter()
        self._publish_all(readings)
        self.statistics.time(
            {'read': (read - start) * 1e3, 'ik': (time.perf_counter() - read) * 1e3}
        )

    def _publish_all(self, readings: list[Reading]) -> None:
        wanted = self.parameters.person_id
        for reading in readings:
            if wanted and reading.person_id != wanted:
                continue
            try:
                result = self._complete(self._people.solve(reading))
            except ValueError as error:  # one of several people
                self._failed(error, 'people_refused')
                continue
            if isinstance(result, BodyPose):
                if self._smoothed(reading):
                    result = self._smooth(result)
                self._pose.publish(messages.body_pose_message(result))
                self.statistics.count('poses')
                self.statistics.info['fit_error_mm'] = f'{1e3 * self._people.error_m:.1f}'
            else:
                self._face.publish(messages.face_expression_message(result))
                self.statistics.count('faces')
            self.statistics.tick()

    def _smoothed(self, reading: Reading) -> bool:
        when = self.parameters.filter__when
        points = isinstance(reading, NamedPoints | ImagePoints)
        return when == 'always' or (when == 'auto' and points)

    def _complete(self, result: BodyPose | FaceExpression) -> BodyPose | FaceExpression:
        """With the stamp of the arrival and the configured frame where the source told none."""
        return replace(
            result,
            stamp_ns=result.stamp_ns or self.get_clock().now().nanoseconds,
            frame_id=result.frame_id or self.parameters.frame_id,
        )

    def _failed(self, error: Exception, what: str = 'messages_refused') -> None:
        self.statistics.fail(what, error)
        expected = isinstance(error, ValueError)
        text = str(error) if expected else f'{type(error).__name__}: {error}'
        self.get_logger().error(text, throttle_duration_sec=5.0)

    def _watch(self) -> None:
        quiet = time.monotonic() - self._received_s > _QUIET_S
        self.diagnostics.warning = f'nothing comes on {self._where}' if quiet else ''

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
        if self._worker is not None:
            self._worker.stop()
        self.diagnostics.close()


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `pose_adapter`."""
    return run_node(PoseAdapterNode, args)


if __name__ == '__main__':
    sys.exit(main())
