# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The Gaussian set, spherical harmonics and splat files."""

from avatar_ros.gaussians.gaussians import Gaussians
from avatar_ros.gaussians.ply import read_ply, write_ply
from avatar_ros.gaussians.sh_autograd import sh_colors
from avatar_ros.gaussians.spherical_harmonics import (
    evaluate_sh,
    evaluate_sh_into,
    rgb_from_sh0,
    sh0_from_rgb,
    sh_basis,
)
from avatar_ros.gaussians.spz import read_spz, write_spz

__all__ = [
    'Gaussians',
    'evaluate_sh',
    'evaluate_sh_into',
    'read_ply',
    'read_spz',
    'rgb_from_sh0',
    'sh0_from_rgb',
    'sh_basis',
    'sh_colors',
    'write_ply',
    'write_spz',
]
