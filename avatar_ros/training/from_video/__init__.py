# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A capture from videos: masks, landmarks, and one body fitted to all of them."""
