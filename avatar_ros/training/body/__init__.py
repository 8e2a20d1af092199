# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Training of body avatars: 3DGS-Avatar as the base, CHASE and SG-GS on top of it."""
