# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Node `bag_recorder`: topics into a rosbag2 (MCAP or SQLite) without deserializing them."""

import threading
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError

from avatar_ros.nodes.bag_types import bag_typestore, message_class
from avatar_ros.nodes.health import DiagnosticsPublisher, Statistics

DEFAULT_TOPICS = (
    'camera/image/compressed',
    'camera/camera_info',
    'body_pose',
    'face_expression',
    'avatar_renderer/status',
)
STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
_DISCOVERY_S = 0.5


class BagRecorder(Node):
    """Subscribes each topic as soon as it exists.

    :raises ValueError: if the bag exists already.
    """

    def __init__(self, path: Path, topics: list[str], storage: str = 'mcap', **kwargs: Any) -> None:
        super().__init__('bag_recorder', **kwargs)
        self.path = path
        self.statistics = Statistics()
        self.failed = ''
        """Why writing ended early; empty while all is well."""
        self._wanted = {self.resolve_topic_name(topic) for topic in topics}
        self._lock = threading.Lock()
        try:
            self._writer: Writer | None = Writer(path, version=9, storage_plugin=STORAGES[storage])
            self._writer.open()
        except WriterError as error:
            raise ValueError(
                f'the bag {path} cannot be made: {error}. Give a path that does not exist.'
            ) from None
        self._connections: dict[str, Any] = {}
        self._unknown: set[str] = set()
        self.diagnostics = DiagnosticsPublisher(self, self.statistics, str(path))
        self.create_timer(_DISCOVERY_S, self._discover)
        self._discover()

    def missing(self) -> list[str]:
        """Topics that nobody has published so far."""
        return sorted(self._wanted - set(self._connections))

    def _discover(self) -> None:
        types = dict(self.get_topic_names_and_types())
        for topic in self._wanted - set(self._connections) - self._unknown:
            if topic in types and self._writer is not None:
                self._subscribe(topic, types[topic][0])

    def _subscribe(self, topic: str, typename: str) -> None:
        store = bag_typestore()
        if typename not in store.types:
            self._unknown.add(topic)
            self.statistics.fail('topics_refused', f'{topic} has the unknown type {typename}')
            self.get_logger().error(
                f'{topic} is not recorded: its type {typename} is neither standard nor ours. '
                'Use `ros2 bag record` for it.'
            )
            return
        assert self._writer is not None
        self._connections[topic] = self._writer.add_connection(topic, typename, typestore=store)
        # What the publishers offer, but deep: a recorder must not lose what a viewer may.
        offered = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
        best_effort = any(q.reliability == ReliabilityPolicy.BEST_EFFORT for q in offered)
        qos = QoSProfile(
            depth=100,
            reliability=ReliabilityPolicy.BEST_EFFORT
            if best_effort
            else ReliabilityPolicy.RELIABLE,
        )
        self.create_subscription(
            message_class(typename),
            topic,
            lambda data, t=topic: self._write(t, data),
            qos,
            raw=True,
        )
        self.get_logger().info(f'recording {topic} [{typename}]')

    def _write(self, topic: str, data: bytes) -> None:
        with self._lock:
            if self._writer is None:
                return
            try:
                now = self.get_clock().now().nanoseconds
                self._writer.write(self._connections[topic], now, data)
                self.statistics.count('messages')
                self.statistics.tick()
            except OSError as error:  # the disk is full, or went away
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.failed = (
            f'writing {self.path} ended after {self.statistics.counts["messages"]} messages: '
            f'{error}. What was written so far stays; free some space and record again.'
        )
        self.statistics.fail('write_failed', self.failed)
        self.get_logger().error(self.failed)
        self._close_writer()

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        except (OSError, WriterError) as error:
            self.get_logger().error(f'the end of {self.path} could not be written: {error}')

    def close(self) -> None:
        """Write the bag's end."""
        with self._lock:
            self._close_writer()
        self.diagnostics.close()
