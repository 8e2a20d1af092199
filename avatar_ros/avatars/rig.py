# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A baked avatar for clients that pose and draw it themselves: one file, then small poses.

The file is safetensors with integers for whatever there is much of; ``docs/xr_protocol.md`` lists
its tensors, and `rig_pose` writes the poses. Networks do not travel: only the linear basis does.
"""

from dataclasses import dataclass

import numpy as np
from safetensors.numpy import save

from avatar_ros.avatars.rig_pose import PoseLayout
from avatar_ros.avatars.skinned import SkinnedAvatar
from avatar_ros.body import FLAME
from avatar_ros.gaussians.spherical_harmonics import rgb_from_sh0
from avatar_ros.render import RasterizeMode
from avatar_ros.types import Array, FloatArray

#: More than these, and a client is better served with pictures.
MAX_GAUSSIANS = 100_000
MAX_FILE_BYTES = 16_000_000
_TINY = 1e-12


@dataclass(frozen=True)
class Rig:
    """What a client gets once, and how its poses are written."""

    file: bytes
    layout: PoseLayout


def rig_of(avatar: object, rasterize_mode: RasterizeMode = 'classic') -> Rig:
    """The rig of an avatar, to be drawn as the engines draw in this mode.

    :raises ValueError: if it cannot be played by a client; says why.
    """
    # A network avatar is a skinned one too, but its Gaussians come from the network.
    if type(avatar) is not SkinnedAvatar:
        raise ValueError('its deformation is not a linear one, which a client could compute')
    if avatar.bundle.skeleton is FLAME:
        raise ValueError('it is a head, which hangs at the neck of a body that a client lacks')
    if len(avatar) > MAX_GAUSSIANS:
        raise ValueError(f'it has {len(avatar)} Gaussians; a client draws at most {MAX_GAUSSIANS}')
    layout = PoseLayout.of(avatar)
    tensors = {
        **_gaussians(avatar),
        **_skeleton(avatar),
        **_bases(avatar),
        **layout.tensors(),
        'antialiased': np.array([rasterize_mode == 'antialiased'], np.uint8),
    }
    # Whatever order an array has in memory, the file takes it for C's.
    file = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
    if len(file) > MAX_FILE_BYTES:
        raise ValueError(f'it takes {len(file)} bytes; at most {MAX_FILE_BYTES} are sent')
    return Rig(file, layout)


def _gaussians(avatar: SkinnedAvatar) -> dict[str, Array]:
    g, bundle = avatar.bundle.gaussians, avatar.bundle
    tensors: dict[str, Array] = {}
    means, tensors['means_range'] = to_steps(g.means.numpy(), np.uint16, each_axis=True)
    scales = np.log(g.scales.numpy().clip(1e-9))
    log_scales, tensors['log_scales_range'] = to_steps(scales, np.uint8)
    rgb, tensors['rgb_range'] = to_steps(rgb_from_sh0(g.colors[:, 0].numpy()), np.uint8)
    quats = g.quats.numpy()
    unit = quats / np.linalg.norm(quats, axis=1, keepdims=True).clip(_TINY)
    rest = g.colors[:, 1:].numpy()
    scale = np.abs(rest).max((0, 2)).clip(_TINY) / 127
    return {
        **tensors,
        'means': means,
        'log_scales': log_scales,
        'rgb': rgb,
        'quats': np.rint(unit * 127).astype(np.int8),
        'opacities': np.rint(g.opacities.numpy().clip(0, 1) * 255).astype(np.uint8),
        'sh': np.rint(rest / scale[:, None]).astype(np.int8),
        'sh_scale': scale.astype(np.float32),
        'skin_joints': np.ascontiguousarray(bundle.skin_joints, np.uint8),
        'skin_weights': weight_steps(bundle.skin_weights),
    }


def _skeleton(avatar: SkinnedAvatar) -> dict[str, Array]:
    parents = avatar.bundle.skeleton.parent_array.copy()
    rest = avatar.bundle.rest_joints.astype(float)
    parents[0] = 0
    turns, moves = avatar.joints.inverse_bind()
    return {
        'parents': parents.astype(np.uint8),
        'joint_offsets': (rest - rest[parents]).astype(np.float32),
        'bind_quats': turns.astype(np.float32),
        'bind_moves': moves.astype(np.float32),
    }


def _bases(avatar: SkinnedAvatar) -> dict[str, Array]:
    face, basis = avatar.bundle.expression, avatar.bundle.pose_basis
    n = len(avatar)
    return {
        'face_index': np.zeros(0, np.uint32) if face is None else face.index.astype(np.uint32),
        'face_values': np.zeros((0, 0, 3), np.int8) if face is None else face.values,
        'face_scale': np.zeros(0, np.float32) if face is None else face.scale.astype(np.float32),
        'pose_values': np.zeros((4, 0, n, 3), np.int8) if basis is None else basis.values,
        'pose_scale': (
            np.zeros((0, 4), np.float32) if basis is None else basis.scale.astype(np.float32)
        ),
    }


def to_steps(
    values: Array, dtype: type[np.unsignedinteger], *, each_axis: bool = False
) -> tuple[Array, Array]:
    """Values (N, C) as unsigned integers, and (2, C) float32: their lowest value and one step.

    With `each_axis` every column has a range of its own.
    """
    values = np.asarray(values, float)
    axis = 0 if each_axis else None
    low = np.broadcast_to(values.min(axis), values.shape[1:])
    high = np.broadcast_to(values.max(axis), values.shape[1:])
    step = (high - low).clip(_TINY) / np.iinfo(dtype).max
    return np.rint((values - low) / step).astype(dtype), np.stack([low, step]).astype(np.float32)


def weight_steps(weights: FloatArray | Array) -> Array:
    """Rows that sum to one as rows of uint8 that sum to 255."""
    exact = np.asarray(weights, float)
    exact = exact / exact.sum(1, keepdims=True) * 255
    steps = np.floor(exact)
    missing = np.rint(255 - steps.sum(1)).astype(int)
    # The largest fractions are rounded up, as many as are missing.
    rank = np.argsort(np.argsort(steps - exact, axis=1, kind='stable'), axis=1, kind='stable')
    return (steps + (rank < missing[:, None])).astype(np.uint8)
