# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``avatar_ros bake``: the bundle of a run, made anew."""

import argparse
from pathlib import Path

from avatar_ros.cli.threads import add_threads, use_threads

HELP = 'Bake the networks of a training run into a bundle.'
EPILOG = """\
A bundle plays without networks: skinning weights, a linear pose basis in 8 bits, spherical
harmonics. `avatar_ros train` bakes by itself; this does it again with other settings, and reports
what baking loses against the networks on held-out pictures.

example:
  avatar_ros bake out/me.training --data out/capture --out out/small.zip --components 16
"""


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        'bake',
        help=HELP,
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('training', type=Path, metavar='RUN', help='folder ending in .training')
    parser.add_argument('--data', required=True, metavar='DIR', help='the capture of the run')
    parser.add_argument('--out', required=True, type=Path, metavar='BUNDLE')
    parser.add_argument('--components', type=int, default=32, help='of the pose basis (32)')
    parser.add_argument('--poses', type=int, default=384, help='that the networks are asked (384)')
    parser.add_argument('--sh-degree', type=int, default=1, choices=(0, 1, 2, 3), help='(1)')
    parser.add_argument(
        '--with-network',
        action='store_true',
        help='keep the networks in the bundle, for live play on CUDA (renderer: playback)',
    )
    parser.add_argument('--body-model', metavar='FILE', help='SMPL or SMPL-X file of your own')
    parser.add_argument('--engine', default='auto', help='auto, numba, gsplat (auto)')
    add_threads(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Load the checkpoint, bake, judge."""
    use_threads(args.threads)
    from avatar_ros.render import select_engine
    from avatar_ros.training.body.bake import BakeOptions
    from avatar_ros.training.body.run import BodyRun, read_config
    from avatar_ros.training.datasets import check_shots, load_capture

    if not 1 <= args.components <= 256 or not 2 <= args.poses <= 4096:
        raise ValueError(
            f'--components {args.components} --poses {args.poses}; expected 1..256 and 2..4096.'
        )
    config, crop = read_config(args.training)
    capture = check_shots(load_capture(args.data, args.body_model))
    body = BodyRun(args.training, capture, config, select_engine(args.engine), crop)
    if not body.checkpoint.exists():
        raise ValueError(f'{body.checkpoint}: no such file; the run has no checkpoint yet.')
    body.start(resume=True)
    options = BakeOptions(args.components, args.poses, args.sh_degree, network=args.with_network)
    print(body.write_bundle(args.out, options))
    return 0
