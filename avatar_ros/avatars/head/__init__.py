# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Head avatars: HeadGAP's Gaussians on a FLAME mesh, and how they are driven."""
