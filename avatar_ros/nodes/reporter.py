# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Node `reporter`: listens to a running graph and writes what it did to report.json."""

import json
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from avatar_ros.machine import machine
from avatar_ros.msg import AvatarStatus
from avatar_ros.nodes import messages, qos
from avatar_ros.nodes.parameters import declare, parameter
from avatar_ros.nodes.runtime import run_node

_SAME_RUN_NS = 1_000_000_000


@dataclass(frozen=True)
class ReporterParameters:
    """Parameters of the node."""

    report: str = parameter('', 'file to write at the end; empty = print only')
    warm_up_s: float = parameter(
        2.0, 'frames of this first while do not count', low=0.0, high=3600.0
    )
    input: str = parameter('', 'what the graph was fed with, for the record')


class ReporterNode(Node):
    """Subscribes status and /diagnostics."""

    def __init__(self, *, subscribe: bool = True, **kwargs: object) -> None:
        super().__init__('reporter', **kwargs)
        self.parameters = declare(self, ReporterParameters)
        self._lock = threading.Lock()
        self.worth_writing = True
        """False when the graph never ran: an earlier report is then left alone."""
        self._first_frame_s: float | None = None
        self._start_to_frame_s: float | None = None
        self._last_stamp_ns = -_SAME_RUN_NS
        self._arrival_s: list[float] = []
        self._age_ms: list[float] = []
        self._first_status: AvatarStatus | None = None
        self._last_status: AvatarStatus | None = None
        self._nodes: dict[str, dict[str, str]] = {}
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        if subscribe:
            qos.create(
                self.create_subscription, AvatarStatus, 'status', self.accept, profile=qos.SENSOR
            )

    def accept(self, status: AvatarStatus) -> None:
        """Take note of one published frame."""
        now = time.monotonic()
        with self._lock:
            if self._first_frame_s is None:
                self._first_frame_s = now
                self._start_to_frame_s = seconds_since_process_start()
            if status.repeated or now - self._first_frame_s < self.parameters.warm_up_s:
                return
            if not self._is_new(status):
                return
            self._first_status = self._first_status or status
            self._last_status = status
            self._arrival_s.append(now)
            self._age_ms.append(float(status.pose_age_ms))

    def _is_new(self, status: AvatarStatus) -> bool:
        """False for a pose that was counted already: two nodes may show the same one."""
        stamp_ns = messages.ns_from_stamp(status.header.stamp)
        # Far back in time it is a bag that starts again.
        old = 0 <= self._last_stamp_ns - stamp_ns < _SAME_RUN_NS
        self._last_stamp_ns = self._last_stamp_ns if old else stamp_ns
        return not old

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with self._lock:
            for status in message.status:
                values = {item.key: item.value for item in status.values}
                # Only nodes of this graph: other robots have cameras and viewers too.
                namespace, _, node = status.name.strip('/').rpartition('/')
                if namespace == self.get_namespace().strip('/'):
                    self._nodes[node] = {**values, 'message': status.message}

    def report(self) -> dict[str, Any]:
        """Everything known so far, ready for JSON."""
        with self._lock:
            arrivals, ages = list(self._arrival_s), list(self._age_ms)
            first, last = self._first_status, self._last_status
            nodes = {name: dict(values) for name, values in self._nodes.items()}
        result: dict[str, Any] = {
            'machine': machine(),
            'input': self.parameters.input,
            'input_size': nodes.get('body_tracker', {}).get('image_size', ''),
            'seconds': round(arrivals[-1] - arrivals[0], 3) if len(arrivals) > 1 else 0.0,
            'frames_in': _count(nodes, 'camera', 'frames')
            or _count(nodes, 'body_tracker', 'images'),
            'poses': _count(nodes, 'body_tracker', 'poses'),
            'start_to_first_frame_s': self._start_to_frame_s,
            'frames_out': len(arrivals),
            'fps': _rate(arrivals),
            'pose_age_ms': percentiles(ages),
            'stages_ms': _stages(nodes),
            'drops': {
                'images': _count(nodes, 'body_tracker', 'images_dropped'),
                'poses': _count(nodes, 'avatar_renderer', 'frames_dropped'),
            },
            'skips': _count(nodes, 'avatar_renderer', 'frames_skipped'),
            'refused': {name: n for name, n in _refused(nodes).items() if n},
            'tracking_state': nodes.get('body_tracker', {}).get('tracking_state', ''),
        }
        if first is not None and last is not None:
            result['engine'] = last.engine
            result['avatar'] = last.avatar
            result['gaussians'] = int(last.gaussians)
            result['people'] = int(last.people)
            result['view_size'] = f'{last.width}x{last.height}'
        return result

    def write(self) -> dict[str, Any]:
        """Write the report to its file, whole or not at all, and give it."""
        result = self.report()
        if self.parameters.report:
            path = Path(self.parameters.report).expanduser()
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix('.part')
            part.write_text(json.dumps(result, indent=2) + '\n')
            part.replace(path)
        return result

    def close(self) -> None:
        """Write the report, if there was anything to report."""
        if not self.worth_writing:
            return
        result = self.report()
        print(summary(result), flush=True)
        try:
            self.write()
        except OSError as error:
            self.get_logger().error(f'the report was not written: {error}')


def summary(result: dict[str, Any]) -> str:
    """One line for people."""
    age = result['pose_age_ms']
    return (
        f'{result["frames_out"]} frames in {result["seconds"]:.1f} s: {result["fps"]:.1f} fps, '
        f'pose age p50 {age["p50"]:.0f} ms, p95 {age["p95"]:.0f} ms, p99 {age["p99"]:.0f} ms'
    )


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p95 and p99; zeros if there is nothing."""
    points = np.percentile(values, [50, 95, 99]) if values else np.zeros(3)
    return {name: round(float(v), 2) for name, v in zip(('p50', 'p95', 'p99'), points, strict=True)}


def seconds_since_process_start() -> float | None:
    """Seconds since this process was started; None where /proc does not tell."""
    try:
        fields = Path('/proc/self/stat').read_text().rsplit(')', 1)[1].split()
        started = int(fields[19]) / os.sysconf('SC_CLK_TCK')
        return round(time.clock_gettime(time.CLOCK_BOOTTIME) - started, 2)
    except (OSError, AttributeError, IndexError, ValueError):
        return None


def _rate(arrivals: list[float]) -> float:
    if len(arrivals) < 2:
        return 0.0
    return round((len(arrivals) - 1) / (arrivals[-1] - arrivals[0]), 2)


def _number(text: str) -> float:
    """The number, or 0 where somebody else's diagnostics say something else."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if np.isfinite(value) else 0.0


def _count(nodes: dict[str, dict[str, str]], node: str, name: str) -> int:
    return int(_number(nodes.get(node, {}).get(f'{name}_count', '0')))


def _refused(nodes: dict[str, dict[str, str]]) -> dict[str, int]:
    return {
        f'{node}.{key.removesuffix("_count")}': int(_number(value))
        for node, values in nodes.items()
        for key, value in values.items()
        if key.endswith(('_refused_count', '_failed_count', '_lost_count'))
    }


def _stages(nodes: dict[str, dict[str, str]]) -> dict[str, dict[str, float]]:
    stages: dict[str, dict[str, float]] = {}
    for node, values in nodes.items():
        for key, value in values.items():
            for quantile in ('p50', 'p95'):
                if key.endswith(f'_{quantile}_ms'):
                    name = f'{node}.{key.removesuffix(f"_{quantile}_ms")}'
                    stages.setdefault(name, {})[quantile] = _number(value)
    return stages


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `reporter`."""
    return run_node(ReporterNode, args)


if __name__ == '__main__':
    sys.exit(main())
