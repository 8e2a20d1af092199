# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The steps of `make_demo_avatar.py`: from a lit mesh to Gaussians that resemble its pictures."""
