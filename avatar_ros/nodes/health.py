# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What a node knows of its own health: stage times, rates, ages, counts, the last error."""

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

_WINDOW = 4096
_RECENT_S = 5.0


class Statistics:
    """Times, counts and errors of one node; safe to feed from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: dict[str, deque[float]] = {}
        self._ticks: deque[float] = deque(maxlen=512)
        self.counts: Counter[str] = Counter()
        self.info: dict[str, str] = {}
        """Facts to show as they are, such as the engine's name."""
        self.error = ''
        self._error_time = -np.inf

    def time(self, stages_ms: Mapping[str, float]) -> None:
        """Add one sample of each stage, in milliseconds."""
        with self._lock:
            for name, value in stages_ms.items():
                self._samples.setdefault(name, deque(maxlen=_WINDOW)).append(float(value))

    def tick(self) -> None:
        """Count one output, for the rate."""
        with self._lock:
            self._ticks.append(time.monotonic())

    def count(self, name: str, n: int = 1) -> None:
        """Count an event, such as a dropped frame."""
        with self._lock:
            self.counts[name] += n

    def fail(self, name: str, error: object) -> None:
        """Count a failure and remember what it was."""
        with self._lock:
            self.counts[name] += 1
            self.error = str(error)
            self._error_time = time.monotonic()

    def rate_hz(self) -> float:
        """Outputs a second over the last few seconds."""
        with self._lock:
            now = time.monotonic()
            recent = [t for t in self._ticks if now - t <= _RECENT_S]
        if len(recent) < 2:
            return 0.0
        return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-6)

    def percentiles(self) -> dict[str, tuple[float, float]]:
        """Stage -> (p50, p95) in milliseconds over the last few thousand samples."""
        with self._lock:
            samples = {name: list(values) for name, values in self._samples.items()}
        return {
            name: (float(np.percentile(v, 50)), float(np.percentile(v, 95)))
            for name, v in samples.items()
        }

    def recent_error(self) -> str:
        """The last error, if it is only a few seconds old."""
        return self.error if time.monotonic() - self._error_time < _RECENT_S else ''


class DiagnosticsPublisher:
    """Publishes a node's `Statistics` on /diagnostics, once a second of wall time."""

    def __init__(self, node: Node, statistics: Statistics, hardware_id: str = '') -> None:
        self._node = node
        self._statistics = statistics
        self._hardware_id = hardware_id
        self.warning = ''
        """Set while the node works, but not as it should (nobody tracked, say)."""
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # Wall time, so that a paused bag still shows a living node.
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='diagnostics', daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            try:
                self.publish()
            except Exception as error:  # the context may be going down
                if not self._stop.is_set():
                    self._node.get_logger().debug(f'diagnostics not sent: {error}')

    def publish(self) -> None:
        """Send the state as it is now."""
        s = self._statistics
        values = {'rate_hz': f'{s.rate_hz():.2f}', **dict(s.info)}
        values.update({f'{name}_count': str(n) for name, n in dict(s.counts).items()})
        for name, (p50, p95) in s.percentiles().items():
            values[f'{name}_p50_ms'], values[f'{name}_p95_ms'] = f'{p50:.3f}', f'{p95:.3f}'
        if s.error:
            values['last_error'] = s.error
        level, text = DiagnosticStatus.OK, 'working'
        if self.warning:
            level, text = DiagnosticStatus.WARN, self.warning
        if s.recent_error():
            level, text = DiagnosticStatus.ERROR, s.recent_error()
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [
            DiagnosticStatus(
                level=level,
                name=self._node.get_fully_qualified_name().lstrip('/'),
                message=text,
                hardware_id=self._hardware_id,
                values=[KeyValue(key=k, value=v) for k, v in values.items()],
            )
        ]
        self._publisher.publish(message)

    def close(self) -> None:
        """Stop sending."""
        self._stop.set()
        self._thread.join(timeout=3.0)
