# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``avatar_ros train head-prior``: what many heads have in common."""

import argparse
import logging
import shutil
from dataclasses import replace
from pathlib import Path

from avatar_ros.cli.head_model import add_flame, read_flame
from avatar_ros.cli.threads import add_threads, use_threads

HELP = 'the prior of head avatars (HeadGAP), over many people'
EPILOG = """\
DATA is a folder of captures in the layout in which GaussianAvatars hands out NeRSemble;
`avatar_ros capture heads` makes some. Everything of the run lies beside the prior, in a folder that
ends with .training: checkpoints (--resume goes on), a TensorBoard log, previews.

examples:
  avatar_ros capture heads --out out/heads
  avatar_ros train head-prior --data out/heads --preset preview --out out/prior.zip
  torchrun --nproc-per-node 8 --no-python avatar_ros train head-prior --preset paper \\
      --data nersemble --flame flame2023.pkl --flame-uv FLAME_texture.npz --out prior.zip

Under torchrun the batch is shared by the processes; several machines work as torchrun has it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description, parser.epilog = HELP, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add('--data', required=True, metavar='DIR', help='captures of many people')
    add('--out', required=True, type=Path, metavar='PRIOR', help='.zip or folder')
    add(
        '--preset',
        choices=('auto', 'paper', 'gpu', 'cpu', 'preview'),
        default='auto',
        help='auto: gpu on CUDA, cpu otherwise (auto)',
    )
    add('--iterations', type=int, help="instead of the preset's")
    add('--batch', type=int, help="pictures an iteration, over all processes; not the preset's")
    add('--size', type=int, help="pixels of the longer side, not the preset's")
    add('--seed', type=int, default=0, help='(0)')
    add('--resume', action='store_true', help='go on with an unfinished run')
    add('--overwrite', action='store_true', help='throw away an earlier run')
    add('--engine', default='auto', help='auto, numba, gsplat (auto)')
    add_flame(parser)
    add_threads(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Learn and write the prior."""
    use_threads(args.threads)
    from avatar_ros.render import select_engine
    from avatar_ros.training.head.capture import load_head_captures
    from avatar_ros.training.head.config import preset
    from avatar_ros.training.head.prior_file import save_prior
    from avatar_ros.training.head.prior_run import PriorRun, own_device

    own_device()
    engine = select_engine(args.engine)
    name = args.preset
    if name == 'auto':
        name = 'gpu' if engine.device.type == 'cuda' else 'cpu'
    config = preset(name, args.seed)
    for field, value, least in (('iterations', args.iterations, 1), ('batch', args.batch, 1)):
        if value is not None:
            if value < least:
                raise ValueError(f'--{field} {value}; expected at least {least}.')
            config = replace(config, prior=replace(config.prior, **{field: value}))
    if args.size is not None:
        if not 32 <= args.size <= 4096:
            raise ValueError(f'--size {args.size}; expected 32..4096 pixels.')
        config = replace(config, image_size=args.size)
    head = read_flame(args)
    captures = load_head_captures(args.data)
    folder = args.out.with_name(args.out.name.removesuffix('.zip') + '.training')
    if args.overwrite and folder.exists():
        shutil.rmtree(folder)
    learning = PriorRun(folder, captures, config, head, engine)
    if learning.rank == 0:
        logging.info(
            '%d people, %d pictures; preset %s, %d Gaussians, %d iterations of %d pictures on %s '
            '(%d process%s); run in %s',
            len(captures), len(learning.pictures), name, len(learning.binding),
            config.prior.iterations, config.prior.batch, engine.name, learning.world,
            '' if learning.world == 1 else 'es', folder,
        )  # fmt: skip
    learning.start(args.resume)
    learning.train()
    if learning.rank == 0:
        save_prior(args.out, learning.result())
        print(
            f'wrote {args.out}; make a head with: avatar_ros personalize head --images A B C '
            f'--prior {args.out} --out me.zip'
        )
    return 0
