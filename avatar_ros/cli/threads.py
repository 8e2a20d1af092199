# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""How many CPU threads a command uses."""

import argparse


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Declare ``--threads``."""
    parser.add_argument(
        '--threads',
        type=int,
        default=1,
        help='CPU threads of torch; more than one only helps on many idle cores (1)',
    )


def use_threads(count: int) -> None:
    """Tell torch; before anything is computed.

    :raises ValueError: if it is not a number of threads.
    """
    import torch

    if count < 1:
        raise ValueError(f'--threads {count}; expected at least 1.')
    torch.set_num_threads(count)
