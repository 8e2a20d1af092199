# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The avatar bundle: one directory or zip that can be played without the code that trained it.

::

    avatar.json         what it is: format, version, skeleton, licence, provenance
    gaussians.ply       the Gaussians of the T-pose, in the layout of 3D Gaussian Splatting
    avatar.safetensors  joints, skinning weights, expression basis

Nothing in it is ever unpickled or extracted, and every size is bounded before it is read.
"""

import json
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from avatar_ros.body.skeletons import SKELETONS, Skeleton
from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.ply import read_ply, write_ply
from avatar_ros.types import Array

FORMAT = 'avatar_ros.bundle'
VERSION = 1
KIND = 'skinned_gaussians'
AXES = 'x left, y up, z forward'
MANIFEST, SPLATS, TENSORS = 'avatar.json', 'gaussians.ply', 'avatar.safetensors'
#: Skinning weights a Gaussian has.
WEIGHTS_PER_GAUSSIAN = 4

MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = 512 << 20
MAX_ZIP_BYTES = 1 << 30
MAX_GAUSSIANS = 2_000_000
MAX_EXPRESSIONS = 512
MAX_SOLE_POINTS = 10_000
_MAX_ZIP_ENTRIES = 1000
#: A coordinate beyond this is a broken file (or one in millimetres), not a person in metres.
_MAX_METRES = 100.0

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # encrypted
    NotImplementedError,  # unknown compression
    ValueError,
    LookupError,
)


class BundleError(ValueError):
    """A bundle that cannot be used: says which file, which field, and what to do."""


@dataclass(frozen=True)
class ExpressionBasis:
    """How far each weight of 1 moves some of the Gaussians, as 8-bit steps."""

    basis: str
    """``arkit52`` or ``flame``."""
    names: tuple[str, ...]
    index: Array
    """Rows (M,) int32 of the Gaussians that move, ascending."""
    values: Array
    """(K, M, 3) int8; times `scale` it is metres in the T-pose."""
    scale: Array
    """(K,) float32: metres of one step."""
    drives_jaw: bool = True
    """Whether the basis opens the jaw itself, so that the jaw joint must stay at rest."""

    def offsets(self, weights: Array) -> Array:
        """Metres (M, 3) by which the weights (K,) move the Gaussians of `index`."""
        steps = np.asarray(weights, np.float32) * self.scale
        return np.asarray(np.einsum('k,kmc->mc', steps, self.values.astype(np.float32)))


@dataclass(frozen=True)
class Bundle:
    """Everything that is needed to play an avatar."""

    name: str
    licence: str
    skeleton: Skeleton
    gaussians: Gaussians
    """In the T-pose, axes `AXES`, metres; colours are spherical harmonics (N, K, 3)."""
    rest_joints: Array
    """Joints (J, 3) float32 of the T-pose."""
    skin_joints: Array
    """Joints (N, 4) uint8 that carry each Gaussian."""
    skin_weights: Array
    """(N, 4) float32; a row sums to one."""
    expression: ExpressionBasis | None = None
    sole_points: Array = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    """Points (S, 3) float32 under the feet in the T-pose, to stand the avatar on a floor."""
    sole_joints: Array = field(default_factory=lambda: np.zeros(0, np.uint8))
    """Joint (S,) uint8 that carries each of them."""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.gaussians)


def load_bundle(path: str | Path) -> Bundle:
    """The bundle in a directory or zip file.

    :raises BundleError: if anything in it is missing, damaged, too large or unknown.
    """
    files = _Files(Path(path))
    manifest = _manifest(files)
    fields = _Fields(files.name(MANIFEST), manifest)
    skeleton = SKELETONS[fields.one_of('skeleton', sorted(SKELETONS))]
    gaussians = _gaussians(files, fields)
    splats = len(gaussians)
    tensors = _Tensors(files, fields)

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
        expression=_expression(tensors, fields, splats),
        sole_points=sole_points,
        sole_joints=sole_joints,
        provenance=fields.mapping('provenance') if fields.has('provenance') else {},
    )


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
        'version': VERSION,
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
    contents = {
        MANIFEST: json.dumps(manifest, indent=1, ensure_ascii=False).encode(),
        SPLATS: _ply_bytes(g),
        TENSORS: save_tensors({k: np.ascontiguousarray(v) for k, v in tensors.items()}),
    }
    if path.suffix != '.zip':
        path.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            (path / name).write_bytes(data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in contents.items():
            info = zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data)


class _Files:
    """The files of a bundle, read whole into memory, never more than allowed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise BundleError(f'{path}: no such avatar bundle. Give a directory or a .zip file.')

    def name(self, file: str) -> str:
        return f'{self.path}/{file}' if file else str(self.path)

    def read(self, file: str, limit: int) -> bytes:
        """Contents of the named file.

        :raises BundleError: if it is missing, damaged, or longer than the limit.
        """
        if Path(file).name != file or file in ('', '.', '..') or '\\' in file or '\0' in file:
            raise BundleError(
                f'{self.path}: names the file {file!r}; expected a plain file name beside '
                f'{MANIFEST}. The bundle may be malicious: do not use it.'
            )
        try:
            data = (
                self._read_directory(file, limit)
                if self.path.is_dir()
                else self._read_zip(file, limit)
            )
        except BundleError:
            raise
        except _ZIP_ERRORS as error:
            raise BundleError(
                f'{self.name(file)}: cannot be read ({error}). Copy the bundle again.'
            ) from error
        if len(data) > limit:
            raise self._too_large(file, f'more than {limit}', limit)
        return data

    def _too_large(self, file: str, size: str, limit: int) -> BundleError:
        return BundleError(
            f'{self.name(file)}: has {size} bytes; at most {limit} are read. '
            'Use fewer Gaussians, or do not trust this file.'
        )

    def _missing(self, file: str) -> BundleError:
        return BundleError(
            f'{self.path}: has no {file}; expected an avatar bundle with {MANIFEST}, {SPLATS} '
            f'and {TENSORS}. Is this an avatar of another program?'
        )

    def _read_directory(self, file: str, limit: int) -> bytes:
        path = self.path / file
        if path.is_symlink() or not path.is_file():
            raise self._missing(file)
        size = path.stat().st_size
        if size > limit:
            raise self._too_large(file, str(size), limit)
        return path.read_bytes()

    def _read_zip(self, file: str, limit: int) -> bytes:
        if self.path.stat().st_size > MAX_ZIP_BYTES:
            raise self._too_large('', str(self.path.stat().st_size), MAX_ZIP_BYTES)
        with zipfile.ZipFile(self.path) as archive:
            entries = archive.infolist()
            if len(entries) > _MAX_ZIP_ENTRIES:
                raise BundleError(f'{self.path}: has {len(entries)} entries; expected about 3.')
            found = [entry for entry in entries if entry.filename == file]
            if len(found) != 1:
                if found:
                    raise BundleError(f'{self.path}: has {file} {len(found)} times; expected once.')
                raise self._missing(file)
            if found[0].file_size > limit:
                raise self._too_large(file, str(found[0].file_size), limit)
            with archive.open(found[0]) as stream:
                return stream.read(limit + 1)


class _Fields:
    """Checked access to the fields of a JSON object."""

    def __init__(self, file: str, values: Mapping[str, Any]) -> None:
        self.file, self._values = file, values

    def error(
        self, field: str, expected: str, remedy: str = 'Write the bundle again.'
    ) -> Exception:
        found = repr(self._values[field])[:80] if field in self._values else 'nothing'
        return BundleError(f'{self.file}: {field!r} is {found}; expected {expected}. {remedy}')

    def _get(self, field: str, kind: type, expected: str) -> Any:
        value = self._values.get(field)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(field, expected)
        return value

    def has(self, field: str) -> bool:
        return self._values.get(field) is not None

    def text(self, field: str) -> str:
        return str(self._get(field, str, 'a string'))

    def flag(self, field: str) -> bool:
        return bool(self._get(field, bool, 'true or false'))

    def integer(self, field: str, low: int, high: int) -> int:
        value = int(self._get(field, int, f'an integer {low}..{high}'))
        if not low <= value <= high:
            raise self.error(field, f'an integer {low}..{high}')
        return value

    def one_of(self, field: str, allowed: list[str], remedy: str = 'Update avatar_ros.') -> str:
        value = self._values.get(field)
        if value not in allowed:
            raise self.error(field, ' or '.join(map(repr, allowed)), remedy)
        return str(value)

    def mapping(self, field: str) -> Mapping[str, Any]:
        return dict(self._get(field, dict, 'an object'))

    def inner(self, field: str) -> '_Fields':
        return _Fields(f'{self.file}: {field}', self.mapping(field))

    def names(self, field: str, limit: int) -> tuple[str, ...]:
        value = self._get(field, list, 'a list of names')
        if (
            not 0 < len(value) <= limit
            or not all(isinstance(name, str) for name in value)
            or len(set(value)) != len(value)
        ):
            raise self.error(field, f'1..{limit} different names')
        return tuple(value)


def _manifest(files: _Files) -> Mapping[str, Any]:
    name = files.name(MANIFEST)
    try:
        manifest = json.loads(files.read(MANIFEST, MAX_MANIFEST_BYTES))
    except BundleError:
        raise
    except (ValueError, RecursionError) as error:
        raise BundleError(f'{name}: is not JSON ({error}). Copy the bundle again.') from error
    if not isinstance(manifest, dict):
        raise BundleError(f'{name}: holds a {type(manifest).__name__}; expected an object.')
    fields = _Fields(name, manifest)
    fields.one_of('format', [FORMAT], 'This is not an avatar bundle.')
    version = manifest.get('version')
    if version != VERSION or isinstance(version, bool):
        raise fields.error('version', str(VERSION), 'Update avatar_ros, or export again.')
    fields.one_of('kind', [KIND])
    fields.one_of('axes', [AXES])
    fields.one_of('units', ['metre'])
    return manifest


_DTYPES = {
    'F32': np.dtype(np.float32),
    'F16': np.dtype(np.float16),
    'U8': np.dtype(np.uint8),
    'I8': np.dtype(np.int8),
    'I32': np.dtype(np.int32),
}


class _Tensors:
    """The safetensors file; its size bounds every tensor, for the format is not compressed."""

    def __init__(self, files: _Files, fields: _Fields) -> None:
        file = fields.inner('tensors').text('file')
        self.file = files.name(file)
        try:
            self._tensors = load_tensors(files.read(file, MAX_FILE_BYTES))
        except BundleError:
            raise
        except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(
                f'{self.file}: is not a safetensors file ({error}). Copy the bundle again.'
            ) from error

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def error(self, name: str, found: str, expected: str) -> BundleError:
        return BundleError(
            f'{self.file}: tensor {name!r} has {found}; expected {expected}. '
            'Write the bundle again.'
        )

    def _get(self, name: str) -> Array:
        if name not in self._tensors:
            raise BundleError(f'{self.file}: has no tensor {name!r}. Write the bundle again.')
        return np.asarray(self._tensors[name])

    def length(self, name: str, limit: int) -> int:
        tensor = self._get(name)
        if tensor.ndim < 1 or not 0 < len(tensor) <= limit:
            raise self.error(name, f'shape {tensor.shape}', f'1..{limit} rows')
        return len(tensor)

    def take(self, name: str, shape: tuple[int, ...], *kinds: str, limit: float = np.inf) -> Array:
        """The tensor, checked; floating-point ones come back as float32."""
        tensor = self._get(name)
        if tensor.shape != shape:
            raise self.error(name, f'shape {tensor.shape}', str(shape))
        if tensor.dtype not in [_DTYPES[kind] for kind in kinds]:
            raise self.error(name, f'type {tensor.dtype}', ' or '.join(kinds))
        if tensor.dtype.kind == 'f':
            tensor = tensor.astype(np.float32)
            if not np.all(np.abs(tensor) <= min(limit, 3e38)):
                raise self.error(name, 'values that are not finite or huge', f'at most {limit}')
        return np.ascontiguousarray(tensor)

    def check_range(self, name: str, values: Array, end: int, of: str) -> None:
        if values.size and (values.min() < 0 or values.max() >= end):
            raise self.error(name, f'an index of {int(values.max())}', f'0..{end - 1} ({of})')


def _expression(tensors: _Tensors, fields: _Fields, splats: int) -> ExpressionBasis | None:
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


def _ply_bytes(gaussians: Gaussians) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / SPLATS
        write_ply(path, gaussians)
        return path.read_bytes()


def _gaussians(files: _Files, fields: _Fields) -> Gaussians:
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
