# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""GaussianAvatars heads (Qian 2024): ``point_cloud.ply``, ``flame_param.npz``, one's own FLAME.

Every splat is local to the triangle of its ``binding_0``. Their FLAME has 120 vertices of teeth
more than the file: they must be rebuilt as they were, or splats land on wrong triangles.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from avatar_ros.avatars.bundle_files import BundleError
from avatar_ros.avatars.head.binding import Binding
from avatar_ros.avatars.head.bundle import HeadBundle, regressor_of
from avatar_ros.body.licensed import BodyModelError, read_model_file
from avatar_ros.body.model import BodyModel
from avatar_ros.body.skeletons import FLAME
from avatar_ros.gaussians.ply import read_ply, read_property
from avatar_ros.types import Array, FloatArray

#: FLAME's vertices around the lips, from its left corner to its right one, above and below.
UPPER_RING = (1713, 1715, 1716, 1735, 1696, 1694, 1657, 3543, 2774, 2811, 2813, 2850, 2833, 2832,
              2830)  # fmt: skip
LOWER_RING = (1576, 1577, 1773, 1774, 1795, 1802, 1865, 3503, 2948, 2905, 2898, 2881, 2880, 2713,
              2712)  # fmt: skip
#: Rows of fifteen new vertices, in their order.
_ROWS = (
    'upper root', 'lower root', 'upper edge', 'lower edge', 'upper root back', 'upper edge back',
    'lower root back', 'lower edge back',
)  # fmt: skip
#: Strips of triangles between two rows a and b, and where their diagonals run: two triangles for
#: the seven squares up to the middle, and two for those behind it (letter: row, number: column).
_STRIPS = (
    ('upper root', 'upper edge', 'a0 b1 b0 a0 a1 b1', 'a0 a1 b0 a1 b1 b0'),
    ('upper root back', 'upper edge back', 'a0 b0 b1 a0 b1 a1', 'a0 b0 a1 a1 b0 b1'),
    ('upper edge back', 'upper edge', 'a0 b0 a1 a1 b0 b1', 'a0 b0 b1 a0 b1 a1'),
    ('lower edge', 'lower root', 'a0 a1 b0 a1 b1 b0', 'a0 b1 b0 a0 a1 b1'),
    ('lower root back', 'lower edge back', 'a0 b1 b0 a0 a1 b1', 'a0 a1 b0 a1 b1 b0'),
    ('lower edge back', 'lower edge', 'a0 a1 b0 a1 b1 b0', 'a0 b1 b0 a0 a1 b1'),
)


def with_teeth(model: BodyModel) -> BodyModel:
    """FLAME with the teeth of GaussianAvatars: 120 vertices, 168 triangles.

    :raises BodyModelError: if it has not FLAME's 5,023 vertices.
    """
    if model.skeleton is not FLAME or len(model.template) <= max(UPPER_RING):
        raise BodyModelError(
            f'a {model.kind} model of {len(model.template)} vertices is not the FLAME that '
            'GaussianAvatars is bound to; expected 5023 vertices (FLAME 2020 or 2023).'
        )
    upper, lower = (model.template[list(ring)] for ring in (UPPER_RING, LOWER_RING))
    gap = float(np.linalg.norm(upper - lower, axis=1).mean())
    middle = (upper + lower) / 2
    middle[:, 1] = middle[:, 1].mean()
    middle[:, 2] -= 1.5 * gap
    up, back = np.array([0, gap, 0]), np.array([0, 0, gap])
    places = {
        'upper edge': middle + 0.1 * up,
        'upper root': middle + 2.1 * up,
        'lower edge': middle - 0.1 * up - 0.4 * back,
        'lower root': middle - 2.1 * up - 0.4 * back,
    }
    places |= {f'{name} back': place - back for name, place in places.items()}
    vertices = np.concatenate([places[name] for name in _ROWS])
    count = len(model.template)
    dirs = (model.shape_dirs[list(UPPER_RING)] + model.shape_dirs[list(LOWER_RING)]) / 2
    weights = np.zeros((len(vertices), len(FLAME)))
    for k, name in enumerate(_ROWS):
        joint = 'neck' if name.startswith('upper') else 'jaw'
        weights[15 * k : 15 * k + 15, FLAME.index[joint]] = 1.0

    def longer(values: FloatArray, more: FloatArray | None = None) -> FloatArray:
        blank = np.zeros((len(vertices), *values.shape[1:]))
        return np.concatenate([values, blank if more is None else more])

    return replace(
        model,
        template=longer(model.template, vertices),
        faces=np.concatenate([model.faces, teeth_triangles() + count]),
        shape_dirs=longer(model.shape_dirs, np.tile(dirs, (len(_ROWS), 1, 1))),
        expression_dirs=longer(model.expression_dirs),
        pose_dirs=None if model.pose_dirs is None else longer(model.pose_dirs),
        joint_regressor=longer(model.joint_regressor.T).T,
        weights=longer(model.weights, weights),
        uv=None,
        uv_faces=None,
    )


def teeth_triangles() -> Array:
    """(168, 3), counted from the first new vertex."""
    faces = []
    for a, b, before, behind in _STRIPS:
        rows = {'a': 15 * _ROWS.index(a), 'b': 15 * _ROWS.index(b)}
        for column in range(14):
            corners = (before if column < 7 else behind).split()
            ids = [rows[corner[0]] + column + int(corner[1]) for corner in corners]
            faces += [ids[:3], ids[3:]]
    return np.array(faces, np.int64)


def read_gaussian_avatar(
    folder: str | Path, flame: BodyModel, arkit_to_expression: Array | None = None
) -> HeadBundle:
    """A head as a bundle.

    :param flame: FLAME 2020 or 2023 without teeth.
    :param arkit_to_expression: see `HeadBundle`.
    :raises BundleError: if a file is missing, damaged, or bound to another mesh.
    """
    folder = Path(folder)
    ply, parameters = folder / 'point_cloud.ply', folder / 'flame_param.npz'
    try:
        splats, binding = read_ply(ply), read_property(ply, 'binding_0')
        values = read_model_file(parameters)
    except (ValueError, OSError) as error:
        raise BundleError(
            f'{folder}: {error} Expected point_cloud.ply and flame_param.npz of GaussianAvatars.'
        ) from error
    model = with_teeth(flame)
    faces = np.rint(binding).astype(np.int64)
    if np.abs(binding - faces).max(initial=0) > 1e-3 or faces.min(initial=0) < 0:
        raise BundleError(f'{ply}: binding_0 is not the index of a triangle.')
    if faces.max(initial=0) >= len(model.faces):
        raise BundleError(
            f'{ply}: is bound to triangle {faces.max()}; FLAME with teeth has {len(model.faces)}. '
            'It was trained on another FLAME, or with other teeth.'
        )
    if 'shape' not in values:
        raise BundleError(f'{parameters}: has no "shape"; expected the file of GaussianAvatars.')
    shape = np.asarray(values['shape'], float).reshape(-1)[: model.shape_dirs.shape[2]]
    template = model.rest_vertices(shape)
    joints = model.rest_joints(shape)
    if 'static_offset' in values:
        offset = np.asarray(values['static_offset'], float).reshape(-1, 3)
        if len(offset) > len(template):
            raise BundleError(
                f'{parameters}: static_offset has {len(offset)} vertices, the model '
                f'{len(template)}. It is of another FLAME.'
            )
        template[: len(offset)] += offset
    expressions = model.expression_dirs.shape[2]
    own = replace(
        model,
        template=template,
        shape_dirs=np.zeros((len(template), 3, 0)),
        joint_regressor=regressor_of(template, joints),
        expression_names=tuple(f'expr_{k}' for k in range(expressions)),
    )
    count = len(splats)
    # Splats sit on the middle of their triangle.
    bound = Binding(
        faces.astype(np.int32),
        np.full((count, 3), 1 / 3, np.float32),
        np.zeros(count, np.uint8),
        np.zeros((count, 3), np.float32),
    )
    tensors = {
        'means': splats.means.numpy(),
        'quats': splats.quats.numpy(),
        'scales': splats.scales.numpy(),
        'opacities': splats.opacities.numpy(),
        'sh': splats.colors.numpy(),
    }
    return HeadBundle(
        folder.resolve().name, 'of the capture and of FLAME', own, 'flame', bound, None, tensors,
        arkit_to_expression, {'method': 'GaussianAvatars'},
    )  # fmt: skip
