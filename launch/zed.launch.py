# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A ZED camera's body tracking drives the avatar.

ros2 launch avatar_ros zed.launch.py camera_model:=zedx
"""

from pathlib import Path

from avatar_ros.nodes.driver_launch import driver_description
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    return driver_description('zed', Path(__file__).parent)
