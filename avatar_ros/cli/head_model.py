# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Arguments that name a FLAME model of the user's own."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avatar_ros.body.flame import HeadModel


def add_flame(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    add = parser.add_argument
    add('--flame', metavar='FILE', help='FLAME 2020 or 2023 file of your own (the free head)')
    add('--flame-uv', metavar='FILE', help='FLAME_texture_data: .npz with vt and ft')
    add('--flame-masks', metavar='FILE', help='FLAME_masks.pkl, for the eleven parts')


def read_flame(args: argparse.Namespace) -> 'HeadModel':
    """The named model, or the free head.

    :raises ValueError: if a file of it is missing.
    """
    from avatar_ros.body.flame import free_head, licensed_head

    if args.flame is None:
        if args.flame_uv or args.flame_masks:
            raise ValueError('--flame-uv and --flame-masks belong to --flame; give it too.')
        return free_head()
    if not args.flame_uv or not args.flame_masks:
        raise ValueError(
            '--flame needs --flame-uv and --flame-masks: Gaussians lie on the texture map, and '
            "each part has a network. Both come from FLAME's site."
        )
    return licensed_head(args.flame, args.flame_uv, args.flame_masks)
