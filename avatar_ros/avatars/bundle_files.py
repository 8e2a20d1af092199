# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Reading the files of a bundle: everything is checked, bounded and never unpickled."""

import json
import stat
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from avatar_ros.types import Array

MANIFEST, SPLATS, TENSORS = 'avatar.json', 'gaussians.ply', 'avatar.safetensors'
NETWORK = 'network.safetensors'

MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = 512 << 20
MAX_ZIP_BYTES = 1 << 30
_MAX_ZIP_ENTRIES = 1000

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


class BundleFiles:
    """The files of a bundle, read whole into memory, never more than allowed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise BundleError(f'{path}: no such avatar bundle. Give a directory or a .zip file.')

    def name(self, file: str) -> str:
        """How errors call the file."""
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


class Fields:
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

    def version(self, allowed: Sequence[int], remedy: str) -> int:
        """The field ``version``, one of those that are read."""
        value = self._values.get('version')
        if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
            raise self.error('version', ' or '.join(map(str, allowed)), remedy)
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

    def number(self, field: str, low: float, high: float) -> float:
        """A number of the range."""
        value = self._values.get(field)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits or not low <= float(value or 0) <= high:
            raise self.error(field, f'a number {low:g}..{high:g}')
        return float(value or 0)

    def one_of(self, field: str, allowed: list[str], remedy: str = 'Update avatar_ros.') -> str:
        value = self._values.get(field)
        if value not in allowed:
            raise self.error(field, ' or '.join(map(repr, allowed)), remedy)
        return str(value)

    def mapping(self, field: str) -> Mapping[str, Any]:
        return dict(self._get(field, dict, 'an object'))

    def inner(self, field: str) -> 'Fields':
        return Fields(f'{self.file}: {field}', self.mapping(field))

    def names(self, field: str, limit: int) -> tuple[str, ...]:
        value = self._get(field, list, 'a list of names')
        if (
            not 0 < len(value) <= limit
            or not all(isinstance(name, str) for name in value)
            or len(set(value)) != len(value)
        ):
            raise self.error(field, f'1..{limit} different names')
        return tuple(value)


def read_manifest(files: BundleFiles, file: str, what: str) -> Fields:
    """The fields of a JSON manifest; errors call its owner `what`.

    :raises BundleError: if it is missing or no JSON object.
    """
    name = files.name(file)
    try:
        manifest = json.loads(files.read(file, MAX_MANIFEST_BYTES))
    except BundleError:
        raise
    except (ValueError, RecursionError) as error:
        raise BundleError(f'{name}: is not JSON ({error}). Copy the {what} again.') from error
    if not isinstance(manifest, dict):
        raise BundleError(f'{name}: holds a {type(manifest).__name__}; expected an object.')
    return Fields(name, manifest)


_DTYPES = {
    'F32': np.dtype(np.float32),
    'F16': np.dtype(np.float16),
    'U8': np.dtype(np.uint8),
    'I8': np.dtype(np.int8),
    'I32': np.dtype(np.int32),
}


class Tensors:
    """The safetensors file; its size bounds every tensor, for the format is not compressed."""

    def __init__(self, files: BundleFiles, file: str) -> None:
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

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every tensor."""
        return {name: tuple(values.shape) for name, values in self._tensors.items()}

    def all_float32(self) -> dict[str, Array]:
        """Every tensor, all of which must be finite float32."""
        return {
            name: self.take(name, values.shape, 'F32').reshape(values.shape)
            for name, values in self._tensors.items()
        }

    def check_range(self, name: str, values: Array, end: int, of: str) -> None:
        if values.size and (values.min() < 0 or values.max() >= end):
            raise self.error(name, f'an index of {int(values.max())}', f'0..{end - 1} ({of})')


def write_files(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write the files: a zip if the path ends with ``.zip``, otherwise a directory.

    The same contents always give the same bytes.
    """
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
