# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Captures made by drawing a known avatar: exact poses, masks, cameras and body parts."""
