# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The quality-of-service profiles of our topics, each overridable from a parameter file."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

#: Sensor streams (images, camera_info): late is worse than lost.
SENSOR = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=2, reliability=ReliabilityPolicy.BEST_EFFORT
)
#: Poses and expressions: one message a person, so that a picture may give many at once.
POSE = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=32, reliability=ReliabilityPolicy.BEST_EFFORT
)
#: Rendered views and status: offered reliably, so that both kinds of subscriber connect.
VIEW = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)
#: State that latecomers want too (REP-155's ids, a snapshot of splats): the last is kept for them.
LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
#: Requests of clients: the newest counts.
COMMAND = VIEW


def overridable() -> QoSOverridingOptions:
    """Lets users change history, depth and reliability under ``qos_overrides.<topic>``."""
    return QoSOverridingOptions.with_default_policies()
