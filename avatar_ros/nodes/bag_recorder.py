# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Node `bag_recorder`: topics into a rosbag2 (MCAP or SQLite) without deserializing them."""

import contextlib
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.validate_topic_name import validate_topic_name
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError

from avatar_ros.nodes.bag_types import bag_typestore, message_class, offered_qos
from avatar_ros.nodes.health import DiagnosticsPublisher, Statistics

DEFAULT_TOPICS = (
    'camera/image/compressed',
    'camera/camera_info',
    'body_pose',
    'face_expression',
    'avatar_renderer/status',
)
STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
_DISCOVERY_S = 0.2
_MAX_WAITING = 1000  # messages between the middleware and the disk


class BagRecorder(Node):
    """Subscribes each topic as soon as it exists.

    :raises ValueError: if the bag exists already.
    """

    def __init__(self, path: Path, topics: list[str], storage: str = 'mcap', **kwargs: Any) -> None:
        super().__init__('bag_recorder', **kwargs)
        for topic in topics:
            validate_topic_name(topic)
        self.path = path
        self.statistics = Statistics()
        self.failed = ''
        """Why writing ended early; empty while all is well."""
        self._wanted = {self.resolve_topic_name(topic) for topic in topics}
        # One thread owns the file (SQLite insists); callbacks only hand messages over.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix='bag')
        self._waiting = threading.Semaphore(_MAX_WAITING)
        try:
            self._writer: Writer | None = Writer(path, version=9, storage_plugin=STORAGES[storage])
            self._disk.submit(self._writer.open).result()
        except (WriterError, OSError) as error:
            self._disk.shutdown()
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
            # A topic may be known by its subscribers alone: who records must know what is offered.
            offered = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
            if topic in types and offered and self._writer is not None:
                self._subscribe(topic, types[topic][0], _profile(offered))

    def _subscribe(self, topic: str, typename: str, profile: QoSProfile) -> None:
        store = bag_typestore()
        if typename not in store.types:
            self._unknown.add(topic)
            self.statistics.fail('topics_refused', f'{topic} has the unknown type {typename}')
            self.get_logger().error(
                f'{topic} is not recorded: its type {typename} is neither standard nor ours. '
                'Use `ros2 bag record` for it.'
            )
            return
        writer = self._writer
        if writer is None:
            return
        self._connections[topic] = self._disk.submit(
            lambda: writer.add_connection(
                topic, typename, typestore=store, offered_qos_profiles=[offered_qos(profile)]
            )
        ).result()
        self.create_subscription(
            message_class(typename),
            topic,
            lambda data, t=topic: self._take(t, data),
            profile,
            raw=True,
        )
        self.get_logger().info(f'recording {topic} [{typename}]')

    def _take(self, topic: str, data: bytes) -> None:
        if not self._waiting.acquire(blocking=False):
            self.statistics.count('messages_dropped')
            self.get_logger().warning(
                'the disk is too slow: messages are dropped', throttle_duration_sec=5.0
            )
            return
        with contextlib.suppress(RuntimeError):  # closing
            self._disk.submit(self._write, topic, self.get_clock().now().nanoseconds, data)

    def _write(self, topic: str, received_ns: int, data: bytes) -> None:
        self._waiting.release()
        if self._writer is None:
            return
        try:
            self._writer.write(self._connections[topic], received_ns, data)
            self.statistics.count('messages')
            self.statistics.tick()
        except (OSError, sqlite3.Error, WriterError) as error:  # the disk is full, or went away
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._close_writer()
        self.failed = (
            f'writing {self.path} ended after {self.statistics.counts["messages"]} messages: '
            f'{error}. What was written so far stays; free some space and record again.'
        )
        self.statistics.fail('write_failed', self.failed)
        self.get_logger().error(self.failed)

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        except (OSError, sqlite3.Error, WriterError) as error:
            self.get_logger().error(
                f'the end of {self.path} could not be written: {error}. '
                '`ros2 bag reindex` may recover it.'
            )

    def close(self) -> None:
        """Write the bag's end."""
        with contextlib.suppress(RuntimeError):  # closed before
            self._disk.submit(self._close_writer)
        self._disk.shutdown()  # after everything that was handed over
        self.diagnostics.close()


def _profile(offered: Sequence[QoSProfile]) -> QoSProfile:
    """What all publishers can serve, but deep: a recorder must not lose what a viewer may."""
    best_effort = any(q.reliability == ReliabilityPolicy.BEST_EFFORT for q in offered)
    latched = all(q.durability == DurabilityPolicy.TRANSIENT_LOCAL for q in offered)
    return QoSProfile(
        depth=100,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
