# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Stereo views with alpha and depth to XR clients, each from its own eyes."""
