# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) over whole arrays."""

from dataclasses import dataclass

import numpy as np

from avatar_ros.geometry import quat_conjugate, quat_from_rotvec, quat_multiply, rotvec_from_quat
from avatar_ros.types import Array, FloatArray


@dataclass(frozen=True)
class OneEuroConfig:
    """Cutoff = min_cutoff_hz + beta * speed: calm when still, quick when fast."""

    min_cutoff_hz: float = 2.0
    beta: float = 2.0
    """Hz of cutoff for each unit a second; the unit is that of the filtered values."""
    speed_cutoff_hz: float = 2.0


class OneEuroFilter:
    """Low-pass filter whose cutoff follows the speed of each value (of each row for points)."""

    def __init__(self, config: OneEuroConfig, *, per_point: bool = True) -> None:
        self.config = config
        self.per_point = per_point
        """One cutoff a point (last axis), so that a point's path is not bent."""
        self._value: FloatArray | None = None
        self._speed: FloatArray = np.zeros(0)

    def reset(self) -> None:
        """Forget everything: the next value passes unchanged."""
        self._value = None

    def __call__(self, value: Array, dt_s: float) -> FloatArray:
        """Filtered value, same shape; `dt_s` seconds after the one before.

        A value that is not finite leaves the state as it is and gives the last good one.
        """
        value = np.asarray(value, dtype=float)
        if self._value is None or self._value.shape != value.shape:
            self._value = np.nan_to_num(value)
            self._speed = np.zeros_like(self._difference(self._value, self._value))
            return self._value.copy()
        if dt_s <= 0:
            return self._value.copy()
        value = np.where(np.isfinite(value), value, self._value)
        away = self._difference(value, self._value)
        a = _smoothing(self.config.speed_cutoff_hz, dt_s)
        self._speed = self._speed + a * (away / dt_s - self._speed)
        speed = np.abs(self._speed)
        if self.per_point and value.ndim > 1:
            speed = np.linalg.norm(self._speed, axis=-1, keepdims=True)
        cutoff = self.config.min_cutoff_hz + self.config.beta * speed
        self._value = self._moved(self._value, _smoothing(cutoff, dt_s) * away)
        return self._value.copy()

    def _difference(self, value: FloatArray, before: FloatArray) -> FloatArray:
        return value - before

    def _moved(self, value: FloatArray, step: FloatArray) -> FloatArray:
        return value + step


class RotationOneEuroFilter(OneEuroFilter):
    """The same for unit quaternions (N, 4) wxyz, along the shortest turn; speed in rad/s."""

    def restart(self, rows: Array, quats: Array) -> None:
        """Go on from `quats` (N, 4) in the rows (N,) of a mask, as if they had always been so."""
        if self._value is not None:
            self._value[rows] = quats[rows]
            self._speed[rows] = 0.0

    def _difference(self, value: FloatArray, before: FloatArray) -> FloatArray:
        return np.asarray(rotvec_from_quat(quat_multiply(quat_conjugate(before), value)))

    def _moved(self, value: FloatArray, step: FloatArray) -> FloatArray:
        return np.asarray(quat_multiply(value, quat_from_rotvec(step)))


def _smoothing(cutoff_hz: float | FloatArray, dt_s: float) -> FloatArray:
    """Weight of the new value in a first-order low-pass filter."""
    return np.asarray(1.0 / (1.0 + 1.0 / (2 * np.pi * np.asarray(cutoff_hz) * dt_s)))
