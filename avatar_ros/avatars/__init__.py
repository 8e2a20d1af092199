# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Avatars that can be driven live, and the bundle that they are kept in."""

import logging
from pathlib import Path

import torch

from avatar_ros.avatars.avatar import Avatar, avatar_path, shipped_avatars
from avatar_ros.avatars.bundle import Bundle
from avatar_ros.avatars.bundle_files import BundleError
from avatar_ros.avatars.bundle_reader import is_head, load_any_bundle, load_bundle
from avatar_ros.avatars.bundle_writer import save_bundle
from avatar_ros.avatars.expression_basis import ExpressionBasis
from avatar_ros.avatars.head.avatar import HeadAvatar
from avatar_ros.avatars.head.bundle import HeadBundle, save_head_bundle
from avatar_ros.avatars.network_avatar import NetworkAvatar
from avatar_ros.avatars.pose_basis import PoseBasis
from avatar_ros.avatars.skinned import SkinnedAvatar

_log = logging.getLogger(__name__)

#: Ways to play a bundle.
PLAYBACKS = ('auto', 'baked', 'network')

__all__ = [
    'PLAYBACKS',
    'Avatar',
    'Bundle',
    'BundleError',
    'ExpressionBasis',
    'HeadAvatar',
    'HeadBundle',
    'NetworkAvatar',
    'PoseBasis',
    'SkinnedAvatar',
    'avatar_path',
    'is_head',
    'load_any_bundle',
    'load_avatar',
    'load_bundle',
    'save_bundle',
    'save_head_bundle',
    'shipped_avatars',
]


def load_avatar(
    path_or_name: str | Path, device: torch.device | str = 'cpu', playback: str = 'auto'
) -> SkinnedAvatar | HeadAvatar:
    """The avatar in a bundle (.zip or directory), or the shipped one of that name (``demo``).

    :param playback: ``baked`` plays the linear pose basis, ``network`` the networks that the
        bundle holds, ``auto`` the networks on CUDA if there are any, the basis otherwise. Heads
        always play their networks; ``network`` adds the screen-space one, ``baked`` leaves it out.
    :raises ValueError: if there is none, the bundle is damaged, or it cannot be played so.
    """
    if playback not in PLAYBACKS:
        raise ValueError(f'playback {playback!r}; expected one of {", ".join(PLAYBACKS)}.')
    bundle = load_any_bundle(avatar_path(path_or_name))
    if isinstance(bundle, HeadBundle):
        cnn = {'auto': None, 'baked': False, 'network': True}[playback]
        return HeadAvatar(bundle, device, cnn)
    on_gpu = torch.device(device).type == 'cuda'
    by_network = playback == 'network' or (
        playback == 'auto' and on_gpu and bundle.network is not None
    )
    _log.info('avatar %r is played %s', bundle.name, 'by networks' if by_network else 'baked')
    return (NetworkAvatar if by_network else SkinnedAvatar)(bundle, device)
