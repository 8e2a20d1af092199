# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What the nodes of this graph say on /diagnostics: stage times and problems."""

import math

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus


class GraphHealth:
    """The newest word of every node in one namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace.strip('/')
        self._stages: dict[str, dict[str, tuple[float, float]]] = {}
        self._problems: dict[str, str] = {}
        self._tracking = ''

    def read(self, message: DiagnosticArray) -> None:
        """Take note.

        :raises ValueError: if it is somebody else's, with other values under the same names.
        """
        for status in message.status:
            namespace, _, node = status.name.strip('/').rpartition('/')
            if namespace != self._namespace:
                continue  # other robots have cameras too
            values = {item.key: item.value for item in status.values}
            stages = {
                key.removesuffix('_p50_ms'): (float(value), float(values[f'{key[:-7]}_p95_ms']))
                for key, value in values.items()
                if key.endswith('_p50_ms') and f'{key[:-7]}_p95_ms' in values
            }
            stages = {k: v for k, v in stages.items() if all(map(math.isfinite, v))}
            if stages:
                self._stages[node] = stages
            self._problems[node] = '' if status.level == DiagnosticStatus.OK else status.message
            self._tracking = values.get('tracking_state', self._tracking)

    def summary(self) -> dict[str, object]:
        """Plain values: `stages` {node: {stage: (p50, p95) ms}}, `problems`, `tracking`."""
        return {
            'stages': {node: dict(stages) for node, stages in self._stages.items()},
            'problems': [f'{node}: {text}' for node, text in self._problems.items() if text],
            'tracking': self._tracking,
        }
