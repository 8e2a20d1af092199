# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``avatar_ros capture``: something to train on."""

import argparse
from pathlib import Path

HELP = 'Make a capture to train on.'
SYNTHETIC = 'Draw a known avatar from a ring of cameras: exact poses, masks and part maps.'


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Declare the command's arguments."""
    capture = subparsers.add_parser('capture', help=HELP, description=HELP)
    kinds = capture.add_subparsers(dest='kind', metavar='KIND', required=True)
    parser = kinds.add_parser('synthetic', help=SYNTHETIC, description=SYNTHETIC)
    parser.add_argument('--out', required=True, type=Path, metavar='DIR')
    parser.add_argument('--avatar', default='dressed', help='bundle to draw (dressed)')
    parser.add_argument('--instants', type=int, default=125, help='poses, a fifth held out (125)')
    parser.add_argument('--cameras', type=int, default=6, help='every third is held out (6)')
    parser.add_argument('--face-cameras', type=int, default=0, help='close-ups of the head (0)')
    parser.add_argument('--size', type=int, default=256, help='pixels, square (256)')
    parser.add_argument('--seed', type=int, default=0, help='of the motion (0)')
    parser.add_argument('--expressions', action='store_true', help='move the face as well')
    parser.add_argument('--overwrite', action='store_true')
    parser.set_defaults(run=run_synthetic)


def run_synthetic(args: argparse.Namespace) -> int:
    """Write the capture."""
    from avatar_ros.training.synthetic.generate import SyntheticOptions, generate

    options = SyntheticOptions(
        args.avatar,
        args.instants,
        args.cameras,
        args.face_cameras,
        args.size,
        args.seed,
        args.expressions,
    )
    generate(args.out, options, args.overwrite)
    print(f'wrote {args.out}; train with: avatar_ros train body --data {args.out} --out me.zip')
    return 0
