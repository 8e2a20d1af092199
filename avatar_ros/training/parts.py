# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Which part of the body a joint moves: the five classes of SG-GS."""

import numpy as np

from avatar_ros.body.skeletons import Skeleton
from avatar_ros.training.capture import PARTS
from avatar_ros.types import Array

_WORDS = {
    'hips': ('pelvis',),
    'torso': ('spine',),
    'leg': ('hip', 'knee', 'ankle', 'foot'),
    'head': ('neck', 'head', 'jaw', 'eye'),
}


def part_of_joint(skeleton: Skeleton) -> Array:
    """Row of `PARTS` (J,) for each joint; everything from the collars on is an arm."""

    def part(joint: str) -> str:
        for name, words in _WORDS.items():
            if any(word in joint for word in words):
                return name
        return 'arm'

    return np.array([PARTS.index(part(joint)) for joint in skeleton.joints])


def part_of_point(weights: Array, skeleton: Skeleton) -> Array:
    """Row of `PARTS` (N,) for points with skinning weights (N, J): that of the heaviest joint."""
    return np.asarray(part_of_joint(skeleton)[np.asarray(weights).argmax(1)])
