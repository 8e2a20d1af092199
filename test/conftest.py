# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Fixtures for all tests. ROS tests live in a DDS domain of their own, on this machine only."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Before rclpy is imported.
_WORKER = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])
os.environ['ROS_DOMAIN_ID'] = str(100 + (os.getpid() + _WORKER) % 100)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ['ROS_LOCALHOST_ONLY'] = '1'
os.environ.setdefault('OMP_NUM_THREADS', '1')
# The folder `benchmarks` is not installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


class Ros:
    """A context of its own and an executor that spins in a thread."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        import avatar_ros.nodes  # noqa: F401

        rclpy.init(args=[])
        self.executor = SingleThreadedExecutor()
        self.nodes: list[Any] = []
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException

        with contextlib.suppress(ExternalShutdownException):
            self.executor.spin()

    def add(self, node: Any) -> Any:
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def node(self, name: str = 'probe') -> Any:
        from rclpy.node import Node

        return self.add(Node(name))

    def collect(self, node: Any, kind: Any, topic: str, **qos: Any) -> list[Any]:
        """Messages that arrive on a topic, in a list that grows."""
        from avatar_ros.nodes.qos import SENSOR

        received: list[Any] = []
        node.create_subscription(kind, topic, received.append, qos.get('qos', SENSOR))
        return received

    def remove(self, node: Any) -> None:
        """Take a node off the graph, as if its process had ended."""
        self.nodes.remove(node)
        self.executor.remove_node(node)
        node.destroy_node()

    def close(self) -> None:
        import rclpy

        for node in self.nodes:
            if hasattr(node, 'close'):
                node.close()
        self.executor.shutdown()
        self.thread.join(5)
        for node in self.nodes:
            node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def ros() -> Iterator[Ros]:
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    r = Ros()
    yield r
    r.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `python -m MODULE ARGS` in a process group of its own and ends it with the test."""
    started: list[subprocess.Popen[str]] = []

    def go(module: str, *args: str) -> subprocess.Popen[str]:
        log = (tmp_path / f'{module}.{len(started)}.log').open('w+')
        process = subprocess.Popen(
            [sys.executable, '-m', module, *args],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        process.log = log  # type: ignore[attr-defined]
        started.append(process)
        return process

    yield go
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)
        process.log.close()  # type: ignore[attr-defined]
