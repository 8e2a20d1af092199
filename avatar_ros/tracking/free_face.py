# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The free face as MediaPipe's landmarks see it: what gaps in a picture are compared with."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from avatar_ros.body.model import free_body_path, free_landmarks_path, load_body_model
from avatar_ros.body.skeletons import ARKIT_52
from avatar_ros.types import FloatArray

#: Landmarks of the outer corners of the eyes.
EYES = (33, 263)
#: Numbers of landmarks of that mesh, without and with irises.
_MESH = (468, 478)
#: Cosine of the head's turn below which gaps are foreshortened so much that noise would move them.
_MIN_FACING = 0.75


@dataclass(frozen=True)
class View:
    """Weak perspective of a face with the free face's distance of eyes."""

    up: FloatArray
    """(3,) SMPL axes: multiplies points in metres to heights in the picture, in metres."""
    pixels: FloatArray
    _up_pixels: FloatArray
    _pixels_a_metre: float

    def gap(self, upper: int, lower: int) -> float:
        """Metres from one landmark up to another, as the picture shows them; NaN if it does not."""
        apart = self.pixels[upper] - self.pixels[lower]
        return float(self._up_pixels @ apart) / self._pixels_a_metre


def view_of(pixels: FloatArray, R_camera_head: FloatArray) -> View | None:
    """How the face is seen; None if it is turned too far or landmarks are of another estimator.

    :param pixels: (L, 2) landmarks of MediaPipe's face mesh.
    :param R_camera_head: (3, 3) SMPL axes of the head to optical axes.
    """
    if len(pixels) not in _MESH or -R_camera_head[2, 2] < _MIN_FACING:
        return None
    rest, _ = points_of(EYES)
    flat = R_camera_head[:2]
    apart = np.linalg.norm(pixels[EYES[1]] - pixels[EYES[0]])
    scale = float(apart / np.linalg.norm(flat @ (rest[1] - rest[0])))
    if not 1e-6 < scale < np.inf:
        return None
    up = flat[:, 1] / np.linalg.norm(flat[:, 1])
    return View(up @ flat, pixels, up, scale)


@cache
def points_of(landmarks: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Landmarks at rest (n, 3) metres and how each action of `ARKIT_52` moves them (n, 3, 52)."""
    model = load_body_model(free_body_path('flame'))
    with np.load(free_landmarks_path()) as arrays:
        row_of = {int(k): i for i, k in enumerate(arrays['landmark_indices'])}
        rows = [row_of[k] for k in landmarks]
        corners = model.faces[arrays['lmk_face_idx'][rows]]
        bary = arrays['lmk_b_coords'][rows]
    dirs = _directions()
    rest = np.einsum('nk,nkc->nc', bary, model.template[corners])
    return rest, np.einsum('nk,nkcw->ncw', bary, dirs[corners])


@cache
def lid_of(side: str) -> tuple[FloatArray, FloatArray]:
    """The same of the vertices of the upper lid: those that a blink of that side moves most."""
    model, dirs = load_body_model(free_body_path('flame')), _directions()
    moved = np.linalg.norm(dirs[..., ARKIT_52.index(f'eyeBlink{side.capitalize()}')], axis=1)
    rows = moved > 0.8 * moved.max()
    return model.template[rows], dirs[rows]


@cache
def _directions() -> FloatArray:
    """(V, 3, 52)."""
    model = load_body_model(free_body_path('flame'))
    order = [model.expression_names.index(name) for name in ARKIT_52]
    return np.asarray(model.expression_dirs[..., order], dtype=float)
