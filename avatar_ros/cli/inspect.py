# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""``avatar_ros inspect``: what is in an avatar bundle, and what it looks like."""

import argparse
from pathlib import Path

import numpy as np

from avatar_ros.avatars import (
    HeadAvatar,
    HeadBundle,
    SkinnedAvatar,
    avatar_path,
    load_any_bundle,
    shipped_avatars,
)
from avatar_ros.avatars.bundle import Bundle
from avatar_ros.body import FLAME

HELP = 'show what is in an avatar bundle and what it looks like'
EPILOG = """\
examples:
  avatar_ros inspect demo                       the avatar that comes with the package
  avatar_ros inspect me.zip --out sheet.png     also a contact sheet: sides, poses, faces
  avatar_ros inspect me.zip --out big.png --size 640

A bundle is a directory or .zip with avatar.json, gaussians.ply and avatar.safetensors. It is
checked as it is read; if this command is content, every other part of the package is."""


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        'inspect',
        help=HELP,
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ', '.join(shipped_avatars())
    parser.add_argument('bundle', metavar='BUNDLE', help=f'.zip, directory, or one of: {names}')
    parser.add_argument(
        '--out', type=Path, metavar='PNG', help='write a contact sheet here (or .webp)'
    )
    parser.add_argument('--size', type=int, default=320, help='pixels of one picture (320)')
    parser.add_argument('--engine', default='auto', help='auto, numba, gsplat, reference (auto)')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the contents, and draw the sheet if one is asked for."""
    path = avatar_path(args.bundle)
    bundle = load_any_bundle(path)
    print(describe_head(path, bundle) if isinstance(bundle, HeadBundle) else describe(path, bundle))
    if args.out is None:
        return 0
    if not 16 <= args.size <= 2048:
        raise ValueError(f'--size is {args.size}; expected 16..2048 pixels.')
    import cv2

    from avatar_ros.avatars.head.showcase import head_sheet
    from avatar_ros.avatars.showcase import contact_sheet
    from avatar_ros.render import select_engine

    engine = select_engine(args.engine)
    if isinstance(bundle, HeadBundle):
        sheet = head_sheet(HeadAvatar(bundle, engine.device), engine, args.size)
    elif bundle.skeleton is FLAME:
        sheet = head_sheet(SkinnedAvatar(bundle, engine.device), engine, args.size)
    else:
        sheet = contact_sheet(SkinnedAvatar(bundle, engine.device), engine, args.size)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    bgr, quality = np.ascontiguousarray(sheet[..., ::-1]), [cv2.IMWRITE_WEBP_QUALITY, 85]
    if args.out.suffix not in ('.png', '.jpg', '.webp') or not cv2.imwrite(
        str(args.out), bgr, quality if args.out.suffix == '.webp' else []
    ):
        raise ValueError(f'{args.out}: cannot be written; expected a .png, .jpg or .webp.')
    print(f'contact sheet: {args.out}')
    return 0


def describe_head(path: Path, bundle: HeadBundle) -> str:
    """What is in the bundle of a head, as lines of text."""
    model = bundle.model
    rows = {
        'avatar': bundle.name,
        'file': f'{path} ({_size(path) / 1e6:.2f} MB)',
        'licence': bundle.licence,
        'Gaussians': f'{len(bundle)} on {len(model.faces)} triangles of a head of FLAME',
        'face': f'{len(model.expression_names)} directions of {bundle.basis}',
        'networks': 'none: constants in their triangles'
        if bundle.config is None
        else f'HeadGAP: {bundle.config.features} features, width {bundle.config.width}, '
        + ('with' if bundle.config.cnn else 'without')
        + ' a screen-space network',
    }
    rows |= {f'  {key}': str(value) for key, value in bundle.provenance.items()}
    width = max(map(len, rows))
    return '\n'.join(f'{key:{width}}  {value}' for key, value in rows.items())


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [f for f in path.iterdir() if f.is_file()]
    return sum(file.stat().st_size for file in files)


def describe(path: Path, bundle: Bundle) -> str:
    """What is in the bundle, as lines of text."""
    size = _size(path)
    g, face = bundle.gaussians, bundle.expression
    low, high = g.means.min(0).values.tolist(), g.means.max(0).values.tolist()
    box = ' x '.join(f'{b - a:.2f}' for a, b in zip(low, high, strict=True))
    used = len(np.unique(bundle.skin_joints[bundle.skin_weights > 0]))
    median = float(g.scales.max(dim=1).values.median()) * 1e3
    rows = {
        'avatar': bundle.name,
        'file': f'{path} ({size / 1e6:.2f} MB)',
        'licence': bundle.licence,
        'Gaussians': f'{len(g)}, spherical harmonics of degree {g.sh_degree}, '
        f'median radius {median:.1f} mm',
        'T-pose': f'{box} m (left to right, height, depth)',
        'skeleton': f'{bundle.skeleton.name}, {used} of {len(bundle.skeleton)} joints carry skin',
        'face': 'none'
        if face is None
        else f'{len(face.names)} actions of {face.basis} move {len(face.index)} Gaussians; '
        f'{"they open" if face.drives_jaw else "the joint opens"} the jaw',
        'networks': 'none: plays baked'
        if bundle.network is None
        else 'yes, with cached features: `playback: network` plays them',
        'floor': f'{len(bundle.sole_points)} points under the feet'
        if len(bundle.sole_points)
        else 'unknown: the bundle has no sole points',
    }
    rows |= {f'  {key}': str(value) for key, value in bundle.provenance.items()}
    width = max(map(len, rows))
    return '\n'.join(f'{key:{width}}  {value}' for key, value in rows.items())
