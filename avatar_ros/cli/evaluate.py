# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``avatar_ros evaluate``: how near a bundle comes to pictures that it was not trained on."""

import argparse
from pathlib import Path

from avatar_ros.cli.threads import add_threads, use_threads

HELP = 'Judge a bundle on the held-out pictures of a capture.'
EPILOG = """\
Prints PSNR (whole picture, and the person's box), SSIM and a perceptual distance for each split.
The perceptual one is LPIPS only if its weights are there; `hedvgg` is a substitute with numbers of
its own (`avatar_ros fetch perceptual`). --out also writes evaluation.json and sheets of
photograph, avatar and error.
"""


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        'evaluate',
        help=HELP,
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('bundle', metavar='BUNDLE')
    parser.add_argument('--data', required=True, metavar='DIR', help='the capture')
    parser.add_argument('--split', action='append', help='novel_view, novel_pose or train')
    parser.add_argument('--size', type=int, default=256, help='pixels of the longer side (256)')
    parser.add_argument('--crop', action='store_true', help='cut pictures to the person first')
    parser.add_argument('--out', type=Path, metavar='DIR', help='for evaluation.json and sheets')
    parser.add_argument('--body-model', metavar='FILE', help='SMPL or SMPL-X file of your own')
    parser.add_argument('--engine', default='auto', help='auto, numba, gsplat (auto)')
    parser.add_argument(
        '--playback',
        default='baked',
        choices=('baked', 'network'),
        help='what is judged: the baked basis, or the networks in the bundle (baked)',
    )
    add_threads(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Draw the held-out pictures and compare."""
    use_threads(args.threads)
    from avatar_ros.avatars import SkinnedAvatar, load_avatar
    from avatar_ros.render import select_engine
    from avatar_ros.training import evaluate
    from avatar_ros.training.capture import SPLITS
    from avatar_ros.training.datasets import load_capture
    from avatar_ros.training.perceptual import load_perceptual

    splits = args.split or ['novel_view', 'novel_pose']
    unknown = set(splits) - set(SPLITS)
    if unknown:
        raise ValueError(f'--split {sorted(unknown)[0]}; expected {", ".join(SPLITS)}.')
    engine = select_engine(args.engine)
    avatar = load_avatar(args.bundle, engine.device, args.playback)
    if not isinstance(avatar, SkinnedAvatar):
        raise ValueError(f'{args.bundle}: is a head avatar; expected a body. `benchmarks.heads` '
                         'judges heads.')  # fmt: skip
    capture = load_capture(args.data, args.body_model)
    draw = evaluate.bundle_player(avatar, capture, engine)
    perceptual = load_perceptual()
    perceptual = None if perceptual is None else perceptual.to('cpu')
    scores = {
        split: evaluate.judge(
            draw, capture.split(split), args.size, args.crop, perceptual, f'judging {split}'
        )
        for split in splits
        if capture.split(split)
    }
    if not scores:
        raise ValueError(f'{args.data}: has no pictures in {", ".join(splits)}.')
    print(evaluate.table(scores))
    if args.out is not None:
        evaluate.write_evaluation(args.out, scores, bundle=avatar.name, capture=capture.name)
    return 0
