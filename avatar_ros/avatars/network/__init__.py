# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The networks of a body avatar: training fits them, CUDA may play them, baking replaces them."""
