# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Bundles read from a directory or zip, each part checked against the manifest and the others."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from avatar_ros.avatars.bundle import AXES, FORMAT, KIND, VERSIONS, WEIGHTS_PER_GAUSSIAN, Bundle
from avatar_ros.avatars.bundle_files import (
    MANIFEST,
    MAX_FILE_BYTES,
    SPLATS,
    BundleError,
    BundleFiles,
    Fields,
    Tensors,
    read_manifest,
)
from avatar_ros.avatars.expression_basis import ExpressionBasis
from avatar_ros.avatars.foreign.lam import is_lam, read_lam
from avatar_ros.avatars.head.bundle import KIND as HEAD_KIND
from avatar_ros.avatars.head.bundle import HeadBundle, read_head_bundle
from avatar_ros.avatars.network.cached import CachedNetwork
from avatar_ros.avatars.network.config import NetworkConfig
from avatar_ros.avatars.pose_basis import GROUPS, PoseBasis
from avatar_ros.body.skeletons import SKELETONS, Skeleton
from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.ply import read_ply
from avatar_ros.types import Array

MAX_GAUSSIANS = 2_000_000
MAX_EXPRESSIONS = 512
MAX_SOLE_POINTS = 10_000
MAX_COMPONENTS = 256
MAX_CENTRES = 4_096
#: A coordinate beyond this is a broken file (or one in millimetres), not a person in metres.
_MAX_METRES = 100.0


def load_any_bundle(path: str | Path) -> Bundle | HeadBundle:
    """The bundle in a directory or zip file, whatever kind of avatar it holds.

    :raises BundleError: if anything in it is missing, damaged, too large or unknown.
    """
    files = BundleFiles(Path(path))
    if is_lam(files):
        return read_lam(files)
    fields = _manifest(files)
    if fields.one_of('kind', [KIND, HEAD_KIND]) == HEAD_KIND:
        return read_head_bundle(files, fields)
    return _read_bundle(files, fields)


def is_head(path: str | Path) -> bool:
    """Whether a file holds a head without a body; False also for what cannot be read."""
    try:
        files = BundleFiles(Path(path))
        if is_lam(files):
            return True
        return _manifest(files).one_of('kind', [KIND, HEAD_KIND]) == HEAD_KIND
    except (BundleError, OSError):
        return False


def load_bundle(path: str | Path) -> Bundle:
    """The bundle of a body avatar in a directory or zip file.

    :raises BundleError: if anything in it is missing, damaged, too large or unknown, or if it is
        a head.
    """
    bundle = load_any_bundle(path)
    if not isinstance(bundle, Bundle):
        raise BundleError(f'{path}: is a head avatar; expected a body. Use load_any_bundle.')
    return bundle


def _manifest(files: BundleFiles) -> Fields:
    fields = read_manifest(files, MANIFEST, 'bundle')
    fields.one_of('format', [FORMAT], 'This is not an avatar bundle.')
    fields.version(VERSIONS, 'Update avatar_ros, or export again.')
    fields.one_of('axes', [AXES])
    fields.one_of('units', ['metre'])
    return fields


def _read_bundle(files: BundleFiles, fields: Fields) -> Bundle:
    skeleton = SKELETONS[fields.one_of('skeleton', sorted(SKELETONS))]
    gaussians = _gaussians(files, fields)
    splats = len(gaussians)
    tensors = Tensors(files, fields.inner('tensors').text('file'))

    joints = len(skeleton)
    rest_joints = tensors.take('rest_joints', (joints, 3), 'F32', limit=_MAX_METRES)
    skin_joints = tensors.take('skin_joints', (splats, WEIGHTS_PER_GAUSSIAN), 'U8')
    tensors.check_range('skin_joints', skin_joints, joints, f'joints of {skeleton.name!r}')
    skin_weights = tensors.take('skin_weights', (splats, WEIGHTS_PER_GAUSSIAN), 'F16', 'F32')
    total = skin_weights.sum(axis=1, keepdims=True)
    if np.any(skin_weights < 0) or np.any(np.abs(total - 1) > 0.02):
        raise tensors.error('skin_weights', 'weights that do not sum to one', 'rows that do')

    sole_points: Array = np.zeros((0, 3), np.float32)
    sole_joints: Array = np.zeros(0, np.uint8)
    if 'sole_points' in tensors:
        soles = tensors.length('sole_points', MAX_SOLE_POINTS)
        sole_points = tensors.take('sole_points', (soles, 3), 'F32', limit=_MAX_METRES)
        sole_joints = tensors.take('sole_joints', (soles,), 'U8')
        tensors.check_range('sole_joints', sole_joints, joints, f'joints of {skeleton.name!r}')

    return Bundle(
        name=fields.text('name'),
        licence=fields.text('licence'),
        skeleton=skeleton,
        gaussians=gaussians,
        rest_joints=rest_joints,
        skin_joints=skin_joints,
        skin_weights=skin_weights / total,
        canonical=_canonical(tensors, joints),
        pose_basis=_pose_basis(tensors, fields, skeleton, splats),
        network=_network(files, fields),
        expression=_expression(tensors, fields, splats),
        sole_points=sole_points,
        sole_joints=sole_joints,
        provenance=fields.mapping('provenance') if fields.has('provenance') else {},
    )


def _gaussians(files: BundleFiles, fields: Fields) -> Gaussians:
    """The splats, read by the reader of .ply files and checked against the manifest."""
    section = fields.inner('gaussians')
    count = section.integer('count', 1, MAX_GAUSSIANS)
    degree = section.integer('sh_degree', 0, 3)
    file = section.text('file')
    name = files.name(file)
    data = files.read(file, MAX_FILE_BYTES)
    with TemporaryDirectory() as folder:
        path = Path(folder) / SPLATS
        path.write_bytes(data)
        try:
            gaussians = read_ply(path)
        except (ValueError, OverflowError, MemoryError) as error:
            raise BundleError(str(error).replace(str(path), name)) from error
    if (len(gaussians), gaussians.sh_degree) != (count, degree):
        raise BundleError(
            f'{name}: holds {len(gaussians)} Gaussians with harmonics of degree '
            f'{gaussians.sh_degree}; {MANIFEST} promises {count} of degree {degree}. '
            'Write the bundle again.'
        )
    length = gaussians.quats.double().norm(dim=1, keepdim=True)
    if (
        float(gaussians.means.abs().max()) > _MAX_METRES
        or float(gaussians.scales.max()) > _MAX_METRES
        or not 1e-6 < float(length.min()) <= float(length.max()) < 1e6
    ):
        raise BundleError(
            f'{name}: has positions or scales beyond {_MAX_METRES:g} m, or rotations of no '
            'length. Lengths are metres and scale_* are logarithms; write the bundle again.'
        )
    return replace(gaussians, quats=(gaussians.quats / length).float())


def _expression(tensors: Tensors, fields: Fields, splats: int) -> ExpressionBasis | None:
    if not fields.has('expression'):
        return None
    face = fields.inner('expression')
    basis = face.one_of('basis', ['arkit52', 'flame'])
    names = face.names('names', MAX_EXPRESSIONS)
    moved = tensors.length('expression_index', splats)
    index = tensors.take('expression_index', (moved,), 'I32')
    tensors.check_range('expression_index', index, splats, 'Gaussians')
    if np.any(np.diff(index) <= 0):
        raise tensors.error('expression_index', 'rows out of order', 'ascending rows')
    scale = tensors.take('expression_scale', (len(names),), 'F32', limit=1.0)
    return ExpressionBasis(
        basis=basis,
        names=names,
        index=index,
        values=tensors.take('expression_values', (len(names), moved, 3), 'I8'),
        scale=scale,
        drives_jaw=face.flag('drives_jaw'),
    )


def _canonical(tensors: Tensors, joints: int) -> Array | None:
    if 'canonical' not in tensors:
        return None
    quats = tensors.take('canonical', (joints, 4), 'F32', limit=2.0)
    length = np.linalg.norm(quats, axis=1, keepdims=True)
    if np.any(np.abs(length - 1) > 0.01):
        raise tensors.error('canonical', 'rows that are no rotations', 'unit quaternions')
    return np.asarray(quats / length, np.float32)


def _pose_basis(
    tensors: Tensors, fields: Fields, skeleton: Skeleton, splats: int
) -> PoseBasis | None:
    if not fields.has('pose_basis'):
        return None
    section = fields.inner('pose_basis')
    joints = section.names('joints', len(skeleton))
    unknown = [name for name in joints if name not in skeleton.index]
    if unknown:
        raise section.error('joints', f'joints of {skeleton.name!r}, not {unknown[0]!r}')
    centres = tensors.length('pose_centres', MAX_CENTRES)
    components = tensors.length('pose_scale', MAX_COMPONENTS)
    groups = len(GROUPS)
    return PoseBasis(
        joints=joints,
        centres=tensors.take('pose_centres', (centres, len(joints), 4), 'F32', limit=2.0),
        length_scale=section.number('length_scale', 1e-3, 1e3),
        regression=tensors.take('pose_regression', (centres, components), 'F32', limit=1e9),
        limit=tensors.take('pose_limit', (components,), 'F32', limit=1e6),
        values=tensors.take('pose_values', (groups, components, splats, 3), 'I8'),
        scale=tensors.take('pose_scale', (components, groups), 'F32', limit=1e3),
        training=section.integer('training', 0, centres),
    )


def _network(files: BundleFiles, fields: Fields) -> CachedNetwork | None:
    if not fields.has('network'):
        return None
    section = fields.inner('network')
    tensors = Tensors(files, section.text('file'))
    try:
        config = NetworkConfig.from_json(section.mapping('config'))
    except ValueError as error:
        raise BundleError(f'{section.file}: {error} Write the bundle again.') from error
    return CachedNetwork(config, tensors.all_float32())
