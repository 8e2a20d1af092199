# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``avatar_ros replay``: a rosbag2 into the live graph."""

import argparse
from pathlib import Path

HELP = 'play a rosbag2 into the running graph'
EPILOG = """\
examples:
  telepresence --input topic --use-sim-time &
  avatar_ros replay session --clock                    the graph lives in the bag's time
  avatar_ros replay session --rate 0.5 --loop 0        half speed, until Ctrl-C
  avatar_ros replay session --topics /body_pose --start 3
  avatar_ros replay session --clock --lockstep /camera/image/compressed
                                                       wait for each frame: nothing is dropped"""


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        'replay',
        help=HELP,
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('bag', type=Path, help='directory with metadata.yaml (MCAP or SQLite)')
    add('--topics', nargs='+', default=[], help='only these (default: all)')
    add('--rate', type=_positive, default=1.0, help='speed (1)')
    add('--loop', type=int, default=1, metavar='N', help='how many times; 0 = until Ctrl-C (1)')
    add('--start', type=float, default=0.0, metavar='S', help='begin S seconds in (0)')
    add('--clock', action='store_true', help='publish /clock for nodes with use_sim_time')
    add('--lockstep', default='', metavar='TOPIC', help='wait for the frame of each message')
    add('--status-topic', default='avatar_renderer/status', help='where frames are announced')
    add('--namespace', default='', help='namespace of --status-topic')
    parser.set_defaults(run=run)


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f'{text} is not a speed; expected more than 0')
    return value


def run(args: argparse.Namespace) -> int:
    """Play to the end or until Ctrl-C."""
    from tqdm import tqdm

    from avatar_ros.nodes.bag_player import BagPlayer, PlayOptions
    from avatar_ros.nodes.spinning import spinning

    options = PlayOptions(
        rate=args.rate,
        start_s=args.start,
        loop=args.loop,
        clock=args.clock,
        lockstep=args.lockstep,
        status_topic=args.status_topic,
    )
    with spinning(lambda: BagPlayer(args.bag, args.topics, options, namespace=args.namespace)) as (
        node,
        interrupted,
    ):
        if not node.wait_for_listeners():
            print('nobody listens to the topics of this bag yet; playing all the same')
        total = (node.end_ns - node.start_ns) * 1e-9
        bar_format = '{l_bar}{bar}| {n:.1f}/{total:.1f} s [{elapsed}<{remaining}]'
        with tqdm(total=total, desc=args.bag.name, bar_format=bar_format) as bar:
            for stamp_ns in node.play():
                bar.n = (stamp_ns - node.start_ns) * 1e-9
                bar.update(0)
                if interrupted.is_set():
                    break
        print(f'{node.sent} messages sent')
        return 1 if node.waited_in_vain else 0
