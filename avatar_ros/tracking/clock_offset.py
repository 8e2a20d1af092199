# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""How far apart the clocks of two trackers of one person are: from the motion that both see.

Stamps are first brought to the receiver's clock: in `_WINDOW_S` the message that was quickest on
its way tells the difference of the clocks, but for the least latency. What remains, a tracker's own
delay included, is where the angular speeds of shared joints correlate best: speeds do not depend
on the frame, and hardly on how a tracker shares a bend between joints.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from avatar_ros.geometry import quat_conjugate, quat_multiply, rotvec_from_quat
from avatar_ros.types import FloatArray

_WINDOW_S = 8.0
_LEAST_S = 3.0  # of both, before anything is said
_RATE_HZ = 30.0
_LARGEST_S = 0.6
_LEAST_CORRELATION = 0.6
_STILL_RAD_S = 0.05  # standard deviation of the speed below which a channel tells nothing
_AVERAGED = 5  # samples
_LEAST_SAMPLES = 12
_MOST_CHANNELS = 16  # those that move most
_DRIFT_S = 60.0
_SHARE = 0.5  # of a new estimate, against the ones before


@dataclass(frozen=True)
class Offset:
    """What is known of a source's clock against the reference's."""

    stamp_s: float
    """Its stamp minus the reference's stamp of the same motion."""
    lag_s: float
    """The part that is left on the receiver's clock: how much later the source tells of it."""
    correlation: float
    """0..1, of the speeds at this offset."""
    drift: float = float('nan')
    """Seconds a second by which `stamp_s` grows; NaN until it was watched for a while."""


class Motion:
    """Stamps and angular velocities of one source in the last seconds."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[float, float]] = deque()
        self._velocities: deque[tuple[float, dict[str, FloatArray]]] = deque()
        self._before: tuple[float, dict[str, FloatArray]] | None = None

    def add(self, stamp_s: float, arrived_s: float, quats: Mapping[str, FloatArray]) -> None:
        """Rotations (4,) wxyz by channel, as told at `stamp_s` and received at `arrived_s`.

        A stamp that is not newer than the last one, or much newer, starts afresh.
        """
        if self._before is not None and not 0 < stamp_s - self._before[0] < _WINDOW_S:
            self.__init__()  # type: ignore[misc]
        self._arrivals.append((arrived_s, arrived_s - stamp_s))
        while arrived_s - self._arrivals[0][0] > _WINDOW_S:
            self._arrivals.popleft()
        if self._before is not None:
            before_s, before = self._before
            names = [name for name in quats if name in before]
            velocities: dict[str, FloatArray] = {}
            if names:
                a = np.stack([before[name] for name in names])
                b = np.stack([quats[name] for name in names])
                turned = rotvec_from_quat(quat_multiply(quat_conjugate(a), b))
                velocities = dict(zip(names, turned / (stamp_s - before_s), strict=True))
            self._velocities.append(((stamp_s + before_s) / 2, velocities))
            while stamp_s - self._velocities[0][0] > _WINDOW_S:
                self._velocities.popleft()
        self._before = stamp_s, dict(quats)

    @property
    def to_receiver_s(self) -> float:
        """Add it to a stamp for the receiver's clock."""
        return min((difference for _, difference in self._arrivals), default=0.0)

    def speed(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Times (T,) on the receiver's clock and speeds (T,) in rad/s of a channel.

        Velocities are averaged as vectors first: the noise of a tracker cancels out, while in the
        mean of their lengths it would not.
        """
        told = [(t, v[name]) for t, v in self._velocities if name in v]
        if len(told) < _LEAST_SAMPLES:
            return np.zeros(0), np.zeros(0)
        times = np.array([t for t, _ in told])
        summed = np.cumsum(np.pad(np.stack([v for _, v in told]), ((1, 0), (0, 0))), axis=0)
        middle = (summed[_AVERAGED:] - summed[:-_AVERAGED]) / _AVERAGED
        half = _AVERAGED // 2
        return times[half:-half] + self.to_receiver_s, np.linalg.norm(middle, axis=1)

    @property
    def channels(self) -> set[str]:
        """Names whose speed is known now."""
        return set(self._velocities[-1][1]) if self._velocities else set()


class OffsetEstimator:
    """Follows the offset of one source against a reference; ask about once a second."""

    def __init__(self) -> None:
        self.offset: Offset | None = None
        self._history: deque[tuple[float, float]] = deque()

    def update(self, source: Motion, reference: Motion, now_s: float) -> Offset | None:
        """The newest estimate; None until both have moved enough."""
        found = best_lag(source, reference)
        if found is None:
            return self.offset
        lag_s, correlation = found
        if self.offset is not None:
            lag_s = self.offset.lag_s + _SHARE * (lag_s - self.offset.lag_s)
        stamp_s = lag_s - source.to_receiver_s + reference.to_receiver_s
        self._history.append((now_s, stamp_s))
        while not 0 <= now_s - self._history[0][0] <= _DRIFT_S:
            self._history.popleft()
        self.offset = Offset(stamp_s, lag_s, correlation, self._drift())
        return self.offset

    def _drift(self) -> float:
        times, stamps = np.array(self._history).T
        if times[-1] - times[0] < _DRIFT_S / 3:
            return float('nan')
        return float(np.polyfit(times - times[0], stamps - stamps[0], 1)[0])


def best_lag(source: Motion, reference: Motion) -> tuple[float, float] | None:
    """Seconds by which the source tells of the same motion later, and the correlation there.

    None if they share no joint that moves, or do not agree.
    """
    curves = []
    for name in sorted(source.channels & reference.channels):
        (t_a, a), (t_b, b) = source.speed(name), reference.speed(name)
        if len(a) and len(b) and a.std() > _STILL_RAD_S and b.std() > _STILL_RAD_S:
            curves.append((t_a, a, t_b, b))
    curves = sorted(curves, key=lambda curve: -curve[3].std())[:_MOST_CHANNELS]
    if not curves:
        return None
    start = max(max(t_a[0], t_b[0]) for t_a, _, t_b, _ in curves) + _LARGEST_S
    end = min(min(t_a[-1], t_b[-1]) for t_a, _, t_b, _ in curves) - _LARGEST_S
    if end - start < _LEAST_S - 2 * _LARGEST_S:
        return None
    grid = np.arange(start, end, 1 / _RATE_HZ)
    lags = np.arange(-_LARGEST_S, _LARGEST_S + 0.5 / _RATE_HZ, 1 / _RATE_HZ)
    total, norm_a, norm_b = (np.zeros(len(lags)) for _ in range(3))
    for t_a, a, t_b, b in curves:
        fixed = np.interp(grid, t_b, b)
        fixed = (fixed - fixed.mean()) / max(float(fixed.std()), _STILL_RAD_S)  # all count alike
        moved = np.interp(grid[None] + lags[:, None], t_a, a)
        moved = (moved - moved.mean(axis=1, keepdims=True)) / max(float(a.std()), _STILL_RAD_S)
        total += moved @ fixed
        norm_a += (moved**2).sum(axis=1)
        norm_b += (fixed**2).sum()
    if not norm_b.any():
        return None
    correlation = total / np.sqrt(np.maximum(norm_a * norm_b, 1e-12))
    best = int(np.argmax(correlation))
    if correlation[best] < _LEAST_CORRELATION or best in (0, len(lags) - 1):
        return None
    before, here, after = correlation[best - 1 : best + 2]
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend < -1e-12 else 0.0
    return float(lags[best] + shift / _RATE_HZ), float(here)
