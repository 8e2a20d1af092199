# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The body, its eyes, and MakeHuman's clothes, hair and teeth fitted to it."""

from pathlib import Path

import cv2
import numpy as np
from makehuman import Base, Fitting, Obj, posed_joints, skin, tpose_rotations

from avatar_ros.body.skeletons import ARKIT_52, SIDES, SMPLX
from dressed_person.part import Part
from dressed_person.textures import eye_texture, read_texture, recoloured


def eyeball(base: Base, body: np.ndarray, side: int, texture: np.ndarray) -> Part:
    """A sphere with a cornea where the helper eye is; the texture holds two eyeballs."""
    helper = body[base.group(f'helper-{"lr"[side]}-eye')]
    low, high = helper.min(0), helper.max(0)
    radius = (high[0] - low[0]) / 2
    centre = (low + high) / 2
    centre[2] = low[2] + radius
    bulge = max(high[2] - centre[2] - radius, 0) / radius
    rings, spokes = 40, 48
    theta = np.linspace(0, np.pi * 0.62, rings)[:, None]
    phi = np.linspace(0, 2 * np.pi, spokes + 1)[None]
    r = radius * (1 + bulge * np.exp(-((theta / 0.42) ** 4)))
    unit = [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi]
    # Straight ahead lies in the middle between the lids, which is not the middle of the helper.
    outward = 0.07 if side == 0 else -0.07
    look = cv2.Rodrigues(np.array([0.12, outward, 0.0]))[0]
    vertices = (np.stack(unit, -1) * r[..., None]).reshape(-1, 3) @ look.T + centre
    spread = 0.30 * np.where(theta < np.pi / 2, np.sin(theta), 1.0)
    cx, cy = ((0.294, 0.299), (0.706, 0.701))[side]
    uv = np.stack([cx + spread * np.cos(phi), cy + spread * np.sin(phi)], -1).reshape(-1, 2)
    a = (np.arange(rings - 1)[:, None] * (spokes + 1) + np.arange(spokes)).ravel()
    b = a + spokes + 1
    faces = np.concatenate([np.stack([a, b, b + 1], 1), np.stack([a, b + 1, a + 1], 1)])
    weights = np.zeros((len(vertices), len(SMPLX)))
    weights[:, SMPLX.index[f'{SIDES[side]}_eye_smplhf']] = 1
    return Part('eye', vertices, weights, faces, uv, faces, texture)


def hide_covered(inner: Part, outer: Part) -> None:
    """Drop faces of the inner garment that lie under the outer one, away from its hem."""
    from scipy.spatial import cKDTree

    normals = outer.normals(outer.vertices)
    distance, nearest = cKDTree(outer.vertices).query(inner.vertices)
    outward = ((inner.vertices - outer.vertices[nearest]) * normals[nearest]).sum(1)
    edges = np.sort(np.concatenate([outer.faces[:, [i, (i + 1) % 3]] for i in range(3)]), 1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    hem = outer.vertices[np.unique(unique[count == 1])]
    covered = (distance < 0.06) & (outward < 0.01)
    if len(hem):
        covered &= cKDTree(hem).query(inner.vertices)[0] > 0.007
        covered &= inner.vertices[:, 1] > hem[:, 1].min() + 0.005
    inner.keep_faces(~covered[inner.faces].all(1))


def soften_crotch(part: Part, joints: np.ndarray, rounds: int = 25) -> None:
    """Average the weights between the thighs, where trousers otherwise fold into a lump."""
    row = SMPLX.index
    hips = (joints[row['left_hip']] + joints[row['right_hip']]) / 2
    reach = np.linalg.norm((part.vertices - hips - [0, -0.05, 0.0]) / [0.13, 0.16, 0.2], axis=1)
    amount = np.clip(2 * (1 - reach), 0, 1)[:, None]
    edges = np.concatenate([part.faces[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0))])
    edges = np.concatenate([edges, edges[:, ::-1]])
    count = np.bincount(edges[:, 0], minlength=len(amount))[:, None] + 1.0
    for _ in range(rounds):
        total = part.weights.copy()
        np.add.at(total, edges[:, 0], part.weights[edges[:, 1]])
        part.weights = part.weights * (1 - amount) + total / count * amount


def dress(
    base: Base, assets: Path, person: dict, skin_texture: np.ndarray
) -> tuple[list[Part], np.ndarray]:
    """Parts in the A-pose with the 52 face actions, and the joints (55, 3)."""
    shape = person['phenotype'], person.get('changes')

    def shaped(actions: dict[str, float] | None = None) -> tuple[np.ndarray, np.ndarray]:
        return base.shaped(shape[0], actions, shape[1])

    neutral, joints = shaped()
    body, _ = shaped(person['at_rest'])
    # The actions are linear: each moves the resting face as it moves the neutral one.
    acted = [shaped({name: 1.0})[0] - neutral for name in ARKIT_52]
    acted = [body + delta for delta in acted]
    parts: list[Part] = []
    hidden = np.zeros(len(body), bool)

    def add(kind: str, folder: str, name: str, texture: Path | None = None) -> None:
        where = assets / folder / name
        fitting = Fitting.read(where / f'{name}.mhclo')
        obj = Obj.read(fitting.obj)
        hidden[fitting.hides] = True
        choices = [where / f'{name}{end}' for end in ('_diffuse.png', '_diffuse.jpg', '.png')]
        image = read_texture(texture or next(path for path in choices if path.exists()))
        occlusion = where / f'{name}_ao.jpg'
        if occlusion.exists():
            ao = cv2.imread(str(occlusion), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
            image = cv2.resize(image, ao.shape[::-1])
            image[..., :3] = image[..., :3] * (0.35 + 0.65 * ao[..., None])
        if kind == 'hair':
            image = recoloured(image, person['hair_rgb'], 1.05)
        elif kind == 'brow':
            image = recoloured(image, person['hair_rgb'], 0.75)
        elif kind == 'lash':
            image[..., 3] = image[..., 3] * 0.7
        elif kind == 'cloth' and folder == 'clothes' and 'suit' in name:
            lifted = (image[..., :3] / 255.0) ** 0.82
            image[..., :3] = np.clip(lifted * 255, 0, 255)
        part = Part(
            kind,
            fitting.fit(body),
            fitting.weights(base.weights),
            obj.faces,
            obj.uv,
            obj.uv_faces,
            image,
        )
        if kind != 'cloth':
            part.deltas = np.stack([fitting.fit(v) - part.vertices for v in acted])
        parts.append(part)

    for name in person['clothes']:
        add('cloth', 'clothes', name)
    if parts:
        soften_crotch(parts[0], joints)
    if person['hair']:
        add('hair', 'hair', person['hair'])
    add('brow', 'eyebrows', person['brows'])
    add('lash', 'eyelashes', person['lashes'])
    add('teeth', 'teeth', 'teeth_base', assets / 'teeth' / 'materials' / 'teeth.png')
    add('tongue', 'tongue', 'tongue01')
    eyes = eye_texture(assets / 'eyes' / 'materials' / f'{person["eyes"]}_eye.png')
    parts += [eyeball(base, body, side, eyes) for side in (0, 1)]
    garments = [part for part in parts if part.kind == 'cloth']
    for part in garments[1:]:
        hide_covered(part, garments[0])
    of_body = base.obj.groups == 'body'
    faces, uv_faces = base.obj.faces[of_body], base.obj.uv_faces[of_body]
    shown = ~hidden[faces].all(1)
    bare = Part(
        'skin',
        body,
        base.weights,
        faces[shown],
        base.obj.uv,
        uv_faces[shown],
        skin_texture,
        np.stack([v - body for v in acted]),
        faces,
    )
    return [*parts, bare], joints


def into_tpose(parts: list[Part], joints: np.ndarray) -> np.ndarray:
    """Take the parts to the T-pose with the pelvis at the origin; returns the joints (55, 3)."""
    to_t = tpose_rotations(joints)
    rest_joints = posed_joints(joints, to_t)
    pelvis = rest_joints[0].copy()
    for part in parts:
        part.vertices = skin(part.vertices, part.weights, joints, to_t) - pelvis
    return rest_joints - pelvis
