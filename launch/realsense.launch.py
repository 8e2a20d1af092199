# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A RealSense camera drives the avatar.

ros2 launch avatar_ros realsense.launch.py view_size:=768x768
"""

from pathlib import Path

from avatar_ros.nodes.driver_launch import driver_description
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    return driver_description('realsense', Path(__file__).parent)
