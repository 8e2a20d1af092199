# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A bundle written to a directory or zip file."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from safetensors.numpy import save as save_tensors

from avatar_ros.avatars.bundle import AXES, FORMAT, KIND, VERSIONS, Bundle
from avatar_ros.avatars.bundle_files import MANIFEST, NETWORK, SPLATS, TENSORS, write_files
from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.ply import write_ply


def save_bundle(path: str | Path, bundle: Bundle) -> None:
    """Write the bundle: a zip file if the path ends with ``.zip``, otherwise a directory.

    The same bundle always gives the same bytes.
    """
    path = Path(path)
    g, face = bundle.gaussians, bundle.expression
    degree = 0 if g.sh_degree is None else g.sh_degree
    if g.sh_degree is None:
        raise ValueError(
            'save_bundle: the colours are plain RGB; expected spherical harmonics (N, K, 3). '
            'Use (rgb - 0.5) / 0.28209479 with sh_degree = 0.'
        )
    manifest: dict[str, Any] = {
        'format': FORMAT,
        'version': VERSIONS[0 if bundle.canonical is None and bundle.pose_basis is None else 1],
        'kind': KIND,
        'name': bundle.name,
        'licence': bundle.licence,
        'provenance': dict(bundle.provenance),
        'skeleton': bundle.skeleton.name,
        'axes': AXES,
        'units': 'metre',
        'gaussians': {'file': SPLATS, 'count': len(g), 'sh_degree': degree},
        'tensors': {'file': TENSORS},
        'expression': None,
    }
    tensors = {
        'rest_joints': np.asarray(bundle.rest_joints, np.float32),
        'skin_joints': np.asarray(bundle.skin_joints, np.uint8),
        'skin_weights': np.asarray(bundle.skin_weights, np.float16),
    }
    if len(bundle.sole_points):
        tensors['sole_points'] = np.asarray(bundle.sole_points, np.float32)
        tensors['sole_joints'] = np.asarray(bundle.sole_joints, np.uint8)
    if face is not None:
        manifest['expression'] = {
            'basis': face.basis,
            'names': list(face.names),
            'drives_jaw': face.drives_jaw,
        }
        tensors['expression_index'] = np.asarray(face.index, np.int32)
        tensors['expression_values'] = np.asarray(face.values, np.int8)
        tensors['expression_scale'] = np.asarray(face.scale, np.float32)
    if bundle.canonical is not None:
        tensors['canonical'] = np.asarray(bundle.canonical, np.float32)
    if bundle.pose_basis is not None:
        b = bundle.pose_basis
        manifest['pose_basis'] = {
            'joints': list(b.joints),
            'length_scale': float(b.length_scale),
            'training': int(b.training),
        }
        tensors['pose_centres'] = np.asarray(b.centres, np.float32)
        tensors['pose_regression'] = np.asarray(b.regression, np.float32)
        tensors['pose_limit'] = np.asarray(b.limit, np.float32)
        tensors['pose_values'] = np.asarray(b.values, np.int8)
        tensors['pose_scale'] = np.asarray(b.scale, np.float32)
    network: dict[str, bytes] = {}
    if bundle.network is not None:
        manifest['network'] = {'file': NETWORK, 'config': bundle.network.config.to_json()}
        network[NETWORK] = save_tensors(dict(bundle.network.tensors))
    contents = {
        MANIFEST: json.dumps(manifest, indent=1, ensure_ascii=False).encode(),
        SPLATS: _ply_bytes(g),
        TENSORS: save_tensors({k: np.ascontiguousarray(v) for k, v in tensors.items()}),
        **network,
    }
    write_files(path, contents)


def _ply_bytes(gaussians: Gaussians) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / SPLATS
        write_ply(path, gaussians)
        return path.read_bytes()
