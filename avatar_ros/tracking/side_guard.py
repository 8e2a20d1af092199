# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Catches an estimator that takes a front for a back from one image to the next.

Seen from one camera, a person facing it and the mirrored person facing away look alike but for
the face. When an estimator changes its mind, left and right landmarks trade places in the picture
at once, which no body can do: turning round goes through a side view, where they meet. The guard
undoes such a trade: it swaps the names back. (In theory the depths are mirrored as well; on real
video they were about right as they came, and mirroring them made the error larger.)

An estimator may also change its mind over a few images, with a jumble in between that resembles
neither. So the way that the shoulders face is remembered a little longer: to turn it round in so
short a time is the estimator's doing as well.
"""

from dataclasses import replace

import numpy as np

from avatar_ros.body.skeletons import BLAZEPOSE_33, BLAZEPOSE_INDEX, SIDES, mirrored
from avatar_ros.tracking.landmarks import BodyLandmarks
from avatar_ros.types import FloatArray

_SWAP = np.array([BLAZEPOSE_INDEX[mirrored(name)] for name in BLAZEPOSE_33])
_WITNESSES = [
    BLAZEPOSE_INDEX[f'{side}_{part}']
    for side in SIDES
    for part in ('shoulder', 'elbow', 'hip', 'knee', 'ankle')
]
_EARS = [BLAZEPOSE_INDEX[f'{side}_ear'] for side in SIDES]
_FACE = list(range(BLAZEPOSE_INDEX['mouth_right'] + 1))  # the landmarks of the head come first
_CLEARLY_BETTER = 0.6  # of the distance without a swap
_MIN_JUMP = 0.12  # of the trunk's length in the picture
_FACING_S = 0.15  # for so long it is remembered where the shoulders faced
_TURNED = 0.5  # cosine: within 60 degrees of where they faced, or of the opposite
#: An estimator that insists is believed: if most of what it said of late was called wrong, it is
#: the guard that is wrong. Without doubt in between that takes `_MEMORY_S`.
_MEMORY_S = 2.0
_GIVE_IN_SHARE = 0.63


class SideGuard:
    """Stateful: compares each image with the one before."""

    def __init__(self) -> None:
        self.reset()
        self.corrected = 0
        """Images whose sides were traded back."""

    def reset(self) -> None:
        """Believe the next image as it is."""
        self._before: FloatArray | None = None
        self._facing: FloatArray = np.zeros(2)
        self._traded = False
        self._traded_share = 0.0

    def __call__(self, body: BodyLandmarks, dt_s: float) -> BodyLandmarks:
        """The landmarks, with their sides traded back while the estimator has them traded."""
        if self._before is not None and (
            _jumps(body, self._before, traded=self._traded)
            or _turns_round(body, self._facing, traded=self._traded)
        ):
            self._traded = not self._traded
        share = 1.0 - np.exp(-dt_s / _MEMORY_S)
        self._traded_share += share * (float(self._traded) - self._traded_share)
        if self._traded_share > _GIVE_IN_SHARE:
            self._traded, self._traded_share = False, 0.0
            self._facing = np.zeros(2)
        if self._traded:
            self.corrected += 1
            body = swap_sides(body)
        self._before = body.pixels
        self._facing = self._facing + min(1.0, dt_s / _FACING_S) * (
            _shoulder_line(body.world) - self._facing
        )
        return body


def _jumps(body: BodyLandmarks, before: FloatArray, *, traded: bool) -> bool:
    """Trading the sides (back) would put the body much nearer to where it was before."""
    shoulders, hips = (
        body.pixels[[BLAZEPOSE_INDEX[f'{side}_{part}'] for side in SIDES]].mean(axis=0)
        for part in ('shoulder', 'hip')
    )
    trunk = float(np.linalg.norm(shoulders - hips))
    here, there = body.pixels, body.pixels[_SWAP]
    if traded:
        here, there = there, here
    stay = np.linalg.norm((here - before)[_WITNESSES], axis=1).mean()
    trade = np.linalg.norm((there - before)[_WITNESSES], axis=1).mean()
    return bool(stay > _MIN_JUMP * trunk and trade < _CLEARLY_BETTER * stay)


def _shoulder_line(world: FloatArray) -> FloatArray:
    """Unit vector (2,) from the right shoulder to the left one, seen from above (x, z)."""
    left, right = (world[BLAZEPOSE_INDEX[f'{side}_shoulder']] for side in SIDES)
    line = (left - right)[[0, 2]]
    return np.asarray(line / max(float(np.linalg.norm(line)), 1e-9))


def _turns_round(body: BodyLandmarks, facing: FloatArray, *, traded: bool) -> bool:
    """The shoulders face about where they did only if the sides are traded (back)."""
    line = _shoulder_line(body.world)
    opposite = -line  # as `swap_sides` would have it
    if traded:
        line, opposite = opposite, line
    return bool(line @ facing < -_TURNED and opposite @ facing > _TURNED)


def swap_sides(body: BodyLandmarks) -> BodyLandmarks:
    """The same points with left and right trading names, and the face looking the other way."""
    world = body.world[_SWAP]
    ears = world[_EARS, 2].mean()
    world[_FACE, 2] = 2 * ears - world[_FACE, 2]
    return replace(
        body,
        pixels=body.pixels[_SWAP],
        world=world,
        visibility=body.visibility[_SWAP],
    )
