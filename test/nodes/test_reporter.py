# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What the node `reporter` counts."""

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from avatar_ros.nodes.reporter import ReporterNode


def test_report_survives_foreign_diagnostics_and_counts_only_its_own_nodes(ros, tmp_path):
    path = tmp_path / 'r.json'
    reporter = ros.add(
        ReporterNode(namespace='/us', cli_args=['--ros-args', '-p', f'report:={path}'])
    )
    for name, value in (('other/camera', '77'), ('us/camera', '5'), ('us/viewer', 'n/a')):
        status = DiagnosticStatus(name=name)
        status.values = [
            KeyValue(key='frames_count', value=value),
            KeyValue(key='x_p50_ms', value='-'),
        ]
        reporter._on_diagnostics(DiagnosticArray(status=[status]))
    assert reporter.write()['frames_in'] == 5
    assert path.exists()
