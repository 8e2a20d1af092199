# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What a face moves: a linear basis of 8-bit steps, one row for each action or coefficient."""

from dataclasses import dataclass

import numpy as np

from avatar_ros.body import FaceExpression
from avatar_ros.types import Array, FloatArray


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

    def driven_by(self, expression: FaceExpression | None) -> bool:
        """Whether a face is seen, and in these names."""
        return (
            expression is not None and expression.confidence > 0 and expression.basis == self.basis
        )

    def weights_of(self, expression: FaceExpression | None) -> FloatArray:
        """Weights (K,); zeros for a face that is not seen.

        :raises ValueError: if one is not finite.
        """
        if expression is None or not self.driven_by(expression):
            return np.zeros(len(self.names))
        weights = expression.weights_for(self.names)
        if not np.isfinite(weights).all():
            bad = self.names[int(np.flatnonzero(~np.isfinite(weights))[0])]
            raise ValueError(f'expression weight {bad!r} is not finite; expected 0..1.')
        return weights
