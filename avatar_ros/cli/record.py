# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``avatar_ros record``: topics of the running graph into a rosbag2."""

import argparse
import time
from pathlib import Path

HELP = 'record topics of the running graph into a rosbag2'
EPILOG = """\
examples:
  avatar_ros record --out session                       camera, poses and status, until Ctrl-C
  avatar_ros record --out session --duration 10
  avatar_ros record --out poses --topics body_pose face_expression --storage sqlite3

`ros2 bag play` and `avatar_ros replay` both play the result."""


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        'record',
        help=HELP,
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('--out', required=True, type=Path, help='directory to make')
    add('--topics', nargs='+', default=None, help='default: camera, poses, expressions, status')
    add('--storage', default='mcap', choices=['mcap', 'sqlite3'], help='file format (mcap)')
    add('--duration', type=_seconds, default=0.0, help='seconds; 0 = until Ctrl-C')
    add('--namespace', default='', help='where relative topics are looked for')
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is no duration; expected seconds from 0 on')
    return value


def run(args: argparse.Namespace) -> int:
    """Record until the time is over, Ctrl-C, or the disk is full."""
    from tqdm import tqdm

    from avatar_ros.nodes.bag_recorder import DEFAULT_TOPICS, BagRecorder
    from avatar_ros.nodes.spinning import spinning

    def make() -> BagRecorder:
        topics = args.topics or list(DEFAULT_TOPICS)
        return BagRecorder(args.out, topics, args.storage, namespace=args.namespace)

    with spinning(make) as (node, interrupted):
        end = time.monotonic() + args.duration if args.duration else float('inf')
        with tqdm(unit='msg', desc=str(args.out)) as bar:
            while time.monotonic() < end and not interrupted.wait(0.2) and not node.failed:
                bar.update(node.statistics.counts['messages'] - bar.n)
        missing = node.missing()
        count = node.statistics.counts['messages']
    if missing:
        print(f'Nothing was published on {", ".join(missing)}.')
    print(f'{count} messages in {args.out}')
    return 1 if node.failed or not count else 0
