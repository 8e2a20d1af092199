# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Poses between which a person moves while turning on the spot, and their hands and face."""

import numpy as np
from scipy.interpolate import PchipInterpolator

from avatar_ros.body.skeletons import ARKIT_52, SIDES, SMPLX
from avatar_ros.types import FloatArray

_Rotvec = tuple[float, float, float]
_HANGING: dict[str, _Rotvec] = {'shoulder': (0.1, 0.0, -1.15), 'elbow': (0.0, -0.25, 0.0)}

#: Joint -> rotation vector. A name without a side means both, as the left one has it,
#: mirrored; with a side it is that side's own.
FAMILIAR: tuple[dict[str, _Rotvec], ...] = (
    {},
    {'left_hip': (-0.5, 0, 0), 'right_hip': (0.35, 0, 0), 'right_knee': (0.7, 0, 0),
     'left_knee': (0.2, 0, 0), 'right_shoulder': (-0.3, 0.3, 1.1), 'right_elbow': (0, 0.7, 0)},
    {'right_hip': (-0.5, 0, 0), 'left_hip': (0.35, 0, 0), 'left_knee': (0.7, 0, 0),
     'right_knee': (0.2, 0, 0), 'left_shoulder': (-0.3, -0.3, -1.1), 'left_elbow': (0, -0.7, 0)},
    {'shoulder': (0, 0, 0), 'elbow': (0, -0.1, 0)},
    {'shoulder': (0, -0.2, 0.95), 'collar': (0, 0, 0.25), 'elbow': (0, -0.7, 0),
     'spine2': (-0.12, 0, 0)},
    {'shoulder': (0.2, -0.5, -0.95), 'elbow': (0, -1.8, 0), 'head': (0, 0.4, 0)},
    {'spine1': (0.4, 0, 0), 'spine2': (0.3, 0, 0), 'hip': (-0.35, 0, 0), 'knee': (0.15, 0, 0),
     'shoulder': (0, -0.9, -0.8), 'elbow': (0, -0.3, 0), 'neck': (-0.25, 0, 0)},
    {'left_hip': (-1.3, 0, 0.1), 'left_knee': (1.4, 0, 0), 'shoulder': (0, -0.3, -0.7),
     'elbow': (0, -0.9, 0)},
    {'right_hip': (-1.3, 0, -0.1), 'right_knee': (1.4, 0, 0), 'shoulder': (0, 0, -0.3),
     'elbow': (0, -0.4, 0)},
    {'spine1': (0, 0.25, 0), 'spine2': (0, 0.3, 0), 'spine3': (0, 0.15, 0),
     'shoulder': (0, -0.9, -0.2), 'elbow': (0, -1.0, 0), 'head': (0, 0.3, 0)},
    {'spine1': (0, 0, 0.22), 'spine2': (0, -0.3, 0.2), 'left_shoulder': (0, 0, 0.7),
     'left_elbow': (0, -1.0, 0.2), 'hip': (0, 0, 0.15)},
    {'hip': (-0.85, 0, 0.15), 'knee': (1.2, 0, 0), 'ankle': (-0.35, 0, 0),
     'spine1': (0.3, 0, 0), 'shoulder': (0, -1.2, -0.15), 'elbow': (0, -0.2, 0)},
)  # fmt: skip
NOVEL: tuple[dict[str, _Rotvec], ...] = (
    {'shoulder': (0, -0.9, -0.75), 'elbow': (0, -1.5, 0.3), 'spine3': (0, 0, 0.12)},
    {'right_shoulder': (0, 0, 0.75), 'left_shoulder': (0, -0.4, -0.9), 'left_elbow': (0, -1.6, 0),
     'right_elbow': (0, 0.5, -0.2), 'left_hip': (-0.9, 0, 0.3), 'left_knee': (0.4, 0, 0)},
    {'left_hip': (-1.0, 0, 0), 'left_knee': (1.0, 0, 0), 'right_hip': (0.45, 0, 0),
     'right_knee': (0.4, 0, 0), 'shoulder': (0, -0.6, 0.2), 'elbow': (0, -1.3, 0),
     'spine2': (0, -0.4, 0)},
    {'spine1': (0.25, 0.2, -0.2), 'spine2': (0.2, 0.25, -0.15), 'right_shoulder': (0, 0.8, 0.2),
     'right_elbow': (0, 0.4, 0), 'left_elbow': (0, -1.2, 0), 'knee': (0.4, 0, 0),
     'hip': (-0.4, 0, 0.1), 'head': (0.1, -0.3, 0)},
)  # fmt: skip
#: Instants from one pose to the next.
_STEP = 8.0
_JITTER_RAD = 0.05
_FACES: tuple[tuple[dict[str, float], float], ...] = (
    ({'mouthSmileLeft': 0.9, 'mouthSmileRight': 0.9, 'cheekSquintLeft': 0.4}, 23.0),
    ({'jawOpen': 0.75}, 17.0),
    ({'browInnerUp': 0.9, 'browOuterUpLeft': 0.8, 'browOuterUpRight': 0.8}, 29.0),
    ({'mouthPucker': 0.7}, 37.0),
    ({'mouthFunnel': 0.5}, 31.0),
    ({'browDownLeft': 0.7, 'browDownRight': 0.7}, 41.0),
    ({'mouthLeft': 0.5}, 43.0),
    ({'mouthRight': 0.5}, 47.0),
    ({'eyeBlinkLeft': 1.0, 'eyeBlinkRight': 1.0}, 13.0),
)


def held_out(instants: int) -> int:
    """The first instant of the last fifth."""
    return instants * 4 // 5


def acted_motion(
    instants: int, seed: int = 0, turns: float = 1.5, curl_fingers: bool = False
) -> FloatArray:
    """Rotation vectors (T, 55, 3): turns on the spot, and goes from pose to pose.

    The last fifth goes through `NOVEL` poses. Poses come in another order with every seed.
    """
    rng = np.random.default_rng(seed)
    result = np.zeros((instants, len(SMPLX), 3))
    end = held_out(instants)
    for part, poses in ((slice(0, end), FAMILIAR), (slice(end, instants), NOVEL)):
        count = part.stop - part.start
        steps = max(2, round(count / _STEP) + 1)
        order = [k for _ in range(-(-steps // len(poses))) for k in rng.permutation(len(poses))]
        keys = np.stack([_rotvecs(poses[k]) for k in order[:steps]])
        keys[:, 1:22] += rng.normal(scale=_JITTER_RAD, size=(steps, 21, 3))
        knees = keys[:, SMPLX.rows(['left_knee', 'right_knee'])]
        knees[..., 0] = np.maximum(knees[..., 0], 0.0)  # they bend one way only
        keys[:, SMPLX.rows(['left_knee', 'right_knee'])] = knees
        when = np.linspace(0, max(count - 1, 1), steps)
        result[part] = PchipInterpolator(when, keys)(np.arange(count))
    time = np.arange(instants) / max(instants - 1, 1)
    result[:, 0, 1] += 2 * np.pi * turns * time
    curl = 0.25 + (0.5 * (1 - np.cos(2 * np.pi * 6 * time)) if curl_fingers else 0 * time)
    for side, sign in zip(SIDES, (-1.0, 1.0), strict=True):
        for finger in ('index', 'middle', 'ring', 'pinky'):
            for k in (1, 2, 3):
                result[:, SMPLX.index[f'{side}_{finger}{k}'], 2] = sign * curl
    return result


def acted_expressions(instants: int, seed: int = 0) -> FloatArray:
    """ARKit weights (T, 52) in 0..1: actions come and go, each in a rhythm of its own."""
    rng = np.random.default_rng([seed, 1])
    weights = np.zeros((instants, len(ARKIT_52)))
    time = np.arange(instants)
    for action, period in _FACES:
        wave = np.sin(2 * np.pi * (time / period + rng.uniform()))
        amount = np.clip(1.8 * wave - 0.8, 0, 1)
        for name, most in action.items():
            weights[:, ARKIT_52.index(name)] = most * amount
    return weights


def _rotvecs(pose: dict[str, _Rotvec]) -> FloatArray:
    """Rotation vectors (55, 3) of a pose, with hanging arms unless it says otherwise."""
    result = np.zeros((len(SMPLX), 3))
    # Both sides first, so that one side can differ.
    both = {**_HANGING, **{k: v for k, v in pose.items() if k not in SMPLX.index}}
    for joint, (x, y, z) in both.items():
        for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
            result[SMPLX.index[f'{side}_{joint}']] = x, sign * y, sign * z
    for joint, rotvec in pose.items():
        if joint in SMPLX.index:
            result[SMPLX.index[joint]] = rotvec
    return result
