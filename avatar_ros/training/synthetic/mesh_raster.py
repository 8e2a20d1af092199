# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Pictures of textured triangles with a z-buffer: exact silhouettes and part labels.

Pixel centres lie at half integers, as in `Camera`. Visibility first, then one shading of what is
seen: only alpha-tested surfaces (hair cards, lashes) look into their texture earlier.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

from avatar_ros.geometry import Camera, transform_points
from avatar_ros.types import Array, FloatArray, Image

#: Nothing nearer than this is drawn, in metres.
NEAR_M = 0.05
#: A texel of an alpha-tested surface exists from this opacity on (of 255).
_OPAQUE = 127.5
_LEVELS = 6


@dataclass(frozen=True)
class TextureSet:
    """Textures with their halved copies in one row of texels."""

    texels: Image
    """(M, 4) RGBA."""
    table: Array
    """(S, levels, 3) int64: first texel, height and width of every copy of every texture."""
    alpha_tested: Array
    """(S,) bool."""

    @classmethod
    def build(cls, textures: Sequence[Image], alpha_tested: Sequence[bool]) -> 'TextureSet':
        """Of textures (H, W, 4) uint8."""
        rows, start = [], 0
        table = np.zeros((len(textures), _LEVELS, 3), np.int64)
        for s, texture in enumerate(textures):
            if texture.ndim != 3 or texture.shape[2] != 4 or texture.dtype != np.uint8:
                raise ValueError(
                    f'texture {s} is {texture.dtype} {texture.shape}; expected uint8 (H, W, 4).'
                )
            image = texture
            for level in range(_LEVELS):
                h, w = image.shape[:2]
                table[s, level] = start, h, w
                rows.append(image.reshape(-1, 4))
                start += h * w
                smaller = max(1, w // 2), max(1, h // 2)
                image = np.asarray(
                    cv2.resize(image, smaller, interpolation=cv2.INTER_AREA), np.uint8
                ).reshape(smaller[1], smaller[0], 4)
        return cls(np.concatenate(rows), table, np.array(alpha_tested, bool))


@dataclass(frozen=True)
class Mesh:
    """What is drawn: everything but the place and the light of its vertices."""

    faces: Array
    """(F, 3) int32."""
    uv: Array
    """(V, 2) float32, v up."""
    surface: Array
    """(F,) int32 row of the texture set."""
    labels: Array
    """(F,) uint8 below 8."""
    textures: TextureSet


@dataclass(frozen=True)
class Drawing:
    """A picture on black."""

    rgb: Array
    """(H, W, 3) float32 in 0..1, colours times coverage."""
    coverage: Array
    """(H, W) float32 in 0..1."""
    labels: Image
    """(H, W): label + 1 where at least half a pixel is covered, by majority; else 0."""


def draw(
    mesh: Mesh, vertices: FloatArray, light: Array, camera: Camera, supersampling: int = 3
) -> Drawing:
    """Draw vertices (V, 3) in world metres under linear light factors (V, 3), both sides.

    A triangle that reaches behind `NEAR_M` is left out. The camera may have no distortion.
    """
    if camera.distortion.any():
        raise ValueError(
            f'camera {camera.frame_id!r} has lens distortion; the rasterizer draws pinhole '
            'pictures. Draw without it and distort the picture.'
        )
    if len(vertices) != len(mesh.uv) or len(light) != len(mesh.uv):
        raise ValueError(
            f'{len(vertices)} vertices and {len(light)} light factors; expected {len(mesh.uv)} '
            'of each, one for every row of uv.'
        )
    points = transform_points(camera.T_camera_world, vertices)
    z = points[:, 2].copy()
    safe = np.where(z > NEAR_M, z, 1.0)
    pixels = points @ camera.K.T
    points = np.stack([pixels[:, 0] / safe, pixels[:, 1] / safe, z], axis=1)
    points[:, :2] *= supersampling
    shape = camera.height * supersampling, camera.width * supersampling
    depth = np.full(shape, np.inf, np.float32)
    owner = np.full(shape, -1, np.int32)
    t = mesh.textures
    arrays = (mesh.uv, mesh.faces, mesh.surface, t.texels, t.table)
    _visibility(points, *arrays, t.alpha_tested, depth, owner)
    size = camera.height, camera.width
    rgb = np.zeros((*size, 3), np.float32)
    coverage = np.zeros(size, np.float32)
    labels = np.zeros(size, np.uint8)
    light = np.ascontiguousarray(light, dtype=np.float32)
    _shade(points, *arrays, light, mesh.labels, owner, supersampling, rgb, coverage, labels)
    return Drawing(rgb, coverage, labels)


@njit(cache=True, nogil=True)
def _level(
    points: Array, uv: Array, a: int, b: int, c: int, area: float, table: Array, s: int
) -> int:
    """The halving at which a texel is about as large as a sample."""
    du1, dv1 = uv[b, 0] - uv[a, 0], uv[b, 1] - uv[a, 1]
    du2, dv2 = uv[c, 0] - uv[a, 0], uv[c, 1] - uv[a, 1]
    texels = abs(du1 * dv2 - du2 * dv1) * table[s, 0, 1] * table[s, 0, 2]
    ratio = texels / max(abs(area), 1e-9)
    if ratio <= 1.0:
        return 0
    return min(int(0.5 * np.log2(ratio) + 0.5), table.shape[1] - 1)


@njit(cache=True, nogil=True)
def _texel(
    texels: Array, table: Array, s: int, level: int, u: float, v: float, channel: int
) -> float:
    """Bilinear, repeating, 0..255."""
    start, h, w = table[s, level, 0], table[s, level, 1], table[s, level, 2]
    x, y = u * w - 0.5, (1.0 - v) * h - 0.5
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = x - x0, y - y0
    i0, j0 = int(x0) % w, int(y0) % h
    i1, j1 = (i0 + 1) % w, (j0 + 1) % h
    top = (
        texels[start + j0 * w + i0, channel] * (1 - fx) + texels[start + j0 * w + i1, channel] * fx
    )
    low = (
        texels[start + j1 * w + i0, channel] * (1 - fx) + texels[start + j1 * w + i1, channel] * fx
    )
    return top * (1 - fy) + low * fy


@njit(cache=True, nogil=True)
def _barycentric(
    points: Array, a: int, b: int, c: int, area: float, x: float, y: float
) -> tuple[bool, float, float, float, float]:
    """Weights of a screen point, and then divided by depth and renormalised; the depth."""
    w0 = (points[b, 0] - x) * (points[c, 1] - y) - (points[b, 1] - y) * (points[c, 0] - x)
    w1 = (points[c, 0] - x) * (points[a, 1] - y) - (points[c, 1] - y) * (points[a, 0] - x)
    w2 = (points[a, 0] - x) * (points[b, 1] - y) - (points[a, 1] - y) * (points[b, 0] - x)
    w0, w1, w2 = w0 / area, w1 / area, w2 / area
    inside = w0 >= -1e-9 and w1 >= -1e-9 and w2 >= -1e-9
    q0, q1, q2 = w0 / points[a, 2], w1 / points[b, 2], w2 / points[c, 2]
    z = 1.0 / (q0 + q1 + q2)
    return inside, q0 * z, q1 * z, q2 * z, z


@njit(cache=True, nogil=True)
def _double_area(points: Array, a: int, b: int, c: int) -> float:
    return (points[b, 0] - points[a, 0]) * (points[c, 1] - points[a, 1]) - (
        points[b, 1] - points[a, 1]
    ) * (points[c, 0] - points[a, 0])


@njit(cache=True, nogil=True)
def _visibility(
    points: Array,
    uv: Array,
    faces: Array,
    surface: Array,
    texels: Array,
    table: Array,
    alpha_tested: Array,
    depth: Array,
    owner: Array,
) -> None:
    height, width = depth.shape
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if min(points[a, 2], points[b, 2], points[c, 2]) <= NEAR_M:
            continue
        area = _double_area(points, a, b, c)
        if area == 0.0:
            continue
        xs = (points[a, 0], points[b, 0], points[c, 0])
        ys = (points[a, 1], points[b, 1], points[c, 1])
        # A sample lies at its index + 0.5.
        x0, x1 = max(0.0, np.ceil(min(xs) - 0.5)), min(width - 1.0, np.floor(max(xs) - 0.5))
        y0, y1 = max(0.0, np.ceil(min(ys) - 0.5)), min(height - 1.0, np.floor(max(ys) - 0.5))
        s = surface[f]
        tested = alpha_tested[s]
        level = _level(points, uv, a, b, c, area, table, s) if tested else 0
        for j in range(int(y0), int(y1) + 1):
            for i in range(int(x0), int(x1) + 1):
                inside, p, q, r, z = _barycentric(points, a, b, c, area, i + 0.5, j + 0.5)
                if not inside or z >= depth[j, i]:
                    continue
                if tested:
                    u = p * uv[a, 0] + q * uv[b, 0] + r * uv[c, 0]
                    v = p * uv[a, 1] + q * uv[b, 1] + r * uv[c, 1]
                    if _texel(texels, table, s, level, u, v, 3) < _OPAQUE:
                        continue
                depth[j, i] = z
                owner[j, i] = f


@njit(cache=True, nogil=True)
def _shade(
    points: Array,
    uv: Array,
    faces: Array,
    surface: Array,
    texels: Array,
    table: Array,
    light: Array,
    labels: Array,
    owner: Array,
    n: int,
    rgb: Array,
    coverage: Array,
    label_map: Array,
) -> None:
    """Fill rgb, coverage and labels from the owners of n x n samples a pixel."""
    votes = np.zeros(8, np.int64)
    for y in range(rgb.shape[0]):
        for x in range(rgb.shape[1]):
            votes[:] = 0
            for j in range(y * n, y * n + n):
                for i in range(x * n, x * n + n):
                    f = owner[j, i]
                    if f < 0:
                        continue
                    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
                    area = _double_area(points, a, b, c)
                    _, p, q, r, _ = _barycentric(points, a, b, c, area, i + 0.5, j + 0.5)
                    s = surface[f]
                    level = _level(points, uv, a, b, c, area, table, s)
                    u = p * uv[a, 0] + q * uv[b, 0] + r * uv[c, 0]
                    v = p * uv[a, 1] + q * uv[b, 1] + r * uv[c, 1]
                    votes[labels[f]] += 1
                    for k in range(3):
                        shade = p * light[a, k] + q * light[b, k] + r * light[c, k]
                        value = _texel(texels, table, s, level, u, v, k) / 255.0
                        # The light acts on linear colours: (c^2.2 * l)^(1/2.2).
                        rgb[y, x, k] += min(1.0, value * max(shade, 0.0) ** (1.0 / 2.2))
            total = votes.sum()
            # Averaged as encoded: on the rim a pixel is then its colour times its coverage.
            for k in range(3):
                rgb[y, x, k] /= n * n
            coverage[y, x] = total / (n * n)
            if 2 * total >= n * n:
                label_map[y, x] = votes.argmax() + 1
