# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""How well and how fast a person is tracked: ``python -m benchmarks.tracking``.

Three kinds of truth: motion-capture clips with exact landmarks (the inverse kinematics alone),
renders of the dressed avatar (the whole way, true joints known), and a real person whom four
cameras saw at once (the whole way, against triangulated landmarks).
"""

import cv2
import torch

from benchmarks.metrics import write_results
from benchmarks.tracking_clips import clips
from benchmarks.tracking_cost import cost
from benchmarks.tracking_real import real
from benchmarks.tracking_renders import renders


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    write_results('tracking', [row for part in (clips, renders, real, cost) for row in part()])


if __name__ == '__main__':
    main()
