# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What a head avatar needs of a binary glTF 2.0 file: accessors (sparse ones too) and nodes."""

import json
import struct
from typing import Any

import numpy as np

from avatar_ros.avatars.bundle_files import BundleError
from avatar_ros.types import Array

_COMPONENTS = {5120: 'i1', 5121: 'u1', 5122: '<i2', 5123: '<u2', 5125: '<u4', 5126: '<f4'}
_COUNTS = {'SCALAR': 1, 'VEC2': 2, 'VEC3': 3, 'VEC4': 4, 'MAT4': 16}
_MAX_ELEMENTS = 4_000_000


class Glb:
    """A file in memory; everything that it says is checked before it is used."""

    def __init__(self, data: bytes, name: str) -> None:
        """:raises BundleError: if it is no binary glTF file."""
        self.name = name
        try:
            magic, version, length = struct.unpack_from('<4sII', data)
            if magic != b'glTF' or version != 2 or length > len(data):
                raise ValueError('no binary glTF 2.0')
            size, kind = struct.unpack_from('<I4s', data, 12)
            if kind != b'JSON':
                raise ValueError('no JSON chunk')
            self.json: dict[str, Any] = json.loads(data[20 : 20 + size])
            at = 20 + size
            size, kind = struct.unpack_from('<I4s', data, at)
            if kind != b'BIN\0':
                raise ValueError('no binary chunk')
            self._bin = data[at + 8 : at + 8 + size]
        except (struct.error, ValueError, RecursionError) as error:
            raise BundleError(f'{name}: is no .glb file ({error}). Copy it again.') from error

    def accessor(self, index: int) -> Array:
        """The values (count, components) of an accessor.

        :raises BundleError: if it reaches beyond the file.
        """
        try:
            accessor = self.json['accessors'][index]
            kind, count = _COUNTS[accessor['type']], int(accessor['count'])
            if not 0 <= count * kind <= _MAX_ELEMENTS:
                raise ValueError(f'{count} elements')
            if 'bufferView' in accessor:
                values = self._view(accessor['bufferView'], accessor.get('byteOffset', 0),
                                    accessor['componentType'], count, kind)  # fmt: skip
            else:
                values = np.zeros((count, kind), _COMPONENTS[accessor['componentType']])
            sparse = accessor.get('sparse')
            if sparse:
                values = values.copy()
                n, where, what = int(sparse['count']), sparse['indices'], sparse['values']
                rows = self._view(where['bufferView'], where.get('byteOffset', 0),
                                  where['componentType'], n, 1)[:, 0]  # fmt: skip
                values[rows.astype(int)] = self._view(
                    what['bufferView'], what.get('byteOffset', 0), accessor['componentType'], n,
                    kind,
                )  # fmt: skip
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise BundleError(
                f'{self.name}: accessor {index} is damaged ({error!r}). Copy the file again.'
            ) from error
        return values

    def _view(self, index: int, offset: int, component: int, count: int, kind: int) -> Array:
        view = self.json['bufferViews'][index]
        dtype = np.dtype(_COMPONENTS[component])
        start = int(view.get('byteOffset', 0)) + int(offset)
        row = dtype.itemsize * kind
        stride = int(view.get('byteStride', row))
        if start < 0 or stride < row or start + stride * (count - 1) + row > len(self._bin):
            raise ValueError('reaches beyond the file')
        flat = np.frombuffer(self._bin, np.uint8)
        rows = np.lib.stride_tricks.as_strided(flat[start:], (count, row), (stride, 1))
        return np.ascontiguousarray(rows).view(dtype).reshape(count, kind)

    def rest_place(self, node: int) -> Array:
        """Where a node stands in the file's rest pose (3,), by its chain of transforms."""
        parents = {
            child: parent
            for parent, entry in enumerate(self.json.get('nodes', []))
            for child in entry.get('children', [])
        }
        T = np.eye(4)
        at: int | None = node
        for _ in range(len(parents) + 1):
            if at is None:
                break
            T = _matrix(self.json['nodes'][at]) @ T
            at = parents.get(at)
        return np.asarray(T[:3, 3])


def _matrix(node: dict[str, Any]) -> Array:
    """(4, 4) of a node: its matrix, or translation, rotation (xyzw) and scale."""
    if 'matrix' in node:
        return np.array(node['matrix'], float).reshape(4, 4).T
    x, y, z, w = node.get('rotation', (0.0, 0.0, 0.0, 1.0))
    R = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    T = np.eye(4)
    T[:3, :3] = R * np.array(node.get('scale', (1.0, 1.0, 1.0)))
    T[:3, 3] = node.get('translation', (0.0, 0.0, 0.0))
    return T
