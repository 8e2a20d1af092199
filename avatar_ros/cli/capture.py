# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``avatar_ros capture``: something to train on."""

import argparse

from avatar_ros.cli import capture_from_video, capture_heads, capture_synthetic

HELP = 'Make a capture to train on: from videos, of a made person, or of many heads.'
KINDS = {'from-video': capture_from_video, 'synthetic': capture_synthetic, 'heads': capture_heads}


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Declare the command's arguments."""
    capture = subparsers.add_parser('capture', help=HELP, description=HELP)
    kinds = capture.add_subparsers(dest='kind', metavar='KIND', required=True)
    for name, module in KINDS.items():
        parser = kinds.add_parser(name, help=module.HELP)
        module.add_arguments(parser)
        parser.set_defaults(run=module.run)
