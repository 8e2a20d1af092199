# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The avatar bundle: one directory or zip that can be played without the code that trained it.

::

    avatar.json         what it is: format, version, skeleton, licence, provenance
    gaussians.ply       the Gaussians of the canonical pose, in the layout of 3D Gaussian Splatting
    avatar.safetensors  joints, skinning weights, expression basis, pose basis
    network.safetensors optional: the networks that the basis was baked from, cached for live play

Nothing in it is ever unpickled or extracted, and every size is bounded before it is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from avatar_ros.avatars.expression_basis import ExpressionBasis
from avatar_ros.avatars.network.cached import CachedNetwork
from avatar_ros.avatars.pose_basis import PoseBasis
from avatar_ros.body.skeletons import Skeleton
from avatar_ros.gaussians import Gaussians
from avatar_ros.types import Array

FORMAT = 'avatar_ros.bundle'
#: Version 2 has a canonical pose and a pose basis; a bundle without them is written as 1.
VERSIONS = (1, 2)
KIND = 'skinned_gaussians'
AXES = 'x left, y up, z forward'
#: Skinning weights a Gaussian has.
WEIGHTS_PER_GAUSSIAN = 4


@dataclass(frozen=True)
class Bundle:
    """Everything that is needed to play an avatar."""

    name: str
    licence: str
    skeleton: Skeleton
    gaussians: Gaussians
    """In the canonical pose, axes `AXES`, metres; colours are spherical harmonics (N, K, 3)."""
    rest_joints: Array
    """Joints (J, 3) float32 of the T-pose."""
    skin_joints: Array
    """Joints (N, 4) uint8 that carry each Gaussian."""
    skin_weights: Array
    """(N, 4) float32; a row sums to one."""
    canonical: Array | None = None
    """Rotations (J, 4) wxyz of the pose that Gaussians and sole points are in; None: the T-pose."""
    pose_basis: PoseBasis | None = None
    network: CachedNetwork | None = None
    expression: ExpressionBasis | None = None
    sole_points: Array = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    """Points (S, 3) float32 under the feet in the canonical pose, to stand on a floor."""
    sole_joints: Array = field(default_factory=lambda: np.zeros(0, np.uint8))
    """Joint (S,) uint8 that carries each of them."""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.gaussians)
