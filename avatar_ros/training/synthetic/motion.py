# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A smooth made-up motion with which a person shows all sides of body and clothes."""

import numpy as np

from avatar_ros.body.skeletons import ARKIT_52, SMPLX
from avatar_ros.types import FloatArray

#: Joint and axis -> (mean, amplitude) in radians; the left side's, mirrored for the right.
_SWINGS = {
    ('shoulder', 0): (0.1, 0.35),
    ('shoulder', 1): (0.0, 0.5),
    ('shoulder', 2): (-0.75, 0.65),
    ('elbow', 1): (-0.7, 0.65),
    ('wrist', 2): (0.0, 0.2),
    ('hip', 0): (-0.25, 0.45),
    ('hip', 2): (0.06, 0.12),
    ('knee', 0): (0.5, 0.5),
    ('ankle', 0): (-0.1, 0.15),
}
_CENTRAL = {
    ('spine1', 0): (0.05, 0.15),
    ('spine2', 1): (0.0, 0.2),
    ('spine3', 2): (0.0, 0.12),
    ('neck', 0): (0.0, 0.12),
    ('head', 1): (0.0, 0.3),
}
_CURL = 0.25


def made_up_motion(instants: int, seed: int = 0, turns: float = 1.5) -> FloatArray:
    """Rotation vectors (T, 55, 3): someone turns on the spot and moves limbs and trunk.

    The last fifth moves in other rhythms and further out: poses that were not seen before.
    """
    rng = np.random.default_rng(seed)
    familiar = instants - instants // 5
    result = np.zeros((instants, len(SMPLX), 3))
    time = np.linspace(0, 1, instants)
    result[:, 0, 1] = 2 * np.pi * turns * time
    for part, reach in ((slice(0, familiar), 1.0), (slice(familiar, instants), 1.15)):
        t = np.arange(part.stop - part.start) / max(familiar, 1)
        for (joint, axis), (mean, swing) in _SWINGS.items():
            for side, sign in (('left', 1.0), ('right', 1.0 if axis == 0 else -1.0)):
                row = SMPLX.index[f'{side}_{joint}']
                result[part, row, axis] = sign * (mean + reach * swing * _wave(rng, t))
        for (joint, axis), (mean, swing) in _CENTRAL.items():
            result[part, SMPLX.index[joint], axis] = mean + reach * swing * _wave(rng, t)
    for side, sign in (('left', -1.0), ('right', 1.0)):
        # Knees bend one way only.
        knee = result[:, SMPLX.index[f'{side}_knee'], 0]
        np.maximum(knee, 0.02, out=knee)
        for finger in ('index', 'middle', 'ring', 'pinky'):
            for k in (1, 2, 3):
                result[:, SMPLX.index[f'{side}_{finger}{k}'], 2] = sign * _CURL
    return result


def _wave(rng: np.random.Generator, t: FloatArray) -> FloatArray:
    """A smooth curve about 0, mostly within -1..1."""
    slow, fast = rng.uniform(1.2, 2.5), rng.uniform(3.0, 5.0)
    a, b = rng.uniform(0, 2 * np.pi, 2)
    return np.asarray(
        0.7 * np.sin(2 * np.pi * slow * t + a) + 0.3 * np.sin(2 * np.pi * fast * t + b)
    )


def made_up_expressions(instants: int, seed: int = 0) -> FloatArray:
    """ARKit weights (T, 52): blinks, smiles, an opening mouth, brows; a neutral face in between."""
    rng = np.random.default_rng([seed, 1])
    names = {name: i for i, name in enumerate(ARKIT_52)}
    groups = (
        (('eyeBlinkLeft', 'eyeBlinkRight'), 1.0),
        (('jawOpen',), 0.7),
        (('mouthSmileLeft', 'mouthSmileRight'), 0.8),
        (('browInnerUp', 'browOuterUpLeft', 'browOuterUpRight'), 0.8),
        (('mouthFunnel',), 0.6),
        (('mouthPucker',), 0.6),
        (('browDownLeft', 'browDownRight'), 0.7),
        (('cheekPuff',), 0.5),
        (('mouthLeft',), 0.5),
        (('mouthRight',), 0.5),
    )
    weights = np.zeros((instants, len(ARKIT_52)))
    for instant in range(instants):
        if instant % 3 == 0:
            continue
        for k in rng.choice(len(groups), 2, replace=False):
            members, most = groups[k]
            for name in members:
                weights[instant, names[name]] = rng.uniform(0.3, 1.0) * most
    return weights
