# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Every number that the README quotes is measured here, each module run by ``python -m``."""
