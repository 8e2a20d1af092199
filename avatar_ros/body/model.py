# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""SMPL, SMPL-X and FLAME models: licensed files, and free ones in the same format.

Live code needs joints and weights only. `BodyModel.vertices` runs the whole mesh through
``smplx`` and is meant for tools and tests.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np

from avatar_ros.body.licensed import BodyModelError, read_model_file
from avatar_ros.body.skeletons import FLAME, SMPL, SMPLX, Skeleton
from avatar_ros.types import Array, FloatArray

__all__ = ['BodyModel', 'BodyModelError', 'free_body', 'free_body_path', 'load_body_model']

_SKELETON_OF_JOINTS = {len(skeleton): skeleton for skeleton in (SMPL, SMPLX, FLAME)}
_SHAPE_COLUMNS = 300  # of SMPL-X and FLAME files with 400 columns; the rest is expression


@dataclass(frozen=True)
class BodyModel:
    """A linear body: template plus shape and expression directions, skinned to a skeleton."""

    skeleton: Skeleton
    template: FloatArray
    """Vertices (V, 3) in metres: x to the person's left, y up, z forward."""
    faces: Array
    """Triangles (F, 3) int64."""
    shape_dirs: FloatArray
    """(V, 3, S) metres for each unit of a beta."""
    expression_dirs: FloatArray
    """(V, 3, E); E = 0 for SMPL."""
    pose_dirs: FloatArray | None
    """Pose correctives (V, 3, 9 * (J - 1)), or None where the file has none but zeros."""
    joint_regressor: FloatArray
    """(J, V)."""
    weights: FloatArray
    """Skinning weights (V, J)."""
    uv: Array | None = None
    """Texture coordinates (T, 2), v up."""
    uv_faces: Array | None = None
    """Rows (F, 3) of `uv`."""
    expression_names: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``smpl``, ``smplx`` or ``flame``."""
        return self.skeleton.name

    def rest_vertices(
        self, betas: FloatArray | None = None, expression: FloatArray | None = None
    ) -> FloatArray:
        """Vertices (V, 3) before posing; missing trailing coefficients count as zero."""
        v = self.template.copy()
        for name, dirs, amounts in (
            ('betas', self.shape_dirs, betas),
            ('expression', self.expression_dirs, expression),
        ):
            if amounts is not None:
                v += dirs[:, :, : len(amounts)] @ _checked(name, amounts, dirs.shape[2])
        return v

    def rest_joints(self, betas: FloatArray | None = None) -> FloatArray:
        """Joints (J, 3) of a person of this shape."""
        base, dirs = self._joint_basis
        if betas is None:
            return base.copy()
        return base + dirs[:, :, : len(betas)] @ _checked('betas', betas, dirs.shape[2])

    @cached_property
    def _joint_basis(self) -> tuple[FloatArray, FloatArray]:
        J = self.joint_regressor
        return J @ self.template, np.einsum('jv,vcs->jcs', J, self.shape_dirs)

    def vertices(
        self,
        rotvecs: FloatArray,
        betas: FloatArray | None = None,
        expression: FloatArray | None = None,
        translation: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Posed vertices (V, 3) and joints (J, 3) by ``smplx``, of rotation vectors (J, 3)."""
        # A second to import, and trackers only read the numbers.
        import torch
        from smplx.lbs import lbs

        rotvecs = np.asarray(rotvecs, dtype=float)
        if rotvecs.shape != (len(self.skeleton), 3):
            raise ValueError(
                f'rotvecs have shape {rotvecs.shape}; a {self.kind} model needs '
                f'({len(self.skeleton)}, 3), one rotation vector a joint.'
            )
        features = 9 * (len(self.skeleton) - 1)
        correctives = (
            torch.zeros(features, 3 * len(self.template), dtype=torch.float64)
            if self.pose_dirs is None
            else torch.from_numpy(self.pose_dirs.reshape(-1, features).T)
        )
        shape = np.zeros(self.shape_dirs.shape[2])
        if betas is not None:
            shape[: len(betas)] = _checked('betas', betas, len(shape))
        # smplx regresses joints from the expression too; here they depend on the shape alone,
        # as in its own layers when the expression does not move the regressor's vertices.
        template = self.rest_vertices(expression=expression)
        vertices, joints = lbs(
            torch.from_numpy(shape)[None],
            torch.from_numpy(rotvecs)[None],
            torch.from_numpy(template)[None],
            torch.from_numpy(self.shape_dirs),
            correctives,
            torch.from_numpy(self.joint_regressor),
            torch.from_numpy(self.skeleton.parent_array.astype(np.int64)),
            torch.from_numpy(self.weights),
        )
        t = np.zeros(3) if translation is None else np.asarray(translation, dtype=float)
        return vertices[0].numpy() + t, joints[0].numpy() + t


def load_body_model(path: str | Path) -> BodyModel:
    """The model in a ``.npz`` or ``.pkl`` file; its number of joints tells which kind it is.

    :raises BodyModelError: if something is missing, has the wrong shape or is not finite.
    """
    return _Loader(path, read_model_file(path)).model()


def free_landmarks_path() -> Path:
    """Where MediaPipe's face landmarks lie on the free head."""
    return Path(str(files('avatar_ros'))) / 'data' / 'bodies' / 'flame_face_landmarks.npz'


def free_body_path(kind: str = 'smplx') -> Path:
    """The free body (CC0) in SMPL-X, SMPL or FLAME format that comes with the package."""
    path = Path(str(files('avatar_ros'))) / 'data' / 'bodies' / f'{kind}_neutral.npz'
    if not path.is_file():
        raise ValueError(f'no free body of kind {kind!r}; expected smplx, smpl or flame.')
    return path


def free_body(kind: str = 'smplx') -> BodyModel:
    """The free body, loaded. Same file format as SMPL's, but other vertices and other betas."""
    return load_body_model(free_body_path(kind))


def _checked(name: str, amounts: FloatArray, available: int) -> FloatArray:
    amounts = np.asarray(amounts, dtype=float)
    if amounts.ndim != 1 or len(amounts) > available or not np.isfinite(amounts).all():
        raise ValueError(
            f'{name} have shape {amounts.shape}; expected at most {available} finite numbers.'
        )
    return amounts


class _Loader:
    """Checks the arrays of one file."""

    def __init__(self, path: str | Path, arrays: dict[str, Array]) -> None:
        self.path, self.arrays = path, arrays

    def model(self) -> BodyModel:
        regressor = self.floats('J_regressor', 2)
        joints, count = regressor.shape
        if joints not in _SKELETON_OF_JOINTS:
            raise BodyModelError(
                f'{self.path}: J_regressor has {joints} rows; expected 24 (SMPL), 55 (SMPL-X) or '
                '5 (FLAME). Other bodies are not supported.'
            )
        skeleton = _SKELETON_OF_JOINTS[joints]
        template = self.floats('v_template', 2, (count, 3))
        weights = self.floats('weights', 2, (count, joints))
        faces = self.get('f')
        if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in 'iu':
            raise self.shape_error('f', faces, 'integers (F, 3)')
        faces = faces.astype(np.int64)
        if faces.size and (faces.min() < 0 or faces.max() >= count):
            raise BodyModelError(f'{self.path}: f names vertex {faces.max()}; there are {count}.')
        self.check_parents(skeleton)
        shape_dirs = self.floats('shapedirs', 3, (count, 3, None))
        split = shape_dirs.shape[2]
        if skeleton is not SMPL:
            split = _SHAPE_COLUMNS if split > _SHAPE_COLUMNS else split // 2
        pose_dirs = self.pose_dirs(count, joints)
        uv, uv_faces = self.uv(len(faces))
        names = self.arrays.get('expression_names', np.zeros(0, str))
        expression = shape_dirs[:, :, split:]
        if len(names):
            expression = expression[:, :, : len(names)]
        return BodyModel(
            skeleton=skeleton,
            template=template,
            faces=faces,
            shape_dirs=self.without_empty(shape_dirs[:, :, :split]),
            expression_dirs=np.ascontiguousarray(expression),
            pose_dirs=pose_dirs,
            joint_regressor=regressor,
            weights=weights,
            uv=uv,
            uv_faces=uv_faces,
            expression_names=tuple(str(name) for name in names),
        )

    def get(self, name: str) -> Array:
        if name not in self.arrays:
            raise BodyModelError(
                f'{self.path}: has no {name!r}; it has {", ".join(sorted(self.arrays)[:12])}. '
                'Expected an SMPL, SMPL-X or FLAME model file.'
            )
        return self.arrays[name]

    def shape_error(self, name: str, found: Array, expected: str) -> BodyModelError:
        return BodyModelError(
            f'{self.path}: {name} is {found.dtype} {found.shape}; expected {expected}. '
            'The file is damaged or of another kind.'
        )

    def floats(
        self, name: str, ndim: int, shape: tuple[int | None, ...] | None = None
    ) -> FloatArray:
        array = self.get(name)
        wanted = shape or (None,) * ndim
        fits = array.ndim == ndim and array.dtype.kind in 'fiu'
        fits = fits and all(w in (None, s) for w, s in zip(wanted, array.shape, strict=False))
        if not fits:
            text = ', '.join('any' if w is None else str(w) for w in wanted)
            raise self.shape_error(name, array, f'numbers ({text})')
        array = np.ascontiguousarray(array, dtype=np.float64)
        if not np.isfinite(array).all():
            raise BodyModelError(f'{self.path}: {name} has values that are not finite.')
        return array

    def pose_dirs(self, count: int, joints: int) -> FloatArray | None:
        features = 9 * (joints - 1)
        raw = self.get('posedirs')
        if raw.shape != (count, 3, features):
            raise self.shape_error('posedirs', raw, f'numbers ({count}, 3, {features})')
        return self.floats('posedirs', 3) if raw.any() else None

    def uv(self, faces: int) -> tuple[Array | None, Array | None]:
        names = next(
            (n for n in (('texture_coordinates', 'ft'), ('vt', 'ft')) if n[0] in self.arrays), None
        )
        if names is None or names[1] not in self.arrays:
            return None, None
        uv, uv_faces = self.floats(names[0], 2, (None, 2)), self.arrays[names[1]]
        if uv_faces.shape != (faces, 3) or uv_faces.dtype.kind not in 'iu':
            raise self.shape_error(names[1], uv_faces, f'integers ({faces}, 3)')
        return uv, uv_faces.astype(np.int64)

    def check_parents(self, skeleton: Skeleton) -> None:
        tree = self.get('kintree_table')
        if tree.shape != (2, len(skeleton)):
            raise self.shape_error('kintree_table', tree, f'integers (2, {len(skeleton)})')
        # The root's parent is -1, written as an unsigned number.
        if not np.array_equal(tree[0, 1:].astype(np.int64), skeleton.parent_array[1:]):
            raise BodyModelError(
                f'{self.path}: kintree_table does not have the joint order of {skeleton.name}; '
                'expected ' + ', '.join(skeleton.joints[:4]) + ' ...'
            )

    @staticmethod
    def without_empty(dirs: FloatArray) -> FloatArray:
        """Drop trailing directions that are all zero (padding to the format's width)."""
        used = np.flatnonzero(np.abs(dirs).max(axis=(0, 1))) if dirs.size else np.zeros(0, int)
        return np.ascontiguousarray(dirs[:, :, : int(used[-1]) + 1 if len(used) else 0])
