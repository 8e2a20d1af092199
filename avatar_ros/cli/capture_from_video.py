# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""``avatar_ros capture from-video``: a capture of a person in one or several videos."""

import argparse
from pathlib import Path

from avatar_ros.cli.threads import add_threads, use_threads

HELP = 'masks, landmarks and a fitted body from calibrated or single videos'
EPILOG = """\
examples:
  %(prog)s --out out/real --demo
  %(prog)s --out out/lab --calibration cameras.json --video left=l.mp4 --video right=r.mp4
  %(prog)s --out out/me --video me.mp4 --fov 45

Several videos must be synchronised and calibrated: a cameras.json as in docs/captures.md, or a
Qualisys .qca.txt; one video may have a ROS camera_info .yaml instead. One video works without
calibration if its field of view is about right, but its depth is guessed. What was found in each
video is kept in DIR/.work: a run that was stopped goes on.
Masks are those of MediaPipe's pose model: rough at hair, hands and loose clothes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description, parser.epilog = HELP, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add('--out', required=True, type=Path, metavar='DIR', help='folder to write')
    add('--video', action='append', default=[], metavar='NAME=FILE', help='one for each camera')
    add(
        '--calibration', type=Path, metavar='FILE', help='cameras.json, .qca.txt, camera_info .yaml'
    )
    add('--body-model', type=Path, metavar='FILE', help='SMPL-X file of your own (the free body)')
    add('--fov', type=float, metavar='DEG', help='vertical, of one video without calibration (50)')
    add('--demo', action='store_true', help="Pose2Sim's four videos (avatar_ros fetch all)")
    add('--every', type=int, default=1, help='take every n-th frame (1)')
    add('--max-frames', type=int, default=300, help='(300)')
    add('--size', type=int, default=720, help='pixels of the longer side to keep (720)')
    add('--licence', default='not stated', help='of the videos, written into the capture')
    add(
        '--trust-calibration',
        action='store_true',
        help='do not shift principal points to where several cameras agree',
    )
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Write the capture."""
    use_threads(args.threads)
    from avatar_ros.assets import asset_path
    from avatar_ros.training.from_video.make import VideoOptions, capture_from_video
    from avatar_ros.training.from_video.multiview import VIDEOS

    if args.every < 1 or args.max_frames < 2 or not 64 <= args.size <= 4096:
        raise ValueError(
            f'--every {args.every} --max-frames {args.max_frames} --size {args.size}; expected '
            'at least 1, at least 2, and 64..4096.'
        )
    if args.demo:
        videos = {name: asset_path(asset) for name, asset in VIDEOS.items()}
        calibration, licence = asset_path('body_calibration.qca.txt'), 'BSD-3-Clause (Pose2Sim)'
    else:
        videos, calibration, licence = _named(args.video), args.calibration, args.licence
    options = VideoOptions(
        args.every, args.max_frames, args.size, args.fov, licence, args.trust_calibration
    )
    _, reports = capture_from_video(args.out, videos, calibration, options, args.body_model)
    print(*reports, sep='\n')
    print(
        f'wrote {args.out}; train with: avatar_ros train body --data {args.out} --crop --out me.zip'
    )
    return 0


def _named(given: list[str]) -> dict[str, Path]:
    videos: dict[str, Path] = {}
    for text in given:
        name, _, file = text.rpartition('=')
        name = name or f'cam{len(videos):02d}'
        if name in videos or '/' in name:
            raise ValueError(f'--video {text}: the name {name!r} is taken or holds a slash.')
        videos[name] = Path(file).expanduser()
    if not videos:
        raise ValueError('no video; give --video NAME=FILE, or --demo.')
    return videos
