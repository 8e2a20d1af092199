# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The quality-of-service profiles of our topics, each overridable from a parameter file."""

from collections.abc import Callable
from copy import copy
from typing import Any, TypeVar

from rclpy.exceptions import InvalidParameterTypeException
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


T = TypeVar('T')


def create(make: Callable[..., T], kind: type, topic: str, *more: Any, profile: QoSProfile) -> T:
    """What a node's `make` (create_publisher, create_subscription, ...) gives for that topic.

    Users change history, depth and reliability under ``qos_overrides.<topic>``. rclpy writes these
    into the profile that it is given, so it gets one of its own.

    :raises ValueError: if an override is no such policy.
    """
    try:
        return make(
            kind,
            topic,
            *more,
            qos_profile=copy(profile),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
    except (RuntimeError, AssertionError, InvalidParameterTypeException) as error:
        raise ValueError(
            f'qos_overrides of {topic!r}: {error or type(error).__name__}; expected history '
            'keep_last or keep_all, depth 0 or more, reliability reliable or best_effort.'
        ) from error
