# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""``avatar_ros capture synthetic``: a capture of a textured mesh with exact truth."""

import argparse
from pathlib import Path

HELP = 'draw a textured person from a ring of cameras: exact poses, masks and body parts'
EPILOG = """\
examples:
  %(prog)s --out capture                        painted person, 6 cameras, 125 instants, 512 pixels
  %(prog)s --out quick --frames 30 --size 128   half a minute, to try a training
  %(prog)s --out demo --person person.npz --expressions --cameras 8 --face-cameras 3 --size 768

What is written: images/, masks/ and parts/ with one PNG a camera and instant, cameras.json,
poses.npz (exact SMPL-X poses and the body's shape) and capture.json with the splits: a third of
the cameras is held out for novel views, the last fifth of the instants for novel poses.

Clothes wrinkle at bent joints and light falls from one side of the world, so that there is more
to learn than skinning. A person.npz comes from tools/dress_person.py --body-map (see there)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description, parser.epilog = HELP, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add('--out', required=True, type=Path, metavar='DIR', help='folder to write')
    add('--person', type=Path, metavar='NPZ', help='dressed person (a painted body, no download)')
    add('--frames', type=int, default=125, help='instants; the last fifth is held out (125)')
    add('--cameras', type=int, default=6, help='body cameras; a third is held out (6)')
    add('--face-cameras', type=int, default=0, help='close-ups of the head, all trained on (0)')
    add('--size', type=int, default=512, help='pixels, square pictures (512)')
    add('--seed', type=int, default=0, help='order and variation of poses; same seed, same bytes')
    add('--expressions', action='store_true', help='move the face (ARKit actions) and fingers')
    add('--overwrite', action='store_true', help='replace a capture that is already there')


def run(args: argparse.Namespace) -> int:
    """Write the capture; interrupted, it leaves nothing behind."""
    from avatar_ros.training.synthetic.mesh_generate import (
        MeshCaptureOptions,
        generate_mesh_capture,
    )

    options = MeshCaptureOptions(
        person=args.person,
        frames=args.frames,
        cameras=args.cameras,
        face_cameras=args.face_cameras,
        size=args.size,
        seed=args.seed,
        expressions=args.expressions,
    )
    try:
        generate_mesh_capture(args.out, options, args.overwrite)
    except KeyboardInterrupt:
        print(f'\nstopped; {args.out} was not written')
        return 130
    print(f'{args.out}: {options.frames} instants, seed {options.seed}')
    return 0
