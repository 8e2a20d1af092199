# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What to show of a joint that is not seen: hold it, then fade to rest."""

from dataclasses import dataclass

import numpy as np

from avatar_ros.geometry import slerp
from avatar_ros.types import Array, FloatArray


@dataclass(frozen=True)
class HoldConfig:
    """Times in seconds."""

    hold_s: float = 0.5
    """How long the last good value stays."""
    fade_s: float = 1.0
    """How long the way to rest takes after that."""
    return_s: float = 0.15
    """How long the way back takes when the joint is seen again."""
    min_confidence: float = 0.35
    """Below this a value does not count as seen."""


class RotationHolder:
    """Last good rotations (J, 4), each with its own age."""

    def __init__(self, rest: Array, config: HoldConfig) -> None:
        self.config = config
        self._rest = np.asarray(rest, dtype=float)
        self.reset()

    def reset(self) -> None:
        """Everything is at rest and has never been seen."""
        self._good = self._rest.copy()
        self._unseen_s: FloatArray = np.full(len(self._rest), np.inf)
        self._share = np.zeros(len(self._rest))

    def __call__(
        self, quats: Array | None, confidence: Array | None, dt_s: float
    ) -> tuple[FloatArray, FloatArray]:
        """Rotations (J, 4) to show and their confidence (J,), `dt_s` after the call before.

        Pass None when nothing was seen at all.
        """
        config = self.config
        seen: Array = np.zeros(len(self._rest), dtype=bool)
        if quats is not None and confidence is not None:
            seen = np.asarray(confidence) >= config.min_confidence
            seen &= np.isfinite(quats).all(axis=1)
            self._good[seen] = np.asarray(quats)[seen]
        first = seen & ~np.isfinite(self._unseen_s)
        self._unseen_s = np.where(seen, 0.0, self._unseen_s + dt_s)
        growing = self._unseen_s <= config.hold_s
        change = np.where(growing, dt_s / config.return_s, -dt_s / config.fade_s)
        self._share = np.clip(self._share + change, 0.0, 1.0)
        self._share[first] = 1.0  # nothing was shown before: no need to glide in
        share = self._share * self._share * (3.0 - 2.0 * self._share)
        shown = slerp(self._rest, self._good, share)
        found = np.zeros(len(self._rest)) if confidence is None else np.asarray(confidence)
        return shown, np.where(seen, found, 0.0)
