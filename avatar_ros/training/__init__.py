# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""From captures to avatars: data sets, networks, losses, the trainer, baking.

What comes out is a bundle that `avatars` plays; nothing in here is needed to play it.
"""
