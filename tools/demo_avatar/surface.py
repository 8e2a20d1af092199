# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The surfaces of `person.npz`, and what their textures hold at a point."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np


@dataclass
class Surface:
    """One part of `person.npz`."""

    kind: str
    vertices: np.ndarray
    normals: np.ndarray
    weights: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    shade: np.ndarray
    seen: np.ndarray
    texture: np.ndarray
    deltas: np.ndarray | None = None

    def areas(self, vertices: np.ndarray | None = None) -> np.ndarray:
        v = self.vertices if vertices is None else vertices
        a, b, c = (v[self.faces[:, k]] for k in range(3))
        return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def read_person(path: Path) -> tuple[list[Surface], np.ndarray]:
    with np.load(path) as data:
        parts = sorted({key[:2] for key in data.files if key[2:3] == '_'})
        surfaces = []
        for part in parts:
            fields = {k[3:]: data[k] for k in data.files if k.startswith(f'{part}_')}
            fields['kind'] = str(fields['kind'])
            surfaces.append(Surface(**fields))
        return surfaces, data['joints']


def bilinear(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Values (N, C) of an image at texture coordinates (v up)."""
    h, w = image.shape[:2]
    width = 1024  # cv2.remap takes no side above 32767
    rows = -(-len(uv) // width)
    grid = np.zeros((rows * width, 2), np.float32)
    grid[: len(uv), 0] = (uv[:, 0] % 1) * w - 0.5
    grid[: len(uv), 1] = ((1 - uv[:, 1]) % 1) * h - 0.5
    x, y = (np.ascontiguousarray(grid[:, k]).reshape(rows, width) for k in (0, 1))
    result = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return result.reshape(rows * width, -1)[: len(uv)]


def strand_direction(texture: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit direction in texels (x right, y down) along which the texture changes least."""
    grey = cv2.cvtColor(texture[..., :3], cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = grey + texture[..., 3]
    x, y = cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)
    sigma = texture.shape[0] / 250
    tensor = np.dstack([cv2.GaussianBlur(v, (0, 0), sigma) for v in (x * x, x * y, y * y)])
    xx, xy, yy = bilinear(tensor, uv).T
    across = 0.5 * np.arctan2(2 * xy, xx - yy)
    return -np.sin(across), np.cos(across)
