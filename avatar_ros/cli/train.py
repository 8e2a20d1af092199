# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``avatar_ros train``: an avatar from a capture."""

import argparse
import logging
import shutil
from dataclasses import replace
from pathlib import Path

from avatar_ros.cli import train_head_prior
from avatar_ros.cli.threads import add_threads, use_threads

HELP = 'Train an avatar from a capture, or the prior of heads.'
EPILOG = """\
A capture is a folder with images/, masks/, cameras.json and poses.npz (docs/captures.md);
`avatar_ros capture` makes one. Everything of the run lies beside the bundle, in a folder that ends
with .training: checkpoints (less than a minute is lost when it is killed; --resume goes on), a
TensorBoard log, previews, and at the end the scores on held-out pictures.

examples:
  avatar_ros capture synthetic --out out/capture
  avatar_ros train body --method chase --data out/capture --out out/me.zip
  avatar_ros train body --method base --preset preview --data out/capture --out out/look.zip
  tensorboard --logdir out/me.training
"""


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Declare the command's arguments."""
    train = subparsers.add_parser('train', help=HELP, description=HELP)
    kinds = train.add_subparsers(dest='kind', metavar='KIND', required=True)
    parser = kinds.add_parser(
        'body',
        help='a whole body: 3DGS-Avatar, CHASE, SG-GS',
        description='Train a body avatar.',
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--method', choices=('base', 'chase', 'sg_gs'), default='chase')
    parser.add_argument('--data', required=True, metavar='DIR', help='the capture')
    parser.add_argument('--out', required=True, type=Path, metavar='BUNDLE', help='.zip or folder')
    parser.add_argument(
        '--preset',
        choices=('auto', 'paper', 'cpu', 'preview'),
        default='auto',
        help='auto: paper on CUDA, cpu otherwise; preview shows in minutes whether a capture is '
        'sound (auto)',
    )
    parser.add_argument('--iterations', type=int, help="instead of the preset's; schedules follow")
    parser.add_argument('--size', type=int, help="pixels of the longer side, not the preset's")
    parser.add_argument('--gaussians', type=int, help="at most so many, not the preset's")
    parser.add_argument('--fraction', type=float, default=1.0, help='of the training instants (1)')
    parser.add_argument('--seed', type=int, default=0, help='(0)')
    parser.add_argument('--crop', action='store_true', help='cut pictures to the person first')
    parser.add_argument(
        '--no-pose-correction', action='store_true', help='the poses of the capture are exact'
    )
    parser.add_argument('--body-model', metavar='FILE', help='SMPL or SMPL-X file of your own')
    parser.add_argument('--resume', action='store_true', help='go on with an unfinished run')
    parser.add_argument('--overwrite', action='store_true', help='throw away an earlier run')
    parser.add_argument('--engine', default='auto', help='auto, numba, gsplat (auto)')
    add_threads(parser)
    parser.set_defaults(run=run)
    prior = kinds.add_parser('head-prior', help=train_head_prior.HELP)
    train_head_prior.add_arguments(prior)


def run_folder(out: Path) -> Path:
    """Where the run of a bundle lies."""
    return out.with_name(out.name.removesuffix('.zip') + '.training')


def run(args: argparse.Namespace) -> int:
    """Train, judge, bake."""
    use_threads(args.threads)
    from avatar_ros.render import select_engine
    from avatar_ros.training.body.config import preset
    from avatar_ros.training.body.run import BodyRun
    from avatar_ros.training.datasets import check_shots, fraction_of, load_capture

    if not 0 < args.fraction <= 1:
        raise ValueError(f'--fraction {args.fraction}; expected above 0 and at most 1.')
    if args.size is not None and not 32 <= args.size <= 4096:
        raise ValueError(f'--size {args.size}; expected 32..4096 pixels.')
    engine = select_engine(args.engine)
    name = args.preset
    if name == 'auto':
        name = 'paper' if engine.device.type == 'cuda' else 'cpu'
    config = preset(args.method, name, args.seed)
    if args.iterations is not None:
        config = config.lasting(args.iterations)
    if args.size is not None:
        config = replace(config, image_size=args.size)
    if args.gaussians is not None:
        if not 100 <= args.gaussians <= 2_000_000:
            raise ValueError(f'--gaussians {args.gaussians}; expected 100..2000000.')
        few = max(50, args.gaussians // 2)
        config = replace(
            config, gaussians=replace(config.gaussians, initial=few, at_most=args.gaussians)
        )
    if args.no_pose_correction:
        config = replace(config, schedule=replace(config.schedule, pose_correction=False))
    capture = check_shots(load_capture(args.data, args.body_model))
    if capture.skipped:
        logging.warning('%d pictures are left out; the first: %s', len(capture.skipped),
                        capture.skipped[0])  # fmt: skip
    capture = fraction_of(capture, args.fraction)
    folder = run_folder(args.out)
    if args.overwrite and folder.exists():
        shutil.rmtree(folder)
    logging.info(
        '%s: %d pictures for training; %s, preset %s, %d iterations on %s; run in %s',
        capture.name,
        len(capture.split('train')),
        args.method,
        name,
        config.schedule.iterations,
        engine.name,
        folder,
    )
    body = BodyRun(folder, capture, config, engine, args.crop)
    body.start(args.resume)
    body.train()
    print(body.write_bundle(args.out))
    print(f'wrote {args.out}; look at it with: avatar_ros inspect {args.out} --out sheet.png')
    return 0
