# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``avatar_ros personalize``: an avatar of somebody from a few photographs."""

import argparse
import logging
import shutil
from pathlib import Path

from avatar_ros.cli.head_model import add_flame, read_flame
from avatar_ros.cli.threads import add_threads, use_threads

HELP = 'Make an avatar of somebody from a few photographs.'
EPILOG = """\
Three photographs of one person, from the front and from both sides (up to some 45 degrees, both
eyes in sight), in even light, show best what a head looks like. One works, and shows less. The
photographs are tracked and cut out (see RUN/photographs), then HeadGAP looks for a mixture of the
people that the prior knows, and fine-tunes it.

examples:
  avatar_ros personalize head --images front.jpg left.jpg right.jpg --out me.zip
  avatar_ros personalize head --capture out/heads/painted_011 --prior out/prior.zip --out me.zip
  make demo AVATAR=me.zip ARGS="--source face"
"""


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Declare the command's arguments."""
    personalize = subparsers.add_parser('personalize', help=HELP, description=HELP)
    kinds = personalize.add_subparsers(dest='kind', metavar='KIND', required=True)
    parser = kinds.add_parser(
        'head',
        help='a head (HeadGAP)',
        description='Make a head avatar from photographs and a prior.',
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument('--images', nargs='+', type=Path, metavar='PHOTO', help='1 to 16 pictures')
    given.add_argument('--capture', metavar='DIR', help='a tracked capture of one person')
    add('--cameras', nargs='+', default=['00', '08', '15'], metavar='NAME',
        help='of a capture (00 08 15)')  # fmt: skip
    add('--instant', help='of a capture, such as 00003 (the first)')
    add('--prior', type=Path, metavar='PRIOR', help='(the one that comes with the package)')
    add('--out', required=True, type=Path, metavar='BUNDLE', help='.zip or folder')
    add('--licence', default='all rights reserved', help='what others may do with the avatar')
    add('--fov', type=float, default=40.0, help='vertical field of view in degrees (40)')
    add('--landmarks', metavar='FILE', help='MediaPipe landmark embedding of your FLAME')
    add('--resume', action='store_true', help='go on with an unfinished run')
    add('--overwrite', action='store_true', help='throw away an earlier run')
    add('--engine', default='auto', help='auto, numba, gsplat (auto)')
    add_flame(parser)
    add_threads(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Track, learn, write the bundle and a picture of it."""
    use_threads(args.threads)
    import cv2

    from avatar_ros.avatars import save_head_bundle
    from avatar_ros.machine import machine
    from avatar_ros.render import select_engine
    from avatar_ros.training.head.capture import load_head_capture
    from avatar_ros.training.head.export import head_bundle
    from avatar_ros.training.head.loop import Folder
    from avatar_ros.training.head.personal import Personalisation, chosen
    from avatar_ros.training.head.photographs import landmark_map, photographs_as_capture
    from avatar_ros.training.head.prior_file import load_prior, shipped_prior

    if not 5 <= args.fov <= 120:
        raise ValueError(f'--fov {args.fov}; expected 5..120 degrees.')
    engine = select_engine(args.engine)
    head = read_flame(args)
    prior = load_prior(args.prior or shipped_prior(), head)
    folder = args.out.with_name(args.out.name.removesuffix('.zip') + '.training')
    if args.overwrite and folder.exists():
        shutil.rmtree(folder)
    if args.images:
        if len(args.images) > 16:
            raise ValueError(f'{len(args.images)} photographs; at most 16 are used.')
        if len(args.images) == 1:
            logging.warning('One photograph: what it does not show is guessed. Use three.')
        photographs = folder / 'photographs'
        if not (args.resume and (photographs / 'transforms_train.json').exists()):
            where = landmark_map(args.landmarks)
            photographs_as_capture(args.images, photographs, head, where, args.fov)
        capture = load_head_capture(photographs)
    else:
        capture = chosen(load_head_capture(args.capture), args.cameras, args.instant)
    made = Personalisation(prior, capture, head, engine)
    what = str(args.images or args.capture)
    run_folder = Folder(folder, {'made_from': what, **prior.config.to_json()})
    made.run(run_folder, args.resume)
    name = args.out.name.removesuffix('.zip')
    bundle = head_bundle(
        made, name, args.licence,
        method='HeadGAP', preset=prior.config.preset, photographs=len(made.views),
        prior_identities=len(prior.identities), trained_on=machine(),
    )  # fmt: skip
    save_head_bundle(args.out, bundle)
    picture = folder / 'photographs_and_head.png'
    cv2.imwrite(str(picture), made.preview()[..., ::-1])
    print(f'wrote {args.out}; photographs and head side by side: {picture}\n'
          f'look at it with: avatar_ros inspect {args.out} --out sheet.png')  # fmt: skip
    return 0
