# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Node `bag_player`: plays a rosbag2 (MCAP or SQLite) into the live graph."""

import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.errors import ReaderError
from rosgraph_msgs.msg import Clock

from avatar_ros.msg import AvatarStatus
from avatar_ros.nodes import qos
from avatar_ros.nodes.bag_types import message_class
from avatar_ros.nodes.messages import ns_from_stamp, stamp_from_ns

_CLOCK_PERIOD_NS = 10_000_000
_LOCKSTEP_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class PlayOptions:
    """How to play."""

    rate: float = 1.0
    start_s: float = 0.0
    loop: int = 1
    """How many times; 0 = until stopped."""
    clock: bool = False
    """Publish /clock, so that nodes with use_sim_time live in the bag's time."""
    lockstep: str = ''
    """Topic: after each of its messages wait for the frame that shows it."""
    status_topic: str = 'avatar_renderer/status'


class BagPlayer(Node):
    """Publishes recorded messages as they are, at the bag's pace.

    :raises ValueError: if there is no readable bag, or it lacks a wanted topic.
    """

    def __init__(self, path: Path, topics: list[str], options: PlayOptions, **kwargs: Any) -> None:
        super().__init__('bag_player', **kwargs)
        self.options = options
        self._path = path
        self._reader = self._open(path)
        self._connections = self._choose(topics)
        if not self._reader.message_count:
            raise ValueError(f'the bag {path} holds no messages; record it again.')
        self.start_ns = self._reader.start_time + int(options.start_s * 1e9)
        self.end_ns = self._reader.end_time
        if self.start_ns >= self.end_ns:
            raise ValueError(
                f'start is {options.start_s:g} s, but the bag {path} lasts '
                f'{(self.end_ns - self._reader.start_time) * 1e-9:.2f} s.'
            )
        self.sent = 0
        self.waited_in_vain = 0
        """Lockstep messages for which no frame came in time."""
        self.position_ns = self.start_ns
        self._closing = threading.Event()
        self._shown_ns = -1
        self._shown = threading.Condition()
        self._publishers_by_topic = {
            c.topic: self.create_publisher(message_class(c.msgtype), c.topic, _profile(c))
            for c in self._connections
        }
        self._clock_publisher = (
            self.create_publisher(Clock, '/clock', QoSProfile(depth=10)) if options.clock else None
        )
        if options.lockstep:
            if options.lockstep not in self._publishers_by_topic:
                raise ValueError(
                    f'lockstep topic {options.lockstep!r} is not played; played are '
                    f'{", ".join(self._publishers_by_topic)}.'
                )
            self.create_subscription(AvatarStatus, options.status_topic, self._on_status, qos.VIEW)

    @staticmethod
    def _open(path: Path) -> Reader:
        try:
            reader = Reader(path)
            reader.open()
        except (ReaderError, OSError, ValueError, KeyError) as error:
            cause = str(error).rstrip('.')
            raise ValueError(
                f'{path} is no rosbag2 that can be read: {cause}. Give the directory with '
                'metadata.yaml that `avatar_ros record` or `ros2 bag record` made.'
            ) from None
        return reader

    def _choose(self, topics: list[str]) -> list[Any]:
        there = {c.topic: c for c in self._reader.connections}
        if not topics:
            return list(there.values())
        names = [t if t in there else f'/{t.lstrip("/")}' for t in topics]
        missing = [name for name in names if name not in there]
        if missing:
            raise ValueError(
                f'the bag {self._path} has no topic {", ".join(missing)}; it holds '
                f'{", ".join(sorted(there)) or "nothing"}.'
            )
        return [there[name] for name in names]

    def wait_for_listeners(self, timeout_s: float = 5.0) -> bool:
        """Wait until whoever wants these topics is connected, so that no first message is lost."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and not self._closing.is_set():
            wanted = [t for t in self._publishers_by_topic if self.count_subscribers(t)]
            connected = [t for t in wanted if self._publishers_by_topic[t].get_subscription_count()]
            announced = not self.options.lockstep or self.count_publishers(
                self.resolve_topic_name(self.options.status_topic)
            )
            if wanted and wanted == connected and announced:
                time.sleep(0.3)  # the other side finishes its half of the handshake
                return True
            time.sleep(0.02)
        return False

    def play(self) -> Iterator[int]:
        """Play to the end, all loops; gives the bag time (ns) after each message."""
        loops = 0
        while (self.options.loop == 0 or loops < self.options.loop) and not self._closing.is_set():
            yield from self._play_once()
            loops += 1

    def _play_once(self) -> Iterator[int]:
        began = time.monotonic()
        waited = 0.0  # time in lockstep does not count
        messages = self._reader.messages(connections=self._connections, start=self.start_ns)
        self._tick(self.start_ns)
        for connection, stamp_ns, data in messages:
            due = began + waited + (stamp_ns - self.start_ns) * 1e-9 / self.options.rate
            self._wait_until(due, stamp_ns)
            if self._closing.is_set():
                return
            self._tick(stamp_ns)
            self._publishers_by_topic[connection.topic].publish(data)
            self.sent += 1
            self.position_ns = stamp_ns
            if connection.topic == self.options.lockstep:
                start = time.monotonic()
                self._wait_for_frame(_header_stamp_ns(data))
                waited += time.monotonic() - start
            yield stamp_ns

    def _wait_until(self, due: float, next_ns: int) -> None:
        """Sleep until `due`, with /clock going on meanwhile."""
        while not self._closing.is_set():
            left = due - time.monotonic()
            if left <= 0:
                return
            if self._clock_publisher is not None:
                self._tick(max(self.position_ns, next_ns - int(left * self.options.rate * 1e9)))
            self._closing.wait(min(left, _CLOCK_PERIOD_NS * 1e-9))

    def _tick(self, now_ns: int) -> None:
        if self._clock_publisher is not None:
            self._clock_publisher.publish(Clock(clock=stamp_from_ns(now_ns)))

    def _on_status(self, message: AvatarStatus) -> None:
        with self._shown:
            self._shown_ns = ns_from_stamp(message.header.stamp)
            self._shown.notify_all()

    def _wait_for_frame(self, stamp_ns: int) -> None:
        with self._shown:
            shown = self._shown.wait_for(
                lambda: self._shown_ns == stamp_ns or self._closing.is_set(), _LOCKSTEP_TIMEOUT_S
            )
        if not shown:
            self.waited_in_vain += 1
            self.get_logger().warning(
                f'no frame for stamp {stamp_ns} within {_LOCKSTEP_TIMEOUT_S:g} s; going on'
            )

    def stop(self) -> None:
        """End whatever is being waited for."""
        self._closing.set()

    def close(self) -> None:
        """Stop playing and release the bag."""
        self._closing.set()
        with self._shown:
            self._shown.notify_all()
        if self._reader.is_open:
            self._reader.close()


def _profile(connection: Any) -> QoSProfile:
    """Reliable, which reaches both kinds of subscriber; latched if it was when recorded."""
    offered = connection.ext.offered_qos_profiles
    latched = any(q.durability is QosDurability.TRANSIENT_LOCAL for q in offered)
    durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=10, durability=durability)


def _header_stamp_ns(data: bytes) -> int:
    """Stamp of a serialized message that begins with a Header (CDR, little endian)."""
    sec, nanosec = struct.unpack_from('<iI', data, 4)
    return int(sec) * 1_000_000_000 + int(nanosec)
