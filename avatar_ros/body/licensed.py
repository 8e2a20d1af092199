# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Raw arrays of SMPL-family files (``.npz``, ``.pkl``) as their licensors hand them out.

The pickles hold chumpy arrays and scipy matrices of a decade ago. A pickle can run any program,
so only a short list of constructors is let through, and neither chumpy nor scipy is imported.
"""

import io
import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avatar_ros.types import Array

MAX_BYTES = 2 << 30
_CONVERT = 'Get the model from its licensor again, or convert it to .npz on a machine you trust.'


class BodyModelError(ValueError):
    """A body model file that cannot be used: says which file, what is wrong, what to do."""


def read_model_file(path: str | Path) -> dict[str, Array]:
    """Every numeric or text array of a body model file, by name. Runs nothing of the file.

    :raises BodyModelError: if the file is missing, damaged, or holds anything but data.
    """
    path = Path(path)
    if not path.is_file():
        raise BodyModelError(
            f'{path}: no such body model. SMPL-family models are downloaded from their '
            'licensors; avatar_ros.body.model.free_body() gives a free one.'
        )
    if path.stat().st_size > MAX_BYTES:
        raise BodyModelError(f'{path}: has {path.stat().st_size} bytes; at most {MAX_BYTES} fit.')
    if path.suffix == '.npz':
        return _read_npz(path)
    if path.suffix == '.pkl':
        return _read_pickle(path)
    raise BodyModelError(f'{path}: is a {path.suffix or "nameless"} file; expected .npz or .pkl.')


def _read_npz(path: Path) -> dict[str, Array]:
    result = {}
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
        if declared > MAX_BYTES:
            raise BodyModelError(f'{path}: unpacks to {declared} bytes; at most {MAX_BYTES} fit.')
        with np.load(path, allow_pickle=False) as data:
            for name in data.files:
                try:
                    result[name] = np.asarray(data[name])
                except ValueError as error:
                    # `joint2num` and the like are dictionaries; nothing here needs them.
                    if 'allow_pickle' not in str(error):
                        raise
    except BodyModelError:
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise BodyModelError(
            f'{path}: is not a readable .npz file ({error}). {_CONVERT}'
        ) from error
    return result


def _read_pickle(path: Path) -> dict[str, Array]:
    try:
        data = _Reader(io.BytesIO(path.read_bytes()), encoding='latin1').load()
    except BodyModelError as error:
        raise BodyModelError(f'{path}: {error}') from error
    except Exception as error:  # a damaged pickle can raise anything
        raise BodyModelError(f'{path}: is not a readable pickle ({error}). {_CONVERT}') from error
    if not isinstance(data, Mapping):
        raise BodyModelError(f'{path}: holds a {type(data).__name__}; expected a dictionary.')
    result = {}
    for name, value in data.items():
        try:
            array = _as_array(value)
        except (ValueError, LookupError, TypeError, OverflowError, MemoryError) as error:
            raise BodyModelError(f'{path}: {name!r} is damaged ({error}). {_CONVERT}') from error
        if array is not None and array.dtype.kind in 'biufSU':
            result[str(name)] = array
    return result


class _Chumpy:
    """What remains of a ``chumpy.Ch``: its array."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.state = state

    def array(self) -> Any:
        if 'a' in self.state and 'idxs' in self.state:  # chumpy.reordering.Select
            chosen = _as_array(self.state['a'])
            rows = _as_array(self.state['idxs'])
            if chosen is None or rows is None:
                return None
            picked = chosen.ravel()[rows.astype(np.int64).ravel()]
            shape = self.state.get('preferred_shape')
            return picked.reshape(shape) if shape is not None else picked
        return self.state.get('x')


class _Sparse:
    """What remains of a ``scipy.sparse`` matrix."""

    by_column = True

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.state = state

    def array(self) -> Array:
        shape = tuple(int(n) for n in self.state.get('_shape', self.state.get('shape', ())))
        data, indices, starts = (np.asarray(self.state[k]) for k in ('data', 'indices', 'indptr'))
        if len(shape) != 2 or min(shape) < 0 or shape[0] * shape[1] * 8 > MAX_BYTES:
            raise ValueError(f'a matrix of shape {shape}')
        lines = shape[1] if self.by_column else shape[0]
        dense = np.zeros(shape, data.dtype)
        line = np.repeat(np.arange(lines), np.diff(starts))
        at = (indices, line) if self.by_column else (line, indices)
        np.add.at(dense, at, data)
        return dense


class _SparseRows(_Sparse):
    by_column = False


def _as_array(value: Any) -> Array | None:
    """The value as an array, or None if it is not one."""
    for _ in range(8):  # a chumpy array may hold another
        if not isinstance(value, (_Chumpy, _Sparse)):
            break
        value = value.array()
    if isinstance(value, (np.ndarray, np.generic, int, float, bool, str, list, tuple)):
        try:
            return np.asarray(value)
        except ValueError:
            return None
    return None


def _rebuild(kind: type, base: type, state: Any) -> Any:
    """`copyreg._reconstructor`, for our own stand-ins only."""
    if kind not in (_Chumpy, _Sparse, _SparseRows):
        raise BodyModelError(f'rebuilds a {kind.__name__}; expected arrays only. {_CONVERT}')
    return kind()


def _encode(text: Any, encoding: Any = 'latin1') -> bytes:
    """How Python 3 writes bytes into an old pickle."""
    if not isinstance(text, str) or encoding not in ('latin1', 'latin-1'):
        raise BodyModelError(f'encodes text as {encoding!r}; expected latin1. {_CONVERT}')
    return text.encode('latin1')


def _scalar(kind: Any, data: Any = None) -> Any:
    if not isinstance(kind, np.dtype) or kind.hasobject or not isinstance(data, (bytes, str)):
        raise BodyModelError(f'holds a scalar of type {kind!r}; expected a number. {_CONVERT}')
    raw = data if isinstance(data, bytes) else data.encode('latin1')
    return np.frombuffer(raw, kind)[0]


def _empty_array(kind: Any = None, shape: Any = None, code: Any = None) -> Array:
    """`numpy._reconstruct`: an empty array that its state is then set on."""
    return np.ndarray((0,), 'b')


def _allowed() -> dict[tuple[str, str], Callable[..., Any]]:
    table: dict[tuple[str, str], Callable[..., Any]] = {
        ('collections', 'OrderedDict'): OrderedDict,
        ('numpy', 'ndarray'): np.ndarray,
        ('numpy', 'dtype'): np.dtype,
        ('_codecs', 'encode'): _encode,
        ('chumpy.ch', 'Ch'): _Chumpy,
        ('chumpy', 'Ch'): _Chumpy,
        ('chumpy.reordering', 'Select'): _Chumpy,
    }
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        table[module, '_reconstruct'] = _empty_array
        table[module, 'scalar'] = _scalar
    for module in ('copy_reg', 'copyreg'):
        table[module, '_reconstructor'] = _rebuild
    for module in ('builtins', '__builtin__'):
        for kind in (object, int, float, complex, bool, str, bytes, list, tuple, dict, set):
            table[module, kind.__name__] = kind
    table['__builtin__', 'unicode'] = str
    table['__builtin__', 'long'] = int
    for name, stand_in in (('csc', _Sparse), ('csr', _SparseRows)):
        for module in (f'scipy.sparse.{name}', f'scipy.sparse._{name}', 'scipy.sparse'):
            table[module, f'{name}_matrix'] = stand_in
            table[module, f'{name}_array'] = stand_in
    return table


class _Reader(pickle.Unpickler):
    """An unpickler that knows arrays and refuses everything else, by name."""

    _table = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._table:
            raise BodyModelError(
                f'wants to run {module}.{name}, which a body model has no use for; expected '
                f'numpy, scipy.sparse and chumpy arrays. The file may be malicious. {_CONVERT}'
            )
        return self._table[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise BodyModelError(f'refers to an outside object {pid!r}. {_CONVERT}')
