# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""``avatar_ros capture heads``: many people's heads with exact truth."""

import argparse
from pathlib import Path

HELP = (
    'photograph made people making faces, sixteen cameras each: what a prior of heads learns from'
)
EPILOG = """\
examples:
  %(prog)s --out out/heads                          12 painted heads (no download), 256 pixels
  %(prog)s --out out/heads --people out/people      the heads that tools/make_heads.py made

Each person becomes a folder in the layout in which GaussianAvatars hands out NeRSemble: images/,
fg_masks/, flame_param/ and three transforms_*.json, for training, held-out cameras and held-out
faces. Folders that are complete are kept, so that an interrupted call goes on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description, parser.epilog = HELP, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add('--out', required=True, type=Path, metavar='DIR', help='folder of captures to write')
    add(
        '--people',
        type=Path,
        metavar='DIR',
        help='folder of .npz files of tools/make_heads.py (default: painted heads)',
    )
    add('--count', type=int, default=12, help='how many painted heads (12)')
    add('--size', type=int, default=256, help='pixels, square pictures (256)')
    add('--faces', type=int, default=11, help='faces that each makes for training, 1..11 (11)')


def run(args: argparse.Namespace) -> int:
    """Write the captures."""
    from avatar_ros.body.flame import free_head
    from avatar_ros.training.synthetic.heads import (
        FACES,
        HeadPerson,
        Session,
        photograph_all,
        read_heads,
    )
    from avatar_ros.training.synthetic.painted_head import PaintedHead

    if not 32 <= args.size <= 4096:
        raise ValueError(f'--size {args.size}; expected 32..4096 pixels.')
    if not 1 <= args.faces <= len(FACES):
        raise ValueError(f'--faces {args.faces}; expected 1..{len(FACES)}.')
    if not 1 <= args.count <= 1000:
        raise ValueError(f'--count {args.count}; expected 1..1000.')
    head = free_head()
    people: list[HeadPerson]
    if args.people is not None:
        people = read_heads(args.people, head)
    else:
        people = [PaintedHead(head, seed) for seed in range(args.count)]
    photograph_all(people, args.out, Session(size=args.size, faces=args.faces))
    print(f'{args.out}: {len(people)} people; learn from them with: '
          f'avatar_ros train head-prior --data {args.out} --out prior.zip')  # fmt: skip
    return 0
