# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The 3DGS .ply file of INRIA, read by property name and written in INRIA's order.

The file holds logit opacities, log scales and spherical harmonics whose higher coefficients
are stored channel by channel. `Gaussians` holds linear values and coefficients by degree.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import torch

from avatar_ros.gaussians.gaussians import Gaussians
from avatar_ros.gaussians.spherical_harmonics import sh0_from_rgb
from avatar_ros.types import Array

_TYPES = {
    'char': 'i1', 'int8': 'i1', 'uchar': 'u1', 'uint8': 'u1',
    'short': 'i2', 'int16': 'i2', 'ushort': 'u2', 'uint16': 'u2',
    'int': 'i4', 'int32': 'i4', 'uint': 'u4', 'uint32': 'u4',
    'float': 'f4', 'float32': 'f4', 'double': 'f8', 'float64': 'f8',
}  # fmt: skip
_BYTE_ORDER = {'binary_little_endian': '<', 'binary_big_endian': '>', 'ascii': '='}
_REQUIRED = {
    'means': ('x', 'y', 'z'),
    'dc': ('f_dc_0', 'f_dc_1', 'f_dc_2'),
    'opacities': ('opacity',),
    'scales': ('scale_0', 'scale_1', 'scale_2'),
    'quats': ('rot_0', 'rot_1', 'rot_2', 'rot_3'),
}
#: Number of f_rest properties -> degree.
_DEGREES = {0: 0, 9: 1, 24: 2, 45: 3}
_HEADER_BYTES = 1 << 20
#: A count above this is a damaged header: 2^31 vertices would be half a terabyte.
_COUNT_MAX = 1 << 31
#: Written logits and logs stay finite.
_OPACITY_MARGIN = 1e-6
_SCALE_MIN = 1e-12


@dataclass(frozen=True)
class _Header:
    format: str
    count: int
    dtype: np.dtype[np.void]


def read_ply(
    path: str | Path, *, rest_order: Literal['channel', 'coefficient'] = 'channel'
) -> Gaussians:
    """Gaussians of a 3DGS .ply file, float32, with spherical harmonics of degree 0 to 3.

    Binary of either byte order or ascii; properties in any order and of any type, further
    ones are skipped. Axes and units stay as they are in the file.

    :param rest_order: how f_rest is laid out. INRIA, gsplat and nearly everybody store all of
        red, then green, then blue ('channel'); LHM stores RGB triples ('coefficient'). The
        file does not tell.
    :raises ValueError: if the file is damaged or is not a 3DGS .ply file.
    """
    path = Path(path)
    if rest_order not in ('channel', 'coefficient'):
        raise ValueError(f"rest_order is {rest_order!r}; expected 'channel' or 'coefficient'.")
    with path.open('rb') as file:
        header = _read_header(file, path)
        table = _read_table(file, header, path)

    columns = {name: _stack(table, names) for name, names in _REQUIRED.items()}
    rest_count = sum(name.startswith('f_rest_') for name in table.dtype.names or ())
    rest = _stack(table, tuple(f'f_rest_{k}' for k in range(rest_count)))
    for name, values in {**columns, 'f_rest': rest}.items():
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            bad = values[row][~np.isfinite(values[row])][0]
            raise ValueError(
                f'{path}: {name} of vertex {row} is {bad}; expected finite numbers. The training '
                'that wrote the file diverged there: remove these vertices.'
            )
    degree = _DEGREES[rest_count]
    n = header.count
    terms = (degree + 1) ** 2 - 1
    if rest_order == 'channel':
        rest = rest.reshape(n, 3, terms).transpose(0, 2, 1)
    else:
        rest = rest.reshape(n, terms, 3)
    colors = np.concatenate([columns['dc'][:, None], rest], axis=1)
    return Gaussians(
        means=torch.from_numpy(columns['means']),
        quats=torch.from_numpy(columns['quats']),
        scales=torch.from_numpy(columns['scales']).exp(),
        opacities=torch.from_numpy(columns['opacities'][:, 0]).sigmoid(),
        colors=torch.from_numpy(colors),
        sh_degree=degree,
    )


def read_property(path: str | Path, name: str) -> Array:
    """One more property of the vertices (N,), such as GaussianAvatars' ``binding_0``.

    :raises ValueError: if the file is damaged or does not have it.
    """
    path = Path(path)
    with path.open('rb') as file:
        table = _read_table(file, _read_header(file, path), path)
    if name not in (table.dtype.names or ()):
        raise ValueError(f'{path}: has no property {name!r}; expected one for each vertex.')
    return np.asarray(table[name])


def write_ply(path: str | Path, gaussians: Gaussians) -> None:
    """Write the file that INRIA's trainer writes: little endian, normals zero.

    RGB colours become spherical harmonics of degree 0. Opacities are limited to
    1e-6..1 - 1e-6, because the file holds their logits.

    :raises ValueError: for Gaussians with several colour sets, which the format cannot hold.
    """
    n = len(gaussians)
    colors = gaussians.colors.detach().cpu().double().numpy()
    if gaussians.sh_degree is None:
        if colors.ndim == 3:
            raise ValueError(
                f'{path}: Gaussians carry {len(colors)} colour sets, one a camera; the .ply format '
                'holds one. Choose one: dataclasses.replace(gaussians, colors=colors[0]).'
            )
        colors = sh0_from_rgb(colors)[:, None]
    alphas = gaussians.opacities.detach().cpu().double().numpy()
    alphas = np.clip(alphas, _OPACITY_MARGIN, 1 - _OPACITY_MARGIN)
    rest = colors[:, 1:].transpose(0, 2, 1).reshape(n, 3 * (colors.shape[1] - 1))
    blocks = [
        gaussians.means.detach().cpu().numpy(),
        np.zeros((n, 3)),
        colors[:, 0],
        rest,
        np.log(alphas / (1 - alphas))[:, None],
        np.log(np.maximum(np.abs(gaussians.scales.detach().cpu().double().numpy()), _SCALE_MIN)),
        gaussians.quats.detach().cpu().numpy(),
    ]
    names = [
        *_REQUIRED['means'], 'nx', 'ny', 'nz', *_REQUIRED['dc'],
        *(f'f_rest_{k}' for k in range(rest.shape[1])),
        *_REQUIRED['opacities'], *_REQUIRED['scales'], *_REQUIRED['quats'],
    ]  # fmt: skip
    lines = ['ply', 'format binary_little_endian 1.0', f'element vertex {n}']
    lines += [f'property float {name}' for name in names] + ['end_header', '']
    with Path(path).open('wb') as file:
        file.write('\n'.join(lines).encode('ascii'))
        file.write(np.concatenate(blocks, axis=1).astype('<f4').tobytes())


def _read_header(file: BinaryIO, path: Path) -> _Header:
    """The header, with the file left at the first vertex."""
    first = file.readline(8).rstrip()
    if first != b'ply':
        raise ValueError(
            f"{path}: starts with {first!r}; a .ply file starts with b'ply'. Is it a .spz, .splat "
            'or .zip, or a Git LFS pointer?'
        )
    format_, count, properties = '', -1, list[tuple[str, str]]()
    in_vertex = seen_other = False
    while True:
        raw = file.readline(4096)
        if not raw or file.tell() > _HEADER_BYTES:
            raise ValueError(
                f'{path}: the header has no end_header; the file is cut off or is not a .ply.'
            )
        words = raw.decode('ascii', 'replace').split()
        if words == ['end_header']:
            break
        if words[:1] == ['format'] and len(words) > 1:
            format_ = words[1]
        elif words[:1] == ['element'] and len(words) == 3:
            in_vertex = words[1] == 'vertex'
            if in_vertex:
                count = _vertex_count(words[2], path)
                if seen_other:
                    raise ValueError(
                        f'{path}: an element stands before the vertices; expected vertices first. '
                        'Write the file again with a splat tool.'
                    )
            seen_other = not in_vertex
        elif words[:1] == ['property'] and in_vertex:
            if len(words) != 3 or words[1] not in _TYPES:
                raise ValueError(
                    f'{path}: cannot read vertex property {" ".join(words[1:])!r}; expected a '
                    f'name with one of the types {", ".join(_TYPES)}.'
                )
            properties.append((words[2], words[1]))
    if format_ not in _BYTE_ORDER:
        raise ValueError(
            f'{path}: format is {format_!r}; expected one of {", ".join(_BYTE_ORDER)}.'
        )
    if count < 0:
        raise ValueError(f'{path}: the header has no "element vertex"; this is no point cloud.')
    _check_properties([name for name, _ in properties], path)
    order = _BYTE_ORDER[format_]
    return _Header(format_, count, np.dtype([(n, order + _TYPES[t]) for n, t in properties]))


def _vertex_count(word: str, path: Path) -> int:
    if not word.isdigit() or int(word) > _COUNT_MAX:
        raise ValueError(
            f'{path}: the header promises {word} vertices; expected a count up to {_COUNT_MAX}. '
            'The header is damaged.'
        )
    return int(word)


def _check_properties(names: list[str], path: Path) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'{path}: vertex property {twice!r} stands in the header twice.')
    missing = [name for group in _REQUIRED.values() for name in group if name not in names]
    if missing:
        raise ValueError(
            f'{path}: vertex properties {", ".join(missing)} are missing; found '
            f'{", ".join(names) or "none"}. This is a .ply file, but not one of 3D Gaussians: '
            'export it from a Gaussian splatting tool as uncompressed 3DGS .ply.'
        )
    rest = [name for name in names if name.startswith('f_rest_')]
    if len(rest) not in _DEGREES or any(f'f_rest_{k}' not in rest for k in range(len(rest))):
        raise ValueError(
            f'{path}: has {len(rest)} f_rest properties; expected f_rest_0.. with 0, 9, 24 or 45 '
            'of them, for spherical harmonics of degree 0, 1, 2 or 3.'
        )


def _read_table(file: BinaryIO, header: _Header, path: Path) -> Array:
    """The vertices as a structured array."""
    if header.format == 'ascii':
        return _read_ascii(file, header, path)
    start = file.tell()
    found = file.seek(0, 2) - start
    expected = header.count * header.dtype.itemsize
    # Before anything of that size is allocated.
    if found < expected:
        raise ValueError(
            f'{path}: {found} bytes of vertices found; {header.count} vertices of '
            f'{header.dtype.itemsize} bytes need {expected}. The file is cut off: copy or '
            'download it again.'
        )
    file.seek(start)
    return np.frombuffer(file.read(expected), header.dtype)


def _read_ascii(file: BinaryIO, header: _Header, path: Path) -> Array:
    width = len(header.dtype.names or ())
    # Whatever follows the vertices belongs to other elements.
    numbers = file.read().split()[: header.count * width]
    if len(numbers) < header.count * width:
        raise ValueError(
            f'{path}: {len(numbers)} numbers found; {header.count} vertices of {width} properties '
            f'need {header.count * width}. The file is cut off: copy or download it again.'
        )
    try:
        values = np.array([float(number) for number in numbers]).reshape(-1, width)
    except ValueError as error:
        raise ValueError(f'{path}: {error}; expected numbers after the header.') from error
    table = np.empty(header.count, [(name, 'f8') for name in header.dtype.names or ()])
    for k, name in enumerate(table.dtype.names or ()):
        table[name] = values[:, k]
    return table


def _stack(table: Array, names: tuple[str, ...]) -> Array:
    columns = [table[name].astype(np.float32) for name in names]
    return np.stack(columns, axis=1) if columns else np.zeros((len(table), 0), np.float32)
