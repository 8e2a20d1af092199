# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""One textured surface of a person: its mesh, skinning weights and texture."""

from dataclasses import dataclass, field

import numpy as np

ALPHA_KINDS = ('hair', 'brow', 'lash')


@dataclass
class Part:
    """One textured surface, in the A-pose until it is exported."""

    kind: str
    vertices: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    texture: np.ndarray
    """(H, W, 4) uint8, sRGB."""
    deltas: np.ndarray | None = None
    """(52, V, 3): what the face actions do."""
    normal_faces: np.ndarray | None = None
    """Faces that normals are computed from, where some of them are not drawn."""
    corners: np.ndarray = field(init=False)
    """Vertex and uv row of every drawn corner, once each."""
    triangles: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.weld()

    def weld(self) -> None:
        pairs = np.stack([self.faces.ravel(), self.uv_faces.ravel()], 1)
        self.corners, inverse = np.unique(pairs, axis=0, return_inverse=True)
        self.triangles = inverse.reshape(-1, 3).astype(np.int32)

    def keep_faces(self, keep: np.ndarray) -> None:
        self.faces, self.uv_faces = self.faces[keep], self.uv_faces[keep]
        self.weld()

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        faces = self.faces if self.normal_faces is None else self.normal_faces
        a, b, c = (vertices[faces[:, k]] for k in range(3))
        cross = np.cross(b - a, c - a)
        sums = np.stack(
            [
                np.bincount(faces.ravel(), np.repeat(cross[:, i], 3), len(vertices))
                for i in range(3)
            ],
            1,
        )
        return sums / (np.linalg.norm(sums, axis=1, keepdims=True) + 1e-12)
