# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""People that need no download: the free head with random betas and painted skin, eyes and hair.

Their truth is exact by construction, for their mesh is FLAME's. Their hair is a cap of paint.
"""

import numpy as np
import torch

from avatar_ros.body import FLAME
from avatar_ros.body.flame import EXTRA_UV, PARTS, Flame, HeadModel
from avatar_ros.geometry import Camera
from avatar_ros.training.head.capture import FlameParameters
from avatar_ros.training.synthetic.mesh_person import light_of
from avatar_ros.training.synthetic.mesh_raster import Mesh, TextureSet, draw
from avatar_ros.training.synthetic.painted import position_map
from avatar_ros.types import Array, FloatArray, Image

_SKINS = np.array([(96, 64, 50), (142, 100, 76), (188, 142, 114), (214, 170, 145), (228, 192, 172)])
_HAIR = np.array([(34, 28, 26), (62, 45, 34), (110, 78, 48), (168, 130, 84), (150, 148, 146)])
_IRIS = np.array([(92, 62, 40), (70, 98, 130), (86, 110, 72), (60, 44, 34)])
#: What a triangle is painted as; rows of the label map.
_KINDS = ('skin', 'lip', 'eyeball', 'teeth', 'hair')


class PaintedHead:
    """One of them; the same seed gives the same person."""

    licence = 'CC0-1.0'

    def __init__(self, head: HeadModel, seed: int, texture_size: int = 512) -> None:
        rng = np.random.default_rng([5, seed])
        self.name = f'painted_{seed:03d}'
        m = head.model
        self.shape = rng.normal(0, 0.8, m.shape_dirs.shape[2])
        self.offset = np.zeros_like(m.template)
        self.place = -m.rest_joints(self.shape)[FLAME.index['neck']]
        self._flame = Flame(m)
        pairs = np.stack([m.faces.ravel(), head.uv_faces.ravel()], 1)
        corners, rows = np.unique(pairs, axis=0, return_inverse=True)
        self._vertex = corners[:, 0]
        faces = rows.reshape(-1, 3).astype(np.int32)
        self._faces = m.faces
        uv = head.uv[corners[:, 1]]
        kinds = _kinds(head)
        texture = _paint(m.template[self._vertex], uv, faces, kinds, rng, texture_size)
        self.mesh = Mesh(
            faces,
            uv.astype(np.float32),
            np.zeros(len(faces), np.int32),
            np.zeros(len(faces), np.uint8),
            TextureSet.build([texture], [False]),
        )

    def posed(self, at: FlameParameters) -> FloatArray:
        """Corners of the mesh in the world."""
        arrays = (self.shape, at.expression[None], at.rotvecs[None], at.translation[None])
        with torch.no_grad():
            v = self._flame(*(torch.as_tensor(a, dtype=torch.float32) for a in arrays))
        return np.asarray(v[0].double().numpy()[self._vertex])

    def light(self, vertices: FloatArray) -> FloatArray:
        """Linear light factors of posed corners."""
        whole = np.zeros((int(self._faces.max()) + 1, 3))
        whole[self._vertex] = vertices
        a, b, c = (whole[self._faces[:, k]] for k in range(3))
        cross = np.cross(b - a, c - a)
        normals = np.zeros_like(whole)
        for k in range(3):
            for axis in range(3):
                normals[:, axis] += np.bincount(self._faces[:, k], cross[:, axis], len(whole))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-15
        return light_of(normals[self._vertex])


def _kinds(head: HeadModel) -> Array:
    """Row of `_KINDS` (F,) of every triangle."""
    kinds = np.zeros(len(head.part), np.uint8)
    kinds[head.part == PARTS.index('lip')] = _KINDS.index('lip')
    kinds[head.part == PARTS.index('teeth')] = _KINDS.index('teeth')
    kinds[head.part == PARTS.index('hair')] = _KINDS.index('hair')
    low = head.uv[head.uv_faces][:, :, 1].max(1) < EXTRA_UV
    kinds[low & (head.part == PARTS.index('eye'))] = _KINDS.index('eyeball')
    return kinds


def _paint(
    vertices: FloatArray,
    uv: Array,
    faces: Array,
    kinds: Array,
    rng: np.random.Generator,
    size: int,
) -> Image:
    """Texture (size, size, 4)."""
    P, _ = position_map(vertices, uv, faces, size)
    flat = np.column_stack([uv[:, 0], 1 - uv[:, 1], np.ones(len(uv))])
    white = TextureSet.build([np.full((1, 1, 4), 255, np.uint8)], [False])
    mesh = Mesh(faces, uv.astype(np.float32), np.zeros(len(faces), np.int32), kinds, white)
    labels = draw(
        mesh, flat, np.ones_like(flat), Camera(np.diag([size, size, 1.0]), size, size), 1
    ).labels
    tone = rng.uniform(0, len(_SKINS) - 1)
    low = int(tone)
    skin = _SKINS[low] + (tone - low) * (_SKINS[min(low + 1, len(_SKINS) - 1)] - _SKINS[low])
    hair = _HAIR[rng.integers(len(_HAIR))] * rng.uniform(0.8, 1.2)
    iris = _IRIS[rng.integers(len(_IRIS))]
    coarse, fine = (_waves(P, rng, f) for f in (60.0, 500.0))
    image = skin + 5 * coarse[..., None] + 3 * fine[..., None]
    image = np.where(
        (labels == 2)[..., None], skin * (0.82, 0.62, 0.62) + 3 * fine[..., None], image
    )
    image = np.where((labels == 4)[..., None], (232, 226, 212), image)
    strands = _waves(P * (1, 0.15, 0.15), rng, 2400.0)
    image = np.where((labels == 5)[..., None], hair + 14 * strands[..., None], image)
    # Brows: bands above the eyes, which are known by their place.
    eye = vertices[np.isin(np.arange(len(vertices)), faces[kinds == _KINDS.index('eyeball')])]
    middle = np.array([np.abs(eye[:, 0]).mean(), eye[:, 1].mean(), eye[:, 2].max()])
    arch = middle[1] + 0.021 - 3.0 * (np.abs(P[..., 0]) - middle[0] - 0.003) ** 2
    brow = np.abs(P[..., 1] - arch) < 0.004 * rng.uniform(0.7, 1.4)
    brow &= np.abs(np.abs(P[..., 0]) - middle[0]) < 0.020
    brow &= (P[..., 2] > middle[2] - 0.02) & (labels == 1)
    image = np.where(brow[..., None], hair * 0.8, image)
    y, x = np.mgrid[:size, :size]
    u, v = (x + 0.5) / size, 1 - (y + 0.5) / size
    for k in range(2):
        half = (EXTRA_UV - 0.01) / 2
        away = np.hypot(u - k * EXTRA_UV - half, v - half) / half
        ball = (labels == 3) & (np.abs(u - k * EXTRA_UV - half) <= half)
        image = np.where(ball[..., None], (236, 234, 230), image)
        image = np.where((ball & (away < 0.26))[..., None], iris, image)
        image = np.where((ball & (away < 0.11))[..., None], (12, 12, 12), image)
    return np.dstack([image.clip(0, 255), np.full((size, size), 255)]).astype(np.uint8)


def _waves(P: FloatArray, rng: np.random.Generator, frequency: float) -> FloatArray:
    """Plane waves in space (H, W), about -1..1: no seams."""
    k = rng.normal(size=(6, 3))
    k *= frequency / np.linalg.norm(k, axis=1, keepdims=True)
    total = sum(np.cos(P @ way + rng.uniform(0, 2 * np.pi)) for way in k)
    return np.asarray(total / np.sqrt(3.0))
