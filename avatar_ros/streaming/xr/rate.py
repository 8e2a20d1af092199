# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""How much a link can take: acknowledgements say when to send less, and when to try more."""

from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rung:
    """One step of the ladder."""

    scale: float
    """Of the side of a picture."""
    bit_rate: int


#: From good links to bad ones. Sizes change seldom: a new size is a new
#: encoder and a key frame, a bit rate is neither.
LADDER = (
    Rung(1.0, 6_000_000),
    Rung(1.0, 3_000_000),
    Rung(0.75, 1_500_000),
    Rung(0.5, 700_000),
)
_JUDGED_S = 1.0
_PROBE_S = 4.0
#: A round trip above the best one by this much means that frames wait somewhere.
_WAITING_MS = 70.0
_SKIPPED = 0.4


def peak_rate(scale: float) -> int:
    """Highest bit rate of pictures of that scale: it changes without a new encoder."""
    return max(rung.bit_rate for rung in LADDER if rung.scale == scale)


class RateControl:
    """The rung of one stream, from its acknowledgements and from frames that had no room."""

    def __init__(self) -> None:
        self.rung = 0
        self._trips: deque[tuple[float, float]] = deque()
        self._frames: deque[tuple[float, bool]] = deque()
        self._sizes: deque[tuple[float, int]] = deque()
        self._best_ms = np.inf
        self._changed_s = -np.inf
        self._good_since_s = -np.inf
        self._probe_s = _PROBE_S
        self._climbed = False

    @property
    def step(self) -> Rung:
        return LADDER[self.rung]

    def acknowledged(self, now_s: float, round_trip_ms: float) -> None:
        """A frame came back as decoded after so long."""
        self._trips.append((now_s, round_trip_ms))
        # Forget the best slowly: a route may have become longer for good.
        self._best_ms = min(self._best_ms * 1.002, round_trip_ms)

    def offered(self, now_s: float, sent: bool) -> None:
        """There was a frame; it was sent, or left out for want of room."""
        self._frames.append((now_s, sent))

    def carried(self, now_s: float, size: int) -> None:
        """A frame of so many bytes went out."""
        self._sizes.append((now_s, size))

    def decide(self, now_s: float) -> bool:
        """Choose the rung; True if it changed."""
        for queue in (self._trips, self._frames, self._sizes):
            while queue and now_s - queue[0][0] > _JUDGED_S:
                queue.popleft()
        if now_s - self._changed_s < _JUDGED_S or len(self._frames) < 5:
            return False
        skipped = np.mean([not sent for _, sent in self._frames])
        trips = [trip for _, trip in self._trips]
        waits = bool(trips) and float(np.median(trips)) > self._best_ms + _WAITING_MS
        if waits or skipped > _SKIPPED:
            self._good_since_s = np.inf
            if self.rung == len(LADDER) - 1 or not self._would_help():
                return False
            # A rung that failed soon after it was tried is tried again later and later.
            soon = self._climbed and now_s - self._changed_s < 2 * _PROBE_S
            self._probe_s = min(self._probe_s * 2, 60.0) if soon else _PROBE_S
            return self._change(now_s, self.rung + 1)
        if not np.isfinite(self._good_since_s):
            self._good_since_s = now_s
        if self.rung and now_s - self._good_since_s > self._probe_s:
            return self._change(now_s, self.rung - 1)
        return False

    def _would_help(self) -> bool:
        """False for a client that is slow by itself: fewer bits would only look worse."""
        bits = 8 * sum(size for _, size in self._sizes) / _JUDGED_S
        return bits > 0.5 * LADDER[self.rung + 1].bit_rate

    def _change(self, now_s: float, rung: int) -> bool:
        self._climbed = rung < self.rung
        self.rung, self._changed_s, self._good_since_s = rung, now_s, np.inf
        for queue in (self._trips, self._frames, self._sizes):
            queue.clear()
        return True
