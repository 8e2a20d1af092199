# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures to browsers."""

from avatar_ros.streaming.viewer_server import ViewerServer

__all__ = ['ViewerServer']
