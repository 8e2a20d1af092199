# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The bundle of a head avatar: a FLAME mesh of one person, and the networks on it.

::

    avatar.json         format, kind ``gapnet_head``, licence, expression names, sizes of networks
    avatar.safetensors  mesh, binding, features, weights

Self-contained: no FLAME file is needed to play it. Read like any bundle: checked, bounded, never
unpickled.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as save_tensors

from avatar_ros.avatars.bundle import AXES, FORMAT
from avatar_ros.avatars.bundle_files import (
    MANIFEST,
    TENSORS,
    BundleFiles,
    Fields,
    Tensors,
    write_files,
)
from avatar_ros.avatars.head.binding import Binding
from avatar_ros.avatars.head.config import HeadNetworkConfig
from avatar_ros.body.flame import PARTS
from avatar_ros.body.model import BodyModel
from avatar_ros.body.skeletons import FLAME
from avatar_ros.types import Array

KIND = 'gapnet_head'
_MAX_VERTICES, _MAX_FACES, _MAX_GAUSSIANS, _MAX_EXPRESSIONS = 100_000, 200_000, 1_000_000, 512
_NET = 'net.'


@dataclass(frozen=True)
class HeadBundle:
    """Everything that is needed to play a head."""

    name: str
    licence: str
    model: BodyModel
    """FLAME of this person: the template has their shape; there are no shape directions."""
    basis: str
    """``arkit52`` or ``flame``: what the expression directions are named after."""
    binding: Binding
    config: HeadNetworkConfig | None
    """None: Gaussians are constants in their triangles, as GaussianAvatars has them."""
    tensors: Mapping[str, Array]
    """``point`` (N, F), ``code`` (1, parts, C) and ``net.*``; or ``means``, ``quats``, ``scales``,
    ``opacities`` and ``sh`` (N, K, 3), in triangle sizes; float32."""
    arkit_to_expression: Array | None = None
    """(52, E + 3): FLAME coefficients and jaw rotation vector of each ARKit action, if `basis` is
    ``flame``."""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.binding)


def save_head_bundle(path: str | Path, bundle: HeadBundle) -> None:
    """Write it: a zip if the path ends so, otherwise a directory. Same bundle, same bytes."""
    m = bundle.model
    manifest = {
        'format': FORMAT,
        'version': 2,
        'kind': KIND,
        'name': bundle.name,
        'licence': bundle.licence,
        'provenance': dict(bundle.provenance),
        'axes': AXES,
        'units': 'metre',
        'expression': {'basis': bundle.basis, 'names': list(m.expression_names)},
        'network': None if bundle.config is None else bundle.config.to_json(),
        'tensors': {'file': TENSORS},
    }
    joints = m.rest_joints()
    tensors: dict[str, Array] = {
        'template': np.asarray(m.template, np.float32),
        'faces': np.asarray(m.faces, np.int32),
        'joints': np.asarray(joints, np.float32),
        'weights': np.asarray(m.weights, np.float16),
        'expression_dirs': np.asarray(m.expression_dirs, np.float16),
        'face': np.asarray(bundle.binding.face, np.int32),
        'bary': np.asarray(bundle.binding.bary, np.float32),
        'part': np.asarray(bundle.binding.part, np.uint8),
        'log_scale': np.asarray(bundle.binding.log_scale, np.float32),
    }
    if m.pose_dirs is not None:
        tensors['pose_dirs'] = np.asarray(m.pose_dirs, np.float16)
    if bundle.arkit_to_expression is not None:
        tensors['arkit_to_expression'] = np.asarray(bundle.arkit_to_expression, np.float32)
    # Half precision costs far less than a grey level, and halves what is shipped.
    tensors |= {name: np.asarray(v, np.float16) for name, v in bundle.tensors.items()}
    contents = {
        MANIFEST: json.dumps(manifest, indent=1, ensure_ascii=False).encode(),
        TENSORS: save_tensors({k: np.ascontiguousarray(v) for k, v in tensors.items()}),
    }
    write_files(Path(path), contents)


def read_head_bundle(files: BundleFiles, fields: Fields) -> HeadBundle:
    """The bundle behind a manifest of kind ``gapnet_head``.

    :raises BundleError: if anything in it is missing, damaged, too large or unknown.
    """
    tensors = Tensors(files, fields.inner('tensors').text('file'))
    face = fields.inner('expression')
    basis = face.one_of('basis', ['arkit52', 'flame'])
    names = face.names('names', _MAX_EXPRESSIONS)
    config: HeadNetworkConfig | None = None
    try:
        if fields.has('network'):
            config = HeadNetworkConfig.from_json(fields.mapping('network'))
    except (TypeError, ValueError) as error:
        raise fields.error(
            'network', f'sizes of networks ({error})', 'Update avatar_ros.'
        ) from error
    vertices = tensors.length('template', _MAX_VERTICES)
    triangles = tensors.length('faces', _MAX_FACES)
    count = tensors.length('face', _MAX_GAUSSIANS)
    faces = tensors.take('faces', (triangles, 3), 'I32')
    tensors.check_range('faces', faces, vertices, 'vertices')
    bound = tensors.take('face', (count,), 'I32')
    tensors.check_range('face', bound, triangles, 'triangles')
    part = tensors.take('part', (count,), 'U8')
    tensors.check_range('part', part, len(PARTS), 'parts')
    if np.any(np.diff(part.astype(int)) < 0):
        raise tensors.error('part', 'rows out of order', 'ascending parts')
    joints = len(FLAME)
    pose_dirs = None
    if 'pose_dirs' in tensors:
        shape = (vertices, 3, 9 * (joints - 1))
        pose_dirs = tensors.take('pose_dirs', shape, 'F16', 'F32', limit=10.0).astype(float)
    rest = tensors.take('joints', (joints, 3), 'F32', limit=100.0).astype(float)
    weights = tensors.take('weights', (vertices, joints), 'F16', 'F32', limit=1.01).astype(float)
    total = weights.sum(1, keepdims=True)
    if np.any(weights < 0) or np.any(np.abs(total - 1) > 0.02):
        raise tensors.error('weights', 'weights that do not sum to one', 'rows that do')
    arkit = None
    if 'arkit_to_expression' in tensors:
        arkit = tensors.take('arkit_to_expression', (52, len(names) + 3), 'F32', limit=100.0)
    template = tensors.take('template', (vertices, 3), 'F32', limit=100.0).astype(float)
    shape = (vertices, 3, len(names))
    model = BodyModel(
        skeleton=FLAME,
        template=template,
        faces=faces.astype(np.int64),
        shape_dirs=np.zeros((vertices, 3, 0)),
        expression_dirs=tensors.take('expression_dirs', shape, 'F16', 'F32', limit=10.0).astype(
            float
        ),
        pose_dirs=pose_dirs,
        joint_regressor=regressor_of(template, rest),
        weights=weights / total,
        expression_names=names,
    )
    binding = Binding(
        bound,
        tensors.take('bary', (count, 3), 'F32', limit=1.01),
        part,
        tensors.take('log_scale', (count, 3), 'F32', limit=20.0),
    )
    if config is None:
        learned = _constants(tensors, count)
    else:
        learned = _networks(tensors, config, count)
    return HeadBundle(
        fields.text('name'),
        fields.text('licence'),
        model,
        basis,
        binding,
        config,
        learned,
        arkit,
        fields.mapping('provenance') if fields.has('provenance') else {},
    )


def _constants(tensors: Tensors, count: int) -> dict[str, Array]:
    degree = {1: 0, 4: 1, 9: 2, 16: 3}
    if 'sh' not in tensors or tensors.shapes()['sh'][1:2] not in {(k,) for k in degree}:
        raise tensors.error('sh', 'no spherical harmonics', '(N, 1, 4, 9 or 16, 3)')
    terms = tensors.shapes()['sh'][1]
    sizes = {
        'means': (count, 3),
        'quats': (count, 4),
        'scales': (count, 3),
        'opacities': (count,),
        'sh': (count, terms, 3),
    }
    return {name: tensors.take(name, size, 'F16', 'F32', limit=1e4) for name, size in sizes.items()}


def _networks(tensors: Tensors, config: HeadNetworkConfig, count: int) -> dict[str, Array]:
    parts = len(PARTS) if config.parts else 1
    learned = {
        'point': tensors.take('point', (count, config.point_features), 'F16', 'F32', limit=1e4),
        'code': tensors.take('code', (1, parts, config.code), 'F16', 'F32', limit=1e4),
    }
    for name, size in tensors.shapes().items():
        if name.startswith(_NET):
            learned[name] = tensors.take(name, size, 'F16', 'F32', limit=1e4)
    return learned


def regressor_of(template: Array, joints: Array) -> Array:
    """A regressor (5, V) that gives the stored joints of the one template it is used with.

    It is the least-norm affine combination of all vertices.
    """
    system = np.c_[template, np.ones(len(template))]
    wanted = np.c_[joints, np.ones(len(joints))]
    return np.asarray(wanted @ np.linalg.pinv(system))
