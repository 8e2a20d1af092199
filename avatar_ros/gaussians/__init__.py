# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The Gaussian set, spherical harmonics and splat files."""

from avatar_ros.gaussians.gaussians import Gaussians

__all__ = ['Gaussians']
