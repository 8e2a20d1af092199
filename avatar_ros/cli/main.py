# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The command ``avatar_ros``."""

import argparse
import logging
import sys

from avatar_ros import __version__
from avatar_ros.cli import (
    bake,
    capture,
    convert,
    evaluate,
    fetch,
    inspect,
    personalize,
    record,
    render,
    replay,
    train,
)

COMMANDS = (
    inspect,
    render,
    record,
    replay,
    fetch,
    capture,
    train,
    personalize,
    evaluate,
    bake,
    convert,
)


def parser() -> argparse.ArgumentParser:
    """All commands with their arguments."""
    result = argparse.ArgumentParser(
        prog='avatar_ros',
        description='Look at, render and train avatars, record and replay the graph, fetch models.',
        epilog='The live graph is the command `telepresence`, or with ROS 2 installed '
        '`ros2 launch avatar_ros telepresence.launch.py`.',
    )
    result.add_argument('--version', action='version', version=__version__)
    result.add_argument('-v', '--verbose', action='store_true', help='more log output')
    subparsers = result.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return result


def main(argv: list[str] | None = None) -> int:
    """Run a command; errors of the user's become one clear line."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.DEBUG if args.verbose else logging.INFO, format='%(message)s')
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        print('\nstopped', file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        text = str(error)
        if isinstance(error, FileNotFoundError) and error.filename:
            text = f'{error.filename}: no such file or directory. Check the path.'
        print(f'avatar_ros {args.command}: {text}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
