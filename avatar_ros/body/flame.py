# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A FLAME head as head avatars need it: texture coordinates, named parts, eyeballs, teeth.

The licensed FLAME (Li 2017; 2020 and 2023 files) has eyeballs and no teeth; the free head of the
same file format has neither. What is missing is added here, so that Gaussians can be bound to it.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from avatar_ros.body.licensed import BodyModelError, read_model_file
from avatar_ros.body.model import BodyModel, free_body_path, load_body_model
from avatar_ros.body.skeletons import FLAME
from avatar_ros.body.torch_kinematics import joint_motion
from avatar_ros.geometry.torch_rotations import matrix_from_quat, quat_from_rotvec
from avatar_ros.types import Array, FloatArray

#: HeadGAP, supplementary: the parts that have networks of their own, in this order.
PARTS = (
    'forehead',
    'nose',
    'eye',
    'teeth',
    'lip',
    'ear',
    'hair',
    'boundary',
    'neck',
    'other face',
    'other',
)
#: Of the free head's eyeballs; MakeHuman's helper eyes are so large.
EYEBALL_M = 0.0148
_EYE_RINGS, _EYE_SPOKES = 12, 20
_TEETH_COLUMNS, _TEETH_ROWS = 17, 4
#: Texture below this height belongs to eyeballs and teeth.
EXTRA_UV = 0.14


@dataclass(frozen=True)
class HeadModel:
    """A FLAME model with everything that Gaussians are bound to."""

    model: BodyModel
    uv: Array
    """(T, 2) in 0..1, v up."""
    uv_faces: Array
    """(F, 3)."""
    part: Array
    """(F,) uint8 rows of `PARTS`."""

    def __post_init__(self) -> None:
        count = len(self.model.faces)
        if self.model.skeleton is not FLAME:
            raise BodyModelError(f'a {self.model.kind} model is no head; give a FLAME file.')
        if self.uv_faces.shape != (count, 3) or self.part.shape != (count,):
            raise BodyModelError(
                f'uv_faces {self.uv_faces.shape} and part {self.part.shape} do not fit to '
                f'{count} triangles.'
            )

    @cached_property
    def lip_vertices(self) -> Array:
        """Rows of the vertices of the lips."""
        return np.unique(self.model.faces[self.part == PARTS.index('lip')])


class Flame(nn.Module):
    """The head with gradients: FLAME eq. 1 with dual use of ``smplx``'s conventions.

    Lengths in metres, axes of SMPL. Buffers only; nothing of it is learned.
    """

    def __init__(self, model: BodyModel) -> None:
        super().__init__()
        arrays = {
            'template': model.template,
            'shape_dirs': model.shape_dirs,
            'expression_dirs': model.expression_dirs,
            'regressor': model.joint_regressor,
            'weights': model.weights,
        }
        for name, values in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.asarray(values, np.float32)))
        self.template: Tensor
        self.shape_dirs: Tensor
        self.expression_dirs: Tensor
        self.regressor: Tensor
        self.weights: Tensor
        self.pose_dirs: Tensor | None = None
        if model.pose_dirs is not None:
            self.register_buffer(
                'pose_dirs', torch.from_numpy(np.asarray(model.pose_dirs, np.float32))
            )

    def forward(
        self,
        shape: Tensor,
        expression: Tensor,
        rotvecs: Tensor,
        translation: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> Tensor:
        """Vertices (B, V, 3).

        :param shape: betas (S,) of one person.
        :param expression: (B, E).
        :param rotvecs: (B, 5, 3) of global, neck, jaw, left eye, right eye.
        :param translation: (B, 3).
        :param offset: the person's own (V, 3), FLAME's static offset.
        """
        return self.posed(*self.shaped(shape, expression, offset), rotvecs, translation)

    def shaped(
        self, shape: Tensor, expression: Tensor, offset: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Vertices (B, V, 3) and joints (5, 3) before posing."""
        v = self.template
        if len(shape):
            v = v + self.shape_dirs[..., : len(shape)] @ shape
        joints = self.regressor @ v
        if offset is not None:
            v = v + offset
        dirs = self.expression_dirs[..., : expression.shape[1]]
        return v + torch.einsum('vce,be->bvc', dirs, expression), joints

    def posed(
        self, v: Tensor, joints: Tensor, rotvecs: Tensor, translation: Tensor | None = None
    ) -> Tensor:
        """Vertices (B, V, 3) after posing what `shaped` gave."""
        quats = quat_from_rotvec(rotvecs).transpose(0, 1)
        if self.pose_dirs is not None:
            bent = matrix_from_quat(quats[1:]) - torch.eye(3, device=v.device)
            v = v + torch.einsum('vcf,bf->bvc', self.pose_dirs, bent.transpose(0, 1).flatten(1))
        motion = joint_motion(FLAME, joints, quats, translation)
        blended = torch.einsum('vj,jbkl->bvkl', self.weights, motion.A)
        return (blended[..., :3] @ v[..., None])[..., 0] + blended[..., 3]


def triangle_frames(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation (..., F, 3, 3) and size (..., F) of every triangle of vertices (..., V, 3).

    The frame of GaussianAvatars (Qian 2024): the first edge, the normal, and what completes a
    right-handed frame; the size is the mean of the first edge and the height above it.
    """
    v0, v1, v2 = (vertices[..., faces[:, k], :] for k in range(3))
    along = v1 - v0
    # A small number keeps triangles without area from giving NaN, gradients included.
    first = along / (along.norm(dim=-1, keepdim=True) + 1e-12)
    normal = torch.linalg.cross(first, v2 - v0, dim=-1)
    normal = normal / (normal.norm(dim=-1, keepdim=True) + 1e-12)
    third = -torch.linalg.cross(normal, first, dim=-1)
    size = (along.norm(dim=-1) + (third * (v2 - v0)).sum(-1).abs()) / 2
    return torch.stack([first, normal, third], dim=-1), size


def free_head() -> HeadModel:
    """The free head (CC0) in FLAME file format, with eyeballs and teeth."""
    path = free_body_path('flame')
    model = load_body_model(path)
    arrays = read_model_file(path)
    for name in ('vt', 'ft', 'part', 'inside_mouth'):
        if name not in arrays:
            raise BodyModelError(f'{path}: has no {name!r}; make it with tools/mark_free_head.py.')
    uv = np.asarray(arrays['vt'], float)
    head = HeadModel(model, uv, arrays['ft'].astype(np.int64), arrays['part'].astype(np.uint8))
    return _with_teeth(_with_eyeballs(head))


#: Regions of FLAME_masks.pkl by words in their names, in HeadGAP's order: the first one has it.
_REGIONS = {
    'forehead': ('forehead',),
    'nose': ('nose',),
    'eye': ('eye',),
    'lip': ('lip',),
    'ear': ('ear',),
    'hair': ('scalp', 'hair'),
    'boundary': ('boundary',),
    'neck': ('neck',),
    'other face': ('face',),
}


def licensed_head(flame: str | Path, uv: str | Path, masks: str | Path) -> HeadModel:
    """The user's own FLAME with the parts of HeadGAP, and teeth.

    :param flame: ``FLAME2020/generic_model.pkl``, ``flame2023.pkl`` or an ``.npz`` of them.
    :param uv: ``.npz`` with ``vt`` (T, 2) and ``ft`` (F, 3).
    :param masks: ``FLAME_masks.pkl``: name -> vertices.
    :raises BodyModelError: if a file is missing or does not fit.
    """
    model = load_body_model(flame)
    if model.skeleton is not FLAME:
        raise BodyModelError(f'{flame}: is a {model.kind} model; expected FLAME.')
    texture, regions = read_model_file(uv), read_model_file(masks)
    for name in ('vt', 'ft'):
        if name not in texture:
            raise BodyModelError(f'{uv}: has no {name!r}; expected the texture map of FLAME.')
    faces = texture['ft'].astype(np.int64)
    if faces.shape != model.faces.shape:
        raise BodyModelError(
            f'{uv}: ft has shape {faces.shape}, the model {len(model.faces)} triangles. '
            'They are of different FLAME versions.'
        )
    part = np.full(len(model.faces), PARTS.index('other'), np.uint8)
    taken = np.zeros(len(model.faces), bool)
    for name, words in _REGIONS.items():
        for region, vertices in regions.items():
            if not any(word in region for word in words) or vertices.ndim != 1:
                continue
            inside = np.zeros(len(model.template), bool)
            inside[vertices[vertices < len(inside)].astype(int)] = True
            # A triangle belongs to a region if all of it does.
            mine = inside[model.faces].all(1) & ~taken
            part[mine] = PARTS.index(name)
            taken[mine] = True
    if not taken.any():
        raise BodyModelError(f'{masks}: has no region of a face; expected FLAME_masks.pkl.')
    # FLAME's map fills the square; teeth need a strip at its lower end.
    room = EXTRA_UV / 2 + 0.005
    vt = np.asarray(texture['vt'], float) * (1, 1 - room) + (0, room)
    return _with_teeth(HeadModel(model, vt, faces, part))


def _grow(
    head: HeadModel,
    vertices: FloatArray,
    faces: Array,
    uv: FloatArray,
    part: str,
    joint: str,
    shape_dirs: FloatArray,
    expression_dirs: FloatArray | None = None,
) -> HeadModel:
    """The head with one more piece that a single joint carries."""
    m, count = head.model, len(vertices)
    if expression_dirs is None:
        expression_dirs = np.zeros((count, 3, m.expression_dirs.shape[2]))
    weights = np.zeros((count, len(FLAME)))
    weights[:, FLAME.index[joint]] = 1.0
    pose_dirs = m.pose_dirs
    if pose_dirs is not None:
        pose_dirs = np.concatenate([pose_dirs, np.zeros((count, *pose_dirs.shape[1:]))])
    grown = replace(
        m,
        template=np.concatenate([m.template, vertices]),
        faces=np.concatenate([m.faces, faces + len(m.template)]),
        shape_dirs=np.concatenate([m.shape_dirs, shape_dirs]),
        expression_dirs=np.concatenate([m.expression_dirs, expression_dirs]),
        pose_dirs=pose_dirs,
        joint_regressor=np.concatenate([m.joint_regressor, np.zeros((len(FLAME), count))], 1),
        weights=np.concatenate([m.weights, weights]),
        uv=None,
        uv_faces=None,
    )
    return HeadModel(
        grown,
        np.concatenate([head.uv, uv]),
        np.concatenate([head.uv_faces, faces + len(head.uv)]),
        np.concatenate([head.part, np.full(len(faces), PARTS.index(part), np.uint8)]),
    )


def _grid_faces(rows: int, columns: int) -> Array:
    """Triangles of a grid of points in row order."""
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    b = a + columns
    return np.concatenate([np.stack([a, b, b + 1], 1), np.stack([a, b + 1, a + 1], 1)])


def _with_eyeballs(head: HeadModel) -> HeadModel:
    """Spheres about the eye joints, open at the back."""
    theta = np.linspace(0.02, np.pi * 0.62, _EYE_RINGS)[:, None]
    phi = np.linspace(0, 2 * np.pi, _EYE_SPOKES + 1)[None]
    bulge = 1 + 0.06 * np.exp(-((theta / 0.42) ** 4))
    unit = [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi]
    ball = (np.stack(unit, -1) * bulge[..., None]).reshape(-1, 3)
    faces = _grid_faces(_EYE_RINGS, _EYE_SPOKES + 1)
    disc = theta / theta.max() * 0.5
    for k, side in enumerate(('left', 'right')):
        row = head.model.joint_regressor[FLAME.index[f'{side}_eye']]
        uv = np.stack([0.5 + disc * np.cos(phi), 0.5 + disc * np.sin(phi)], -1).reshape(-1, 2)
        uv = uv * (EXTRA_UV - 0.01) + np.array([k * EXTRA_UV, 0.0])
        dirs = np.einsum('v,vcs->cs', row, head.model.shape_dirs)
        head = _grow(
            head,
            row @ head.model.template + EYEBALL_M * ball,
            faces,
            uv,
            'eye',
            f'{side}_eye',
            np.broadcast_to(dirs, (len(ball), *dirs.shape)),
        )
    return head


def _with_teeth(head: HeadModel) -> HeadModel:
    """Two arcs behind the lips: the upper one on the head, the lower one on the jaw."""
    m, lips = head.model, head.lip_vertices
    lip = m.template[lips]
    middle = lip.mean(0)
    half = 0.72 * np.ptp(lip[:, 0]) / 2
    x = np.linspace(-half, half, _TEETH_COLUMNS)
    front = lip[:, 2].max() - 0.013
    dirs = m.shape_dirs[lips].mean(0)
    for k, (jaw, root, edge) in enumerate((('neck', 0.010, 0.0), ('jaw', -0.011, -0.002))):
        height = np.linspace(root, edge, _TEETH_ROWS)
        grid = np.empty((_TEETH_ROWS, _TEETH_COLUMNS, 3))
        grid[..., 0] = x + middle[0]
        grid[..., 1] = middle[1] + height[:, None]
        grid[..., 2] = front - 0.020 * (x / half) ** 2 - (0.002 if k else 0.0)
        points = grid.reshape(-1, 3)
        u = np.broadcast_to(np.linspace(0, 1, _TEETH_COLUMNS), grid.shape[:2])
        v = np.broadcast_to(np.linspace(1, 0, _TEETH_ROWS)[:, None], grid.shape[:2])
        start = 2 * EXTRA_UV + 0.01 + k * 0.31
        uv = np.stack([start + 0.3 * u, (EXTRA_UV / 2) * v], -1).reshape(-1, 2)
        head = _grow(
            head,
            points,
            _grid_faces(_TEETH_ROWS, _TEETH_COLUMNS),
            uv,
            'teeth',
            jaw,
            np.broadcast_to(dirs, (len(points), *dirs.shape)),
            _carried_by_jaw(m, points) if jaw == 'jaw' else None,
        )
    return head


def _carried_by_jaw(model: BodyModel, points: FloatArray) -> FloatArray:
    """Expression directions (N, 3, E) of points fixed to a jaw that actions move.

    Where the jaw opens by an action and not by its joint, the chin's motion tells where the teeth
    go: the affine map that explains it best.
    """
    chin = model.weights[:, FLAME.index['jaw']] > 0.7
    result = np.zeros((len(points), 3, model.expression_dirs.shape[2]))
    at = np.c_[model.template[chin], np.ones(chin.sum())]
    for k, name in enumerate(model.expression_names):
        if name.startswith('jaw'):
            motion, *_ = np.linalg.lstsq(at, model.expression_dirs[chin, :, k], rcond=None)
            result[:, :, k] = np.c_[points, np.ones(len(points))] @ motion
    return result
