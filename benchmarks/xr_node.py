# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The node `xr_server` before a person who moves: what the XR benchmarks start as a process.

Run as `python -m benchmarks.xr_node [--ros-args ...]`; prints the address of the page and ends
with its standard input.
"""

import sys
import threading
import time
from dataclasses import replace

import rclpy

from avatar_ros.nodes.xr_server import XrServerNode

FPS = 30.0


def move(node: XrServerNode) -> None:
    """Poses at the rate of a camera, forth and back, for ever."""
    from benchmarks.xr_scene import MovingAvatar
    from benchmarks.xr_servers import forth_and_back

    moving = MovingAvatar(90)
    poses = [moving.body_pose(k) for k in forth_and_back(len(moving))]
    due, k = time.monotonic(), 0
    while True:
        stamp_ns = node.get_clock().now().nanoseconds
        node.accept_pose(replace(poses[k % len(poses)], stamp_ns=stamp_ns))
        k += 1
        due = max(due + 1 / FPS, time.monotonic() - 0.1)
        time.sleep(max(0.0, due - time.monotonic()))


def main() -> None:
    rclpy.init(args=sys.argv)
    node = XrServerNode(subscribe=False)
    node.trigger_configure()
    node.trigger_activate()
    threading.Thread(target=move, args=(node,), daemon=True).start()
    print(node.urls()[0], flush=True)
    sys.stdin.read()
    node.close()
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
