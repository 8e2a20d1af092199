# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""LAM exports (He 2025): a zip with ``skin.glb`` and ``offset.ply``, driven by ARKit actions.

Row i of ``offset.ply`` belongs to vertex i of ``skin.glb``; ``vertex_order.json`` is the list of
vertices by height, a drawing hint and no correspondence. Positions are offsets from the vertex,
colours plain RGB, scales logarithms, opacities logits. Axes are glTF's: y up, z forward.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from avatar_ros.avatars.bundle import Bundle
from avatar_ros.avatars.bundle_files import BundleError, BundleFiles
from avatar_ros.avatars.expression_basis import ExpressionBasis
from avatar_ros.avatars.foreign.glb import Glb
from avatar_ros.body import ARKIT_52, FLAME
from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.ply import read_ply
from avatar_ros.gaussians.spherical_harmonics import sh0_from_rgb
from avatar_ros.types import Array

MESH, OFFSETS = 'skin.glb', 'offset.ply'
_MAX_BYTES = 256 << 20
#: Joints that carry the head; all others of the skin stand still, like FLAME's root.
_HEAD_JOINTS = ('neckUpper', 'head')


def is_lam(files: BundleFiles) -> bool:
    """Does the zip or folder hold a LAM export (at its top, or in one folder)?"""
    try:
        files.read(MESH, _MAX_BYTES)
    except BundleError:
        return False
    return True


def read_lam(files: BundleFiles) -> Bundle:
    """The export as a bundle on FLAME's skeleton.

    :raises BundleError: naming what is missing or does not fit.
    """
    glb = Glb(files.read(MESH, _MAX_BYTES), files.name(MESH))
    try:
        node = next(n for n in glb.json['nodes'] if 'mesh' in n and 'skin' in n)
        mesh, skin = glb.json['meshes'][node['mesh']], glb.json['skins'][node['skin']]
        primitive = mesh['primitives'][0]
        attributes, joints = primitive['attributes'], skin['joints']
        vertices = glb.accessor(attributes['POSITION']).astype(np.float64)
        rows = glb.accessor(attributes['JOINTS_0']).astype(int)
        weights = glb.accessor(attributes['WEIGHTS_0']).astype(np.float64)
        names = [str(n) for n in mesh['extras']['targetNames']]
        targets = [
            glb.accessor(target['POSITION']).astype(np.float64) for target in primitive['targets']
        ]
        labels = [str(glb.json['nodes'][j].get('name', '')) for j in joints]
    except (KeyError, IndexError, TypeError, StopIteration) as error:
        raise BundleError(
            f'{files.name(MESH)}: is no skinned mesh with named morph targets ({error!r}). '
            'Expected the export of LAM.'
        ) from error
    offsets = _offsets(files, len(vertices))
    if len(targets) != len(names) or any(t.shape != vertices.shape for t in targets):
        raise BundleError(f'{files.name(MESH)}: morph targets and their names do not fit.')
    if rows.max(initial=0) >= len(labels):
        raise BundleError(f'{files.name(MESH)}: a vertex has joint {rows.max()}; expected fewer.')
    known = [k for k, name in enumerate(names) if name in ARKIT_52]
    carried = np.isin(np.array(labels)[rows], _HEAD_JOINTS)
    of_head = (weights * carried).sum(1) / np.maximum(weights.sum(1), 1e-9)
    skin_joints = np.zeros((len(vertices), 4), np.uint8)
    skin_joints[:, 0] = FLAME.index['neck']
    skin_weights = np.zeros((len(vertices), 4), np.float32)
    skin_weights[:, 0], skin_weights[:, 1] = of_head, 1 - of_head
    place = {name: glb.rest_place(joint) for name, joint in zip(labels, joints, strict=True)}
    neck = place.get('neckUpper', place.get('head', np.array([0.0, vertices[:, 1].min(), 0.0])))
    rest = np.tile(neck, (len(FLAME), 1)).astype(np.float32)
    rest[0] = place.get('neckLower', neck)
    rgb = offsets.colors[:, 0].clamp(0, 1).numpy()
    gaussians = replace(
        offsets,
        means=offsets.means + torch.from_numpy(vertices.astype(np.float32)),
        colors=torch.from_numpy(sh0_from_rgb(rgb).astype(np.float32))[:, None],
    )
    return Bundle(
        name=files.path.stem,
        licence='unknown (LAM export)',
        skeleton=FLAME,
        gaussians=gaussians,
        rest_joints=rest,
        skin_joints=skin_joints,
        skin_weights=skin_weights,
        expression=_basis([names[k] for k in known], np.stack([targets[k] for k in known])),
        provenance={'method': 'LAM', 'actions': len(known)},
    )


def _offsets(files: BundleFiles, count: int) -> Gaussians:
    """The splats as the file has them: means are offsets, colours (N, 1, 3) plain RGB."""
    data = files.read(OFFSETS, _MAX_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / OFFSETS
        path.write_bytes(data)
        try:
            splats = read_ply(path)
        except ValueError as error:
            raise BundleError(f'{files.name(OFFSETS)}: {error}') from error
    if len(splats) != count or splats.sh_degree != 0:
        raise BundleError(
            f'{files.name(OFFSETS)}: has {len(splats)} rows of degree {splats.sh_degree} for '
            f'{count} vertices of {MESH}; expected as many, of degree 0. The files are of '
            'different exports.'
        )
    return splats


def _basis(names: list[str], targets: Array) -> ExpressionBasis:
    moving = np.flatnonzero(np.abs(targets).max(axis=(0, 2)) > 1e-6).astype(np.int32)
    values = targets[:, moving]
    scale = np.maximum(np.abs(values).max(axis=(1, 2)), 1e-9) / 127
    steps = np.rint(values / scale[:, None, None]).astype(np.int8)
    return ExpressionBasis('arkit52', tuple(names), moving, steps, scale.astype(np.float32))
