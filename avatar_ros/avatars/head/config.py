# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Sizes of HeadGAP's networks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class HeadNetworkConfig:
    """The defaults are HeadGAP's (arXiv 2408.06019v2, section 3 and supplementary).

    Not stated there and chosen: `width`, and how the 34 features divide into RGB and the rest.
    """

    grid: int = 300
    """Texels of the UV map along one side; each that a triangle covers gives one Gaussian."""
    point_features: int = 48
    """Of f, one vector a Gaussian, shared by all identities."""
    code: int = 128
    """Of z, one vector an identity and part."""
    width: int = 128
    layers: int = 4
    features: int = 34
    """Splatted channels: RGB, and what only the screen-space network sees."""
    cnn_width: int = 128
    cnn_layers: int = 6
    parts: bool = True
    """A network for each of the eleven parts, or (ablation) one for all."""
    dynamic: bool = True
    """Appearance sees how the expression displaced each Gaussian (ablation: it does not)."""
    cnn: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> 'HeadNetworkConfig':
        """The config that `to_json` wrote.

        :raises ValueError: if a field is unknown, has another type, or is out of range.
        """
        known = {f.name: f.type for f in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f'HeadNetworkConfig has no {name}; known are {", ".join(known)}.')
            kind = bool if known[name] in (bool, 'bool') else int
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise ValueError(f'{name} is {value!r}; expected {kind.__name__}.')
            if kind is int and not 1 <= value <= 4096:
                raise ValueError(f'{name} is {value}; expected 1..4096.')
        config = cls(**values)
        if config.features < 3 or config.layers < 2 or config.cnn_layers < 2:
            raise ValueError('expected at least 3 features and 2 layers.')
        return config
