# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A person as textured surfaces in the T-pose, with moving clothes, skinned to SMPL-X."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatar_ros.body import ARKIT_52, SMPLX
from avatar_ros.body.lbs import forward_kinematics, skinning_transforms
from avatar_ros.body.model import free_body
from avatar_ros.geometry import matrix_from_rotvec, quat_from_rotvec, rigid
from avatar_ros.training.capture import CaptureError, Subject
from avatar_ros.training.parts import part_of_joint
from avatar_ros.training.synthetic.clothes_motion import ClothesMotion
from avatar_ros.training.synthetic.mesh_raster import Mesh, TextureSet
from avatar_ros.types import Array, FloatArray, Image

ALPHA_KINDS = ('hair', 'brow', 'lash')
_SUN = np.array([0.45, 0.75, 0.50]) / np.linalg.norm([0.45, 0.75, 0.50])
_SUN_RGB = np.array([0.62, 0.60, 0.56])
_SKY_RGB, _GROUND_RGB = np.array([0.66, 0.68, 0.72]), np.array([0.42, 0.41, 0.40])
#: Vertices nearer than this share a normal: a seam of the texture is none of the surface.
_WELD_M = 1e-5


@dataclass(frozen=True)
class Surface:
    """One textured part; V counts corners that differ in place or texture coordinate."""

    kind: str
    """``cloth``, ``skin``, ``hair``, ``brow``, ``lash``, ``eye``, ``teeth``, ``tongue``."""
    vertices: Array
    """(V, 3) metres in the T-pose, pelvis near the origin."""
    weights: Array
    """(V, 55)."""
    uv: Array
    """(V, 2), v up."""
    faces: Array
    """(F, 3)."""
    shade: Array
    """(V, 3) baked light factors (occlusion); ones where there are none."""
    texture: Image
    """(H, W, 4) sRGB with opacity."""
    cloth: Array
    """(V,) in 0..1: how much of the clothes' own motion a vertex takes part in."""
    deltas: Array | None = None
    """(52, V, 3): what the ARKit actions do."""


class MeshPerson:
    """All surfaces of one person, ready to be posed and drawn."""

    def __init__(
        self, name: str, licence: str, surfaces: Sequence[Surface], subject: Subject
    ) -> None:
        self.name, self.licence, self.subject = name, licence, subject
        starts = np.cumsum([0, *(len(s.vertices) for s in surfaces)])
        shift = zip(surfaces, starts[:-1], strict=True)
        self.faces = np.concatenate([s.faces + start for s, start in shift]).astype(np.int32)
        self.vertices = np.concatenate([s.vertices for s in surfaces]).astype(np.float64)
        self.weights = np.concatenate([s.weights for s in surfaces]).astype(np.float64)
        self.weights /= self.weights.sum(1, keepdims=True)
        self.shade = np.concatenate([s.shade for s in surfaces]).astype(np.float64)
        self.cloth = np.concatenate([s.cloth for s in surfaces]).astype(np.float64)
        owner = np.repeat(np.arange(len(surfaces)), [len(s.vertices) for s in surfaces])
        keys = np.column_stack([owner, np.rint(self.vertices / _WELD_M).astype(np.int64)])
        self._welded = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
        self._acting = [
            (start, s.deltas.astype(np.float64))
            for s, start in zip(surfaces, starts[:-1], strict=True)
            if s.deltas is not None
        ]
        # A triangle belongs to the joint that carries most of it.
        per_face = self.weights[self.faces].sum(1)
        labels = part_of_joint(SMPLX)[per_face.argmax(1)].astype(np.uint8)
        self.mesh = Mesh(
            self.faces,
            np.concatenate([s.uv for s in surfaces]).astype(np.float32),
            np.repeat(np.arange(len(surfaces)), [len(s.faces) for s in surfaces]).astype(np.int32),
            labels,
            TextureSet.build(
                [s.texture for s in surfaces], [s.kind in ALPHA_KINDS for s in surfaces]
            ),
        )
        self.clothes = ClothesMotion(
            SMPLX, subject.rest_joints, self.vertices, self.normals(self.vertices), self.cloth
        )

    def normals(self, vertices: FloatArray) -> FloatArray:
        """Unit normals (V, 3) of vertices (V, 3), smooth across texture seams."""
        a, b, c = (vertices[self.faces[:, k]] for k in range(3))
        cross = np.cross(b - a, c - a)
        rows = self._welded[self.faces]
        total = np.zeros((self._welded.max() + 1, 3))
        for axis in range(3):
            sums = np.bincount(rows.ravel(), np.repeat(cross[:, axis], 3), len(total))
            total[:, axis] = sums
        total /= np.linalg.norm(total, axis=1, keepdims=True) + 1e-15
        return np.asarray(total[self._welded])

    def posed(
        self,
        rotvecs: FloatArray,
        translation: FloatArray,
        expression: FloatArray | None = None,
        wrinkles: bool = True,
    ) -> FloatArray:
        """Vertices (V, 3) in the world of a pose (55, 3); SMPL's ``transl`` (3,)."""
        v = self.vertices.copy()
        if expression is not None:
            for start, deltas in self._acting:
                v[start : start + deltas.shape[1]] += np.tensordot(expression, deltas, 1)
        if wrinkles:
            v += self.clothes.displacement(rotvecs)
        return pose_vertices(v, self.weights, self.subject.rest_joints, rotvecs, translation)

    def light(self, vertices: FloatArray) -> FloatArray:
        """Linear light factors (V, 3) of posed vertices: a sun, the sky and the ground."""
        return light_of(self.normals(vertices)) * self.shade


def light_of(normals: FloatArray) -> FloatArray:
    """Linear light factors (V, 3) on surfaces of these normals (V, 3): a sun, sky and ground."""
    up = 0.5 + 0.5 * normals[:, 1:2]
    sun = np.clip(normals @ _SUN, 0, None)[:, None]
    return np.asarray(_GROUND_RGB + (_SKY_RGB - _GROUND_RGB) * up + _SUN_RGB * sun)


def pose_vertices(
    vertices: FloatArray,
    weights: FloatArray,
    rest_joints: FloatArray,
    rotvecs: FloatArray,
    translation: FloatArray,
) -> FloatArray:
    """Linear blend skinning of vertices (V, 3) by SMPL-X rotation vectors (55, 3)."""
    root = rigid(matrix_from_rotvec(rotvecs[0]), rest_joints[0] + translation)
    quats = quat_from_rotvec(rotvecs)
    quats[0] = (1.0, 0.0, 0.0, 0.0)
    A = skinning_transforms(forward_kinematics(SMPLX, rest_joints, quats, root), rest_joints)
    blended = (weights @ A.reshape(len(A), 12)).reshape(-1, 3, 4)
    return np.asarray(np.einsum('vab,vb->va', blended[:, :, :3], vertices) + blended[:, :, 3])


def read_person(path: str | Path) -> MeshPerson:
    """A dressed person as `tools/dress_person.py` writes it with ``--body-map``.

    :raises CaptureError: if something is missing, or of another shape.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise CaptureError(
            f'{path}: cannot be read ({error}); expected the person.npz of tools/dress_person.py.'
        ) from error
    model = free_body('smplx')
    for key, shape in (('body_vertices', model.template.shape), ('joints', (len(SMPLX), 3))):
        found = data[key].shape if key in data else None
        if found != shape:
            raise CaptureError(
                f'{path}: {key} has shape {found}; expected {shape}. Make the file with '
                'tools/dress_person.py --body-map smplx_npz_to_hm08.npy.'
            )
    surfaces = []
    for part in sorted({key[:2] for key in data if key[2:3] == '_'}):
        fields = {key[3:]: data[key] for key in data if key.startswith(f'{part}_')}
        missing = {'kind', 'vertices', 'weights', 'uv', 'faces', 'shade', 'texture'} - set(fields)
        if missing:
            raise CaptureError(f'{path}: part {part} has no {sorted(missing)[0]!r}; make it anew.')
        kind, deltas = str(fields['kind']), fields.get('deltas')
        count = len(fields['vertices'])
        if deltas is not None and deltas.shape != (len(ARKIT_52), count, 3):
            raise CaptureError(
                f'{path}: {part}_deltas has shape {deltas.shape}; expected 52 actions.'
            )
        names = ('vertices', 'weights', 'uv', 'faces', 'shade', 'texture')
        soft = np.full(count, float(kind == 'cloth')) * _no_shoe(fields['weights'])
        surfaces.append(
            Surface(kind=kind, cloth=soft, deltas=deltas, **{name: fields[name] for name in names})
        )
    joints = data['joints'].astype(np.float64)
    return MeshPerson(
        path.stem,
        'CC0-1.0',
        surfaces,
        Subject(
            SMPLX,
            data['body_vertices'].astype(np.float64),
            model.faces,
            model.weights,
            joints,
            ARKIT_52,
            model.expression_dirs[:, :, [model.expression_names.index(n) for n in ARKIT_52]],
        ),
    )


def _no_shoe(weights: Array) -> Array:
    """(V,) 0 where feet carry a garment: leather does not flutter."""
    feet = SMPLX.rows([f'{s}_{j}' for s in ('left', 'right') for j in ('ankle', 'foot')])
    return np.asarray(1.0 - np.asarray(weights)[:, feet].sum(1).clip(0, 1))
