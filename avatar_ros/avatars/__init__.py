# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Avatars that can be driven live, and the bundle that they are kept in."""

from pathlib import Path

import torch

from avatar_ros.avatars.avatar import Avatar, avatar_path, shipped_avatars
from avatar_ros.avatars.bundle import Bundle, ExpressionBasis, load_bundle, save_bundle
from avatar_ros.avatars.bundle_files import BundleError
from avatar_ros.avatars.pose_basis import PoseBasis
from avatar_ros.avatars.skinned import SkinnedAvatar

__all__ = [
    'Avatar',
    'Bundle',
    'BundleError',
    'ExpressionBasis',
    'PoseBasis',
    'SkinnedAvatar',
    'avatar_path',
    'load_avatar',
    'load_bundle',
    'save_bundle',
    'shipped_avatars',
]


def load_avatar(path_or_name: str | Path, device: torch.device | str = 'cpu') -> Avatar:
    """The avatar in a bundle (.zip or directory), or the shipped one of that name (``demo``).

    :raises ValueError: if there is none, or the bundle is damaged.
    """
    return SkinnedAvatar(load_bundle(avatar_path(path_or_name)), device)
