# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Sizes of the networks; the defaults are those of the papers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

#: The largest of each kind of size that a file may ask for.
_MOST = {'hash_log2_table': 24, 'hash_finest': 1 << 16, 'hash_levels': 32}
_MOST_LAYERS, _MOST_WIDTH = 16, 4096


@dataclass(frozen=True)
class NetworkConfig:
    """3DGS-Avatar's networks, shared by CHASE and SG-GS, and the 3-D network of SG-GS."""

    hash_levels: int = 16
    hash_features: int = 2
    hash_log2_table: int = 16
    hash_base: int = 16
    hash_finest: int = 2048
    pose_features: int = 6
    """Per joint, of the hierarchical pose encoder (LEAP)."""
    nonrigid_width: int = 128
    nonrigid_layers: int = 3
    nonrigid_features: int = 16
    """Passed on from the non-rigid network to the colours."""
    skinning_width: int = 128
    skinning_layers: int = 4
    spherical_harmonics: bool = False
    """Colours are spherical harmonics instead of a network; `color_features` is then 3 K."""
    color_features: int = 32
    """Learned per Gaussian."""
    color_width: int = 64
    color_layers: int = 2
    view_degree: int = 3
    """Of the spherical harmonics of the direction of view."""
    latent_features: int = 16
    """Learned per instant of the capture."""
    geometry_network: bool = False
    """The geometric and semantic-aware 3-D network of SG-GS."""
    voxel_m: float = 0.001
    unet_planes: tuple[int, ...] = (8, 16, 24, 32, 40, 48)
    unet_features: int = 48
    fusion_width: int = 128
    fusion_layers: int = 3
    parts: int = 5
    """Semantic classes of a Gaussian."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> 'NetworkConfig':
        """The config that `to_json` wrote.

        :raises ValueError: if a field is unknown or not a number.
        """
        known = {field.name: field for field in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f'network config has {name!r}; known are {", ".join(known)}.')
            numbers = value if name == 'unet_planes' else [value]
            most = _MOST_LAYERS if name.endswith('_layers') else _MOST.get(name, _MOST_WIDTH)
            kinds = int | float if name == 'voxel_m' else int
            whole = isinstance(numbers, list | tuple) and all(
                isinstance(n, kinds) and 0 <= n <= most for n in numbers
            )
            if not whole or len(numbers) > _MOST_LAYERS:
                raise ValueError(
                    f'network config {name!r} is {value!r}; expected a size of 0..{most}.'
                )
        return cls(**{**values, 'unet_planes': tuple(values.get('unet_planes', cls.unet_planes))})

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
