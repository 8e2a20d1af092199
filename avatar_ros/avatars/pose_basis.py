# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A baked deformation network: what the pose changes, as a linear basis of 8-bit steps.

The coefficients of a pose come from a kernel regression over the poses that were baked. Far from
all of them the kernel is zero, and so is the change: a pose that was never seen shows the mean
person, and nothing explodes.
"""

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np

from avatar_ros.types import Array, FloatArray

#: What changes, three numbers each: metres in the canonical pose, logarithms of the scales, a
#: rotation g as the quaternion (1, g / 2) from the left (for small ones a rotation vector), RGB.
GROUPS = ('means', 'log_scales', 'rotation', 'rgb')


@dataclass(frozen=True)
class PoseBasis:
    """K components that are added up with weights that depend on the pose."""

    joints: tuple[str, ...]
    """Whose parent-relative rotations count."""
    centres: Array
    """Baked poses (M, B, 4) float32: quaternions wxyz of those joints."""
    length_scale: float
    """Of the kernel exp(-d^2 / (2 l^2)); d is between the poses' rotation matrices."""
    regression: Array
    """(M, K) float32: coefficients are kernel (M,) times this."""
    limit: Array
    """(K,) float32: largest coefficient in any training pose."""
    values: Array
    """(4, K, N, 3) int8, by `GROUPS`."""
    scale: Array
    """(K, 4) float32: what one step is worth in each group."""
    training: int = 0
    """The first so many centres are poses of the training capture."""

    @cached_property
    def _features(self) -> FloatArray:
        return rotation_features(self.centres)

    def coefficients(self, quats: Array) -> Array:
        """Weights (K,) of the components for quaternions (B, 4) of `joints`, float32."""
        d = self._features - rotation_features(quats[None])
        kernel = np.exp(-np.einsum('mf,mf->m', d, d) / (2 * self.length_scale**2))
        weights = kernel @ self.regression
        return np.clip(weights, -self.limit, self.limit).astype(np.float32)

    def distance(self, quats: Array) -> float:
        """Mean angle in radians between the joints (B, 4) and those of the nearest known pose."""
        known = self.centres[: self.training] if self.training else self.centres
        dots = np.abs(np.einsum('mbc,bc->mb', known, quats)).clip(0, 1)
        return float((2 * np.arccos(dots)).mean(1).min())

    def add_into(self, quats: Array, out: Array) -> None:
        """Overwrite `out` (4, N, 3) float32 with the change of a pose."""
        steps = self.coefficients(quats)[:, None] * self.scale
        out[:] = 0
        groups, components = self.values.shape[:2]
        rows = self.values.reshape(groups, components, -1)
        _add_components(rows, steps, out.reshape(groups, -1))


def rotation_features(quats: Array) -> FloatArray:
    """The first two columns of each rotation: (M, 6 B) of quaternions (M, B, 4)."""
    w, x, y, z = np.moveaxis(np.asarray(quats, dtype=float), -1, 0)
    columns = [
        1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y),
        2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x),
    ]  # fmt: skip
    return np.asarray(np.stack(columns, axis=-1).reshape(len(quats), -1))


@numba.njit(fastmath=True, nogil=True, cache=True, error_model='numpy')
def _add_components(rows: Array, steps: Array, out: Array) -> None:
    """out (4, 3N) += steps (K, 4) * rows (4, K, 3N); blocks stay in the first cache."""
    block = 4096
    for group in range(rows.shape[0]):
        for start in range(0, out.shape[1], block):
            end = min(start + block, out.shape[1])
            part = out[group, start:end]
            for k in range(rows.shape[1]):
                step = steps[k, group]
                row = rows[group, k, start:end]
                for i in range(end - start):
                    part[i] += step * np.float32(row[i])
