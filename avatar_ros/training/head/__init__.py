# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""HeadGAP (Zheng 2025): a prior over many heads, and a head avatar from a few photographs."""
