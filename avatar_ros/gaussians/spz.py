# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Niantic's .spz: Gaussians in fixed point behind gzip, far smaller than a .ply.

Versions 2 (read) and 3 (read, written) of https://github.com/nianticlabs/spz: 16 bytes of header,
then all positions (24 bits, 12 of them fraction), opacities, colours, log scales, rotations,
spherical harmonics. Its axes are x right, y up, z back; ours in a .ply are x right, y down, z
forward, so y and z change sign. Degrees of harmonics up to 3.
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from avatar_ros.gaussians.gaussians import Gaussians
from avatar_ros.gaussians.spherical_harmonics import sh0_from_rgb
from avatar_ros.types import Array

_HEADER = struct.Struct('<IIIBBBB')
_MAGIC = 0x5053474E  # NGSP
_FRACTION_BITS = 12
_COLOR_SCALE = 0.15
_SCALE_MIN = 1e-12
_COUNT_MAX = 1 << 26
_FLIP = np.array([1.0, -1.0, -1.0])
#: Half a turn about x: signs of the harmonics of degree 1 to 3, those that are odd in y z.
_FLIP_SH = np.array([-1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1.0])


def write_spz(path: str | Path, gaussians: Gaussians) -> None:
    """Write version 3. Positions to 1/4096 m, scales to 3 %, opacities and colours to 8 bits.

    :raises ValueError: for several colour sets, and for centres further than 2048 m away.
    """
    colors = _numpy(gaussians.colors)
    if gaussians.sh_degree is None:
        if colors.ndim != 2 or colors.shape[-1] != 3:
            raise ValueError(
                f'{path}: colours are {colors.shape}; .spz holds one RGB set or harmonics. '
                'Choose one: dataclasses.replace(gaussians, colors=colors[0]).'
            )
        colors = sh0_from_rgb(colors)[:, None]
    fixed = np.rint(_numpy(gaussians.means) * _FLIP * (1 << _FRACTION_BITS))
    if not (np.abs(fixed) < 1 << 23).all():
        raise ValueError(f'{path}: a centre is NaN or 2048 m away or further; .spz ends there.')
    scales = np.log(np.maximum(np.abs(_numpy(gaussians.scales)), _SCALE_MIN))
    rest = colors[:, 1:] * _FLIP_SH[: colors.shape[1] - 1, None]
    blocks = [
        fixed.astype('<i4').view(np.uint8).reshape(-1, 4)[:, :3],
        _bytes(_numpy(gaussians.opacities) * 255),
        _bytes(colors[:, 0] * (_COLOR_SCALE * 255) + 127.5),
        _bytes((scales + 10) * 16),
        _pack_quats(_numpy(gaussians.quats)),
        _bytes(rest * 128 + 128),
    ]
    degree = gaussians.sh_degree or 0
    header = _HEADER.pack(_MAGIC, 3, len(gaussians), degree, _FRACTION_BITS, 0, 0)
    raw = header + b''.join(np.ascontiguousarray(b).tobytes() for b in blocks)
    Path(path).write_bytes(gzip.compress(raw, mtime=0))


def read_spz(path: str | Path) -> Gaussians:
    """Gaussians of a .spz file of version 2 or 3, float32, in the axes of a .ply.

    :raises ValueError: if the file is damaged, or of another version.
    """
    path = Path(path)
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f'{path}: {error}; expected gzip, as in .spz of version 2 and 3. Version 4 (zstd) is '
            'not read: write version 3.'
        ) from error
    if len(raw) < _HEADER.size:
        raise ValueError(f'{path}: {len(raw)} bytes inside; the header alone has {_HEADER.size}.')
    magic, version, n, degree, fraction_bits, _, _ = _HEADER.unpack_from(raw)
    if magic != _MAGIC or version not in (2, 3) or degree > 3 or n > _COUNT_MAX:
        raise ValueError(
            f'{path}: magic {magic:#x}, version {version}, degree {degree}, {n} Gaussians; '
            f'expected {_MAGIC:#x}, version 2 or 3, degree 0..3, at most {_COUNT_MAX}.'
        )
    terms = (degree + 1) ** 2 - 1
    widths = (9, 1, 3, 3, 4 if version == 3 else 3, 3 * terms)
    if len(raw) < _HEADER.size + n * sum(widths):
        raise ValueError(
            f'{path}: {len(raw)} bytes inside; {n} Gaussians need '
            f'{_HEADER.size + n * sum(widths)}. The file is cut off.'
        )
    body, blocks, at = np.frombuffer(raw, np.uint8), [], _HEADER.size
    for width in widths:
        blocks.append(body[at : at + n * width].reshape(n, width))
        at += n * width
    positions, alphas, dc, scales, quats, rest = blocks
    fixed = np.zeros((n, 3, 4), np.uint8)
    fixed[..., 1:] = positions.reshape(n, 3, 3)
    means = (fixed.view('<i4')[..., 0] >> 8) / (1 << fraction_bits) * _FLIP
    sh = (rest.reshape(n, terms, 3) - 128.0) / 128 * _FLIP_SH[:terms, None]
    colors = np.concatenate([((dc / 255.0 - 0.5) / _COLOR_SCALE)[:, None], sh], axis=1)
    unpack = _unpack_quats if version == 3 else _unpack_quats_2
    return Gaussians(
        means=_tensor(means),
        quats=_tensor(unpack(quats)),
        scales=_tensor(np.exp(scales / 16.0 - 10)),
        opacities=_tensor(alphas[:, 0] / 255.0),
        colors=_tensor(colors),
        sh_degree=degree,
    )


def _pack_quats(wxyz: Array) -> Array:
    """(N, 4) wxyz in our axes -> (N, 4) bytes: index of the largest, then three of 10 bits."""
    lengths = np.linalg.norm(wxyz, axis=1, keepdims=True)
    q = (wxyz / np.where(lengths > 0, lengths, 1))[:, [1, 2, 3, 0]] * [1, -1, -1, 1]
    q[lengths[:, 0] == 0] = [0, 0, 0, 1]
    largest = np.abs(q).argmax(axis=1)
    sign = np.sign(np.take_along_axis(q, largest[:, None], 1))
    q = q * np.where(sign == 0, 1, sign)
    packed = largest.astype(np.uint32)
    for k in range(4):
        size = (511 * np.abs(q[:, k]) * np.sqrt(2) + 0.5).astype(np.uint32)
        one = (packed << np.uint32(10)) | ((q[:, k] < 0).astype(np.uint32) << np.uint32(9)) | size
        packed = np.where(largest == k, packed, one)
    return packed.astype('<u4').view(np.uint8).reshape(-1, 4)


def _unpack_quats(data: Array) -> Array:
    packed = np.ascontiguousarray(data).view('<u4')[:, 0].astype(np.int64)
    largest, q = packed >> 30, np.zeros((len(data), 4))
    for k in (3, 2, 1, 0):  # last written, first read
        value = (packed & 511) / 511 * np.sqrt(0.5) * np.where(packed & 512, -1, 1)
        q[:, k] = np.where(largest == k, 0, value)
        packed = np.where(largest == k, packed, packed >> 10)
    rest = np.sqrt(np.maximum(0, 1 - (q**2).sum(axis=1)))
    np.put_along_axis(q, largest[:, None], rest[:, None], 1)
    return np.asarray((q * [1, -1, -1, 1])[:, [3, 0, 1, 2]])


def _unpack_quats_2(data: Array) -> Array:
    """Version 2: x y z in bytes, w not negative."""
    xyz = data / 127.5 - 1
    w = np.sqrt(np.maximum(0, 1 - (xyz**2).sum(axis=1, keepdims=True)))
    return np.concatenate([w, xyz * _FLIP], axis=1)


def _bytes(values: Array) -> Array:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _numpy(tensor: torch.Tensor) -> Array:
    return np.asarray(tensor.detach().cpu().double().numpy())


def _tensor(values: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
