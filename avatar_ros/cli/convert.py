# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``avatar_ros convert``: other people's avatars as bundles."""

import argparse
from pathlib import Path

HELP = "Write somebody else's avatar as a bundle."
EPILOG = """\
examples:
  avatar_ros convert gaussian-avatars media/306 --flame flame2023.pkl --out head.zip
  avatar_ros convert lam p2-1.zip --out head.zip
  avatar_ros convert splats gaussians.ply --out gaussians.spz
"""


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Declare the command's arguments."""
    convert = subparsers.add_parser(
        'convert',
        help=HELP,
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = convert.add_subparsers(dest='kind', metavar='KIND', required=True)
    ours = kinds.add_parser(
        'gaussian-avatars', help='a folder with point_cloud.ply and flame_param.npz'
    )
    ours.add_argument('source', metavar='DIR')
    ours.add_argument('--flame', required=True, metavar='FILE', help='your FLAME 2020 or 2023')
    ours.set_defaults(run=run_gaussian_avatars)
    lam = kinds.add_parser('lam', help='a zip with skin.glb and offset.ply')
    lam.add_argument('source', metavar='ZIP')
    lam.set_defaults(run=run_lam)
    splats = kinds.add_parser('splats', help='a .ply or .spz of Gaussians into the other')
    splats.add_argument('source', type=Path, metavar='FILE')
    splats.add_argument('--out', required=True, type=Path, metavar='FILE')
    splats.set_defaults(run=run_splats)
    for parser in (ours, lam):
        parser.add_argument('--out', required=True, type=Path, metavar='BUNDLE')


def run_gaussian_avatars(args: argparse.Namespace) -> int:
    """Bind, find what ARKit's actions are on this FLAME, write."""
    from avatar_ros.avatars import save_head_bundle
    from avatar_ros.avatars.foreign.gaussian_avatars import read_gaussian_avatar, with_teeth
    from avatar_ros.body import ARKIT_52
    from avatar_ros.body.flame_actions import actions_of
    from avatar_ros.body.model import load_body_model

    flame = load_body_model(args.flame)
    found = actions_of(with_teeth(flame))
    print('ARKit action: how well FLAME can do it (mm off, of mm moved)')
    for name, error, size in zip(ARKIT_52, found.error_mm, found.size_mm, strict=True):
        print(f'  {name:20} {error:5.2f} of {size:5.2f}')
    save_head_bundle(args.out, read_gaussian_avatar(args.source, flame, found.table))
    print(f'wrote {args.out}')
    return 0


def run_lam(args: argparse.Namespace) -> int:
    """Read and write."""
    from avatar_ros.avatars import Bundle, load_any_bundle, save_bundle

    bundle = load_any_bundle(args.source)
    if not isinstance(bundle, Bundle):
        raise ValueError(f'{args.source}: is a head bundle already, no LAM export.')
    save_bundle(args.out, bundle)
    print(f'wrote {args.out}')
    return 0


def run_splats(args: argparse.Namespace) -> int:
    """Read by the ending of the one, write by the ending of the other."""
    from avatar_ros.gaussians import read_ply, read_spz, write_ply, write_spz

    kinds = {'.ply': (read_ply, write_ply), '.spz': (read_spz, write_spz)}
    for path in (args.source, args.out):
        if path.suffix not in kinds:
            raise ValueError(f'{path}: ends in {path.suffix!r}; expected {" or ".join(kinds)}.')
    kinds[args.out.suffix][1](args.out, kinds[args.source.suffix][0](args.source))
    print(f'wrote {args.out}')
    return 0
