# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""An Orbbec Femto Bolt drives the avatar.

ros2 launch avatar_ros femto_bolt.launch.py
"""

from pathlib import Path

from avatar_ros.nodes.driver_launch import driver_description
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    return driver_description('femto_bolt', Path(__file__).parent)
