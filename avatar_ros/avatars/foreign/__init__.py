# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Other people's avatars, read into bundles of ours."""
