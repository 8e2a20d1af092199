# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The message types that rosbags must know to write bags that ``ros2 bag`` reads."""

import importlib
import os
from functools import cache
from pathlib import Path
from typing import Any

from rclpy.qos import QoSProfile
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

PACKAGE = 'avatar_ros'


def message_class(typename: str) -> Any:
    """The class of ``package/msg/Name``.

    :raises ValueError: if that package is not installed.
    """
    package, _, name = typename.partition('/msg/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError):
        raise ValueError(
            f'the message type {typename} is not installed; install the package {package!r}, or '
            'leave its topics out with --topics.'
        ) from None


@cache
def bag_typestore() -> Typestore:
    """Standard ROS 2 messages and ours, read from the installed .msg files."""
    store = get_typestore(Stores.ROS2_KILTED)
    for path in sorted(_message_folder().glob('*.msg')):
        store.register(get_types_from_msg(path.read_text(), f'{PACKAGE}/msg/{path.stem}'))
    return store


def _message_folder() -> Path:
    source = Path(__file__).resolve().parents[2] / 'msg'
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    for folder in [source, *(Path(p) / 'share' / PACKAGE / 'msg' for p in prefixes if p)]:
        if any(folder.glob('*.msg')):
            return folder
    raise FileNotFoundError(
        f'the .msg files of {PACKAGE} were not found in {source} nor under share/{PACKAGE}/msg of '
        'AMENT_PREFIX_PATH. Install the package or source the workspace.'
    )


def offered_qos(profile: QoSProfile) -> Qos:
    """As rosbag2 keeps it beside a topic; the numbers of the policies are rmw's in both."""
    none = QosTime(0, 0)
    return Qos(
        QosHistory.KEEP_LAST,
        profile.depth,
        QosReliability(int(profile.reliability)),
        QosDurability(int(profile.durability)),
        none,
        none,
        QosLiveliness.AUTOMATIC,
        none,
        False,
    )
