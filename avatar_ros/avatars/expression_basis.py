# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What a face moves: a linear basis of 8-bit steps, one row for each action or coefficient."""

from dataclasses import dataclass

import numpy as np

from avatar_ros.types import Array


@dataclass(frozen=True)
class ExpressionBasis:
    """How far each weight of 1 moves some of the Gaussians, as 8-bit steps."""

    basis: str
    """``arkit52`` or ``flame``."""
    names: tuple[str, ...]
    index: Array
    """Rows (M,) int32 of the Gaussians that move, ascending."""
    values: Array
    """(K, M, 3) int8; times `scale` it is metres in the T-pose."""
    scale: Array
    """(K,) float32: metres of one step."""
    drives_jaw: bool = True
    """Whether the basis opens the jaw itself, so that the jaw joint must stay at rest."""

    def offsets(self, weights: Array) -> Array:
        """Metres (M, 3) by which the weights (K,) move the Gaussians of `index`."""
        steps = np.asarray(weights, np.float32) * self.scale
        return np.asarray(np.einsum('k,kmc->mc', steps, self.values.astype(np.float32)))
