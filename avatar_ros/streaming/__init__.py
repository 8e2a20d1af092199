# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures to browsers and headsets."""
