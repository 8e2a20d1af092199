# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``python -m avatar_ros.render``: compile the kernels once, so that the first frame is quick."""

import logging
import time

from avatar_ros.render import select_engine

if __name__ == '__main__':
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    start = time.perf_counter()
    select_engine().warm_up()
    print(f'render kernels are ready ({time.perf_counter() - start:.1f} s)')
