# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A set of 3-D Gaussians in linear units, the currency between avatars and renderers."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussians:
    """N anisotropic Gaussians with the parameters that ``gsplat.rasterization`` takes.

    Values are linear (not logit, not log), so that no consumer has to activate anything.
    """

    means: Tensor
    """Centres (N, 3) in metres."""
    quats: Tensor
    """Orientations (N, 4) wxyz, not necessarily of unit length."""
    scales: Tensor
    """Standard deviations (N, 3) in metres."""
    opacities: Tensor
    """Peak opacities (N,) in 0..1."""
    colors: Tensor
    """RGB (N, 3) or one set a camera (C, N, 3) when `sh_degree` is None, or features (N, D) of any
    other number of channels; otherwise spherical harmonic coefficients (N, K, 3) with
    K = (sh_degree + 1) ** 2."""
    sh_degree: int | None = None

    def __post_init__(self) -> None:
        n = len(self.means)
        expected = {'means': (n, 3), 'quats': (n, 4), 'scales': (n, 3), 'opacities': (n,)}
        for name, shape in expected.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ValueError(f'Gaussians.{name} has shape {found}; expected {shape}.')
        found = tuple(self.colors.shape)
        if self.sh_degree is None:
            features = len(found) == 2 and found[0] == n and found[1] > 0
            if not features and (found[-2:] != (n, 3) or len(found) != 3):
                raise ValueError(
                    f'Gaussians.colors has shape {found}; expected ({n}, 3) or (cameras, {n}, 3) '
                    f'for plain RGB, ({n}, channels) for features. Set sh_degree if these are '
                    'spherical harmonics.'
                )
        else:
            if not 0 <= self.sh_degree <= 3:
                raise ValueError(f'sh_degree is {self.sh_degree}; expected 0, 1, 2 or 3.')
            if found != (n, (self.sh_degree + 1) ** 2, 3):
                raise ValueError(
                    f'Gaussians.colors has shape {found}; degree {self.sh_degree} needs '
                    f'({n}, {(self.sh_degree + 1) ** 2}, 3).'
                )

    def __len__(self) -> int:
        return len(self.means)

    @property
    def device(self) -> torch.device:
        return self.means.device

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> 'Gaussians':
        """The same set on another device or in another precision."""
        names = ('means', 'quats', 'scales', 'opacities', 'colors')
        return replace(self, **{name: getattr(self, name).to(device, dtype) for name in names})
