# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What `dress_person.py` and `make_heads.py` share: surfaces, their textures, light, poses."""
