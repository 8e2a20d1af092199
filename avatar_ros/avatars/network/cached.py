# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Trained networks for live play: what is constant after training is stored, not computed.

Hash features and those of the 3-D network depend on canonical positions alone, so a bundle holds
them for its Gaussians and neither the hash table nor the 3-D network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from avatar_ros.avatars.network.body_network import (
    BodyNetwork,
    Canonical,
    Change,
    Posed,
    PoseInput,
)
from avatar_ros.avatars.network.config import NetworkConfig
from avatar_ros.body.skeletons import Skeleton
from avatar_ros.body.torch_kinematics import JointMotion
from avatar_ros.types import Array

_WEIGHT = 'network.'
#: Modules whose results are stored instead.
_CACHED = ('grid', 'unet')


@dataclass(frozen=True)
class CachedNetwork:
    """Networks and the cached features of N Gaussians, as they lie in a bundle.

    Tensors are float32: ``network.*`` weights, and for the Gaussians ``means`` (N, 3), ``quats``
    (N, 4), ``log_scales`` (N, 3), ``features`` (N, color_features), ``encoded`` (N, hash width),
    ``limit`` (3, N, 3): the largest change of position, logarithm of scale and rotation (twice
    the vector part of the quaternion over its scalar part) in any pose that was baked.
    ``geometry`` (N, unet_features) only if there is a 3-D network that took part, ``shares``
    (N, J) only if the skeleton has joints that networks do not know.
    """

    config: NetworkConfig
    tensors: Mapping[str, Array]


def pack(
    network: BodyNetwork,
    canonical: Canonical,
    encoded: Tensor,
    geometry: Tensor | None,
    limit: Array,
) -> CachedNetwork:
    """The networks, with everything that is cached of the given Gaussians."""
    gaussians = {
        'means': canonical.means,
        'quats': canonical.quats,
        'log_scales': canonical.log_scales,
        'features': canonical.features,
        'encoded': encoded,
        'geometry': geometry,
        'shares': canonical.shares,
    }
    tensors = {name: _array(value) for name, value in gaussians.items() if value is not None}
    tensors['limit'] = limit.astype('float32')
    for name, value in network.state_dict().items():
        if name.split('.')[0] in _CACHED or name == 'latents.weight':
            continue
        tensors[_WEIGHT + name] = _array(value)
    # A pose that was not in the capture takes the last latent.
    tensors[_WEIGHT + 'latents.weight'] = _array(network.latent(None)[None])
    return CachedNetwork(network.config, tensors)


def _array(tensor: Tensor) -> Array:
    return tensor.detach().float().cpu().contiguous().numpy()


class LiveNetwork:
    """A `CachedNetwork` on a device, asked once a frame."""

    def __init__(
        self, cached: CachedNetwork, skeleton: Skeleton, count: int, device: torch.device | str
    ) -> None:
        """:raises ValueError: if a tensor is missing, unknown or of another shape."""
        config = cached.config
        # Sizes come from a file: on the meta device nothing is allocated for them.
        with torch.device('meta'):
            box, joints = torch.zeros(2, 3), torch.zeros(len(skeleton), 3)
            network = BodyNetwork(config, skeleton, box, joints, instants=1)
        expected = {
            'means': (count, 3),
            'quats': (count, 4),
            'log_scales': (count, 3),
            'features': (count, config.color_features),
            'encoded': (count, network.grid.width),
            'limit': (3, count, 3),
        }
        if config.geometry_network:
            expected['geometry'] = (count, config.unet_features)
        if 'shares' in cached.tensors:
            expected['shares'] = (count, len(skeleton))
        for name in _CACHED:
            if hasattr(network, name):
                delattr(network, name)
        shapes = {_WEIGHT + name: tuple(t.shape) for name, t in network.state_dict().items()}
        _check(cached.tensors, expected | shapes, optional='geometry')
        ready = {
            name: torch.from_numpy(values).to(device) for name, values in cached.tensors.items()
        }
        weights = {name.removeprefix(_WEIGHT): ready.pop(name) for name in shapes}
        network.load_state_dict(weights, assign=True)
        self.network = network.eval().requires_grad_(False)
        self._encoded, self._geometry = ready['encoded'], ready.get('geometry')
        self._limit = ready['limit']
        self._canonical = {
            name: ready.get(name) for name in ('means', 'quats', 'log_scales', 'features', 'shares')
        }

    def pose(self, rotations: Tensor, motion: JointMotion, shift: Tensor) -> Posed:
        """Gaussians of a pose: parent-relative rotations (J, 3, 3), motion from the canonical one.

        `shift` (N, 3) is what the face moves. A change beyond the largest that was seen while
        baking is held at that: networks say anything about poses they do not know.
        """
        parts: dict[str, Any] = self._canonical
        canonical = Canonical(**parts, shift=shift)
        code = self.network.code(PoseInput(rotations, motion))
        change = self.network.change(self._encoded, code, self._geometry)
        return self.network.pose(canonical, self._held(change), motion)

    def colors(self, posed: Posed, eye: Tensor) -> Tensor:
        """RGB (N, 3) of a pose seen from a point (3,)."""
        features = self._canonical['features']
        assert features is not None
        return self.network.colors(features, posed, eye, self.network.latent(None))

    def _held(self, change: Change) -> Change:
        most = self._limit
        turn = 2 * change.quats[:, 1:] / change.quats[:, :1].clamp_min(1e-3)
        turn = turn.clamp(-most[2], most[2])
        quats = F.normalize(torch.cat([torch.ones_like(turn[:, :1]), turn / 2], dim=1), dim=1)
        return Change(
            change.means.clamp(-most[0], most[0]),
            change.log_scales.clamp(-most[1], most[1]),
            quats,
            change.features,
        )


def _check(
    tensors: Mapping[str, Array], expected: Mapping[str, tuple[int, ...]], optional: str
) -> None:
    unknown = set(tensors) - set(expected)
    missing = set(expected) - set(tensors) - {optional}
    if unknown or missing:
        raise ValueError(
            f'networks lack {sorted(missing)[:3]} and have unknown {sorted(unknown)[:3]}; '
            'expected the tensors of their config.'
        )
    for name, values in tensors.items():
        if values.shape != expected[name]:
            raise ValueError(
                f'network tensor {name!r} has shape {values.shape}; expected {expected[name]}.'
            )
