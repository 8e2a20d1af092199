# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""rclpy wiring: one node a file. The only room that imports rclpy and message types.

Importing this package sets the environment that rclpy reads when it loads.
"""

from avatar_ros.nodes.runtime import prepare_environment

prepare_environment()
