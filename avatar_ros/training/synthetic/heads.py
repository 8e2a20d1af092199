# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Heads with exact truth: people who make faces before sixteen cameras, as NeRSemble's did."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from tqdm import tqdm

from avatar_ros.body import ARKIT_52, FLAME, SMPLX
from avatar_ros.body.flame import HeadModel
from avatar_ros.body.licensed import read_model_file
from avatar_ros.body.model import free_body_path
from avatar_ros.geometry import Camera, matrix_from_rotvec, rotvec_from_quat
from avatar_ros.tracking.face import eye_quats
from avatar_ros.training.head.cameras import nersemble_rig
from avatar_ros.training.head.capture import (
    SPLITS,
    FlameParameters,
    flame_arrays,
    write_split,
)
from avatar_ros.training.synthetic.mesh_person import MeshPerson, read_person
from avatar_ros.training.synthetic.mesh_raster import Mesh, draw
from avatar_ros.types import FloatArray

#: Cameras that are held out.
NOVEL_VIEWS = (4, 11)
#: Square metres a vertex that a beta of 1 must explain.
_BETA_WEIGHT = (0.5e-3) ** 2

_HEAD_JOINTS = ('neck', 'head', 'jaw', 'left_eye_smplhf', 'right_eye_smplhf')

#: Faces that people make; the last ones are kept for testing.
FACES: tuple[dict[str, float], ...] = (
    {},
    {'jawOpen': 0.8, 'mouthStretchLeft': 0.2, 'mouthStretchRight': 0.2},
    {'mouthSmileLeft': 0.9, 'mouthSmileRight': 0.9, 'cheekSquintLeft': 0.5,
     'cheekSquintRight': 0.5},
    {'eyeBlinkLeft': 1.0, 'eyeBlinkRight': 1.0, 'mouthPressLeft': 0.3, 'mouthPressRight': 0.3},
    {'browInnerUp': 0.9, 'browOuterUpLeft': 0.8, 'browOuterUpRight': 0.8, 'jawOpen': 0.25,
     'eyeWideLeft': 0.7, 'eyeWideRight': 0.7},
    {'browDownLeft': 0.9, 'browDownRight': 0.9, 'noseSneerLeft': 0.7, 'noseSneerRight': 0.7,
     'mouthFrownLeft': 0.4, 'mouthFrownRight': 0.4},
    {'mouthPucker': 0.9, 'eyeLookInLeft': 0.7, 'eyeLookOutRight': 0.7},
    {'mouthSmileLeft': 0.8, 'mouthUpperUpLeft': 0.5, 'mouthUpperUpRight': 0.5,
     'mouthLowerDownLeft': 0.5, 'mouthLowerDownRight': 0.5, 'jawOpen': 0.15},
    {'jawLeft': 0.6, 'mouthLeft': 0.6, 'eyeBlinkRight': 0.9, 'eyeLookOutLeft': 0.6},
    {'mouthFunnel': 0.8, 'jawOpen': 0.5, 'eyeLookUpLeft': 0.7, 'eyeLookUpRight': 0.7},
    {'cheekPuff': 0.8, 'eyeLookDownLeft': 0.7, 'eyeLookDownRight': 0.7},
)  # fmt: skip
NOVEL_FACES: tuple[dict[str, float], ...] = (
    {'mouthSmileLeft': 0.5, 'mouthSmileRight': 0.6, 'jawOpen': 0.45, 'browInnerUp': 0.4},
    {'mouthFrownLeft': 0.8, 'mouthFrownRight': 0.8, 'eyeBlinkLeft': 0.55, 'eyeBlinkRight': 0.55,
     'eyeLookOutLeft': 0.3, 'eyeLookInRight': 0.3},
    {'mouthRollLower': 0.6, 'mouthRollUpper': 0.5, 'browDownLeft': 0.6, 'browOuterUpRight': 0.8},
)  # fmt: skip


class HeadPerson(Protocol):
    """Somebody whose FLAME parameters are known."""

    name: str
    licence: str
    shape: FloatArray
    offset: FloatArray
    mesh: Mesh
    place: FloatArray
    """FLAME translation that puts the neck joint to the world's origin."""

    def posed(self, at: FlameParameters) -> FloatArray:
        """Vertices of the mesh in the world."""
        ...

    def light(self, vertices: FloatArray) -> FloatArray:
        """Linear light factors of posed vertices."""
        ...


class DressedHead:
    """A head of `tools/make_heads.py`, with the FLAME parameters of the free head for it."""

    licence = 'CC0-1.0'

    def __init__(self, person: MeshPerson, head: HeadModel) -> None:
        self.name, self._person, self.mesh = person.name, person, _of_head(person)
        rows = read_model_file(free_body_path('flame'))['body_vertex_index'].astype(int)
        mine = np.asarray(person.subject.vertices)[rows]
        skin = len(rows)
        dirs = head.model.shape_dirs[:skin].reshape(3 * skin, -1)
        # Where FLAME's origin lies in the person is free, hence three more unknowns.
        system = np.c_[dirs, np.tile(np.eye(3), (skin, 1))]
        wanted = (mine - head.model.template[:skin]).ravel()
        # Betas of a likely person; what they do not reach is the person's own offset.
        prior = np.diag([1.0] * dirs.shape[1] + [0.0] * 3) * (skin * _BETA_WEIGHT)
        found = np.linalg.solve(system.T @ system + prior, system.T @ wanted)
        self.shape, self._origin = found[:-3], found[-3:]
        self.offset = np.zeros_like(head.model.template)
        self.offset[:skin] = (wanted - system @ found).reshape(-1, 3)
        joints = head.model.rest_joints(self.shape)
        self.place = -joints[FLAME.index['neck']]
        self._base = joints[0] + self._origin
        # FLAME's neck turns about a joint that the betas give: the person's does the same.
        rest = person.subject.rest_joints
        rest[SMPLX.index['neck']] = joints[FLAME.index['neck']] + self._origin

    def posed(self, at: FlameParameters) -> FloatArray:
        rotvecs = np.zeros((len(SMPLX), 3))
        for joint, row in (
            ('neck', 1),
            ('jaw', 2),
            ('left_eye_smplhf', 3),
            ('right_eye_smplhf', 4),
        ):
            rotvecs[SMPLX.index[joint]] = at.rotvecs[row]
        v = self._person.posed(rotvecs, np.zeros(3), at.expression, wrinkles=False)
        turned = (v - self._base) @ matrix_from_rotvec(at.rotvecs[0]).T
        return np.asarray(turned + self._base - self._origin + at.translation)

    def light(self, vertices: FloatArray) -> FloatArray:
        return np.asarray(self._person.light(vertices) * 0.85)


def _of_head(person: MeshPerson) -> Mesh:
    """The triangles that neck and head carry: shoulders are not part of the avatar."""
    carried = person.weights[:, SMPLX.rows(_HEAD_JOINTS)].sum(1)
    kept = (carried[person.mesh.faces] > 0.4).all(1)
    m = person.mesh
    return replace(m, faces=m.faces[kept], surface=m.surface[kept], labels=m.labels[kept])


def read_heads(folder: Path, head: HeadModel) -> list[HeadPerson]:
    """Every head that `tools/make_heads.py` wrote into a folder.

    :raises CaptureError: if a file is damaged.
    :raises ValueError: if there is none.
    """
    files = sorted(folder.glob('*.npz'))
    if not files:
        raise ValueError(f'{folder}: holds no .npz; make heads with tools/make_heads.py.')
    return [DressedHead(read_person(path), head) for path in files]


@dataclass(frozen=True)
class Session:
    """How much is photographed."""

    size: int = 512
    faces: int = len(FACES)
    novel_faces: int = len(NOVEL_FACES)
    supersampling: int = 2
    head_turn_rad: float = 0.25


def acted(face: dict[str, float], rng: np.random.Generator, session: Session) -> FlameParameters:
    """FLAME parameters of a face, made by somebody who never makes it twice alike."""
    weights = {name: value * rng.uniform(0.75, 1.1) for name, value in face.items()}
    for name in rng.choice(ARKIT_52[:-1], 4, replace=False):
        weights[name] = max(weights.get(name, 0.0), rng.uniform(0, 0.15))
    rotvecs = np.zeros((len(FLAME), 3))
    rotvecs[0] = rng.uniform(-0.3, 0.3, 3) * session.head_turn_rad
    rotvecs[1] = rng.uniform(-1, 1, 3) * session.head_turn_rad * np.array([0.8, 1.0, 0.5])
    eyes = eye_quats(weights)
    rotvecs[3], rotvecs[4] = (rotvec_from_quat(eyes[side]) for side in ('left', 'right'))
    vector = np.clip([weights.get(name, 0.0) for name in ARKIT_52], 0, 1)
    return FlameParameters(vector, rotvecs, rng.normal(0, 0.004, 3))


def photograph(
    person: HeadPerson, folder: Path, session: Session, seed: int, progress: bool = True
) -> None:
    """A capture folder of one person; splits by held-out cameras and held-out faces."""
    rng = np.random.default_rng([11, seed])
    cameras = nersemble_rig(session.size)
    for name in ('images', 'fg_masks', 'flame_param'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    known = list(FACES[: session.faces])
    acts = [(face, 'train') for face in known]
    acts += [(face, 'novel_expression') for face in NOVEL_FACES[: session.novel_faces]]
    tint = np.array([1.0, 1.0, 1.0]) + rng.normal(0, 0.03, 3)
    frames: dict[str, list[tuple[int, int, Camera]]] = {split: [] for split in SPLITS}
    bar = tqdm(
        total=len(acts) * len(cameras), desc=person.name, unit='picture', disable=not progress
    )
    with bar:
        for timestep, (face, split) in enumerate(acts):
            at = acted(face, rng, session)
            at = replace(at, translation=at.translation + person.place)
            vertices = person.posed(at)
            light = np.clip(person.light(vertices) * tint, 0, None)
            for number, camera in enumerate(cameras):
                drawing = draw(person.mesh, vertices, light, camera, session.supersampling)
                stem = f'{timestep:05d}_{number:02d}.png'
                # Straight colours: the reader multiplies by the mask.
                straight = drawing.rgb / np.maximum(drawing.coverage, 1e-3)[..., None]
                rgb = (straight.clip(0, 1) * 255).round().astype(np.uint8)
                cover = (drawing.coverage * 255).round().astype(np.uint8)
                cv2.imwrite(str(folder / 'images' / stem), rgb[..., ::-1])
                cv2.imwrite(str(folder / 'fg_masks' / stem), cover)
                held = split == 'train' and number in NOVEL_VIEWS
                frames['novel_view' if held else split].append((timestep, number, camera))
                bar.update()
            arrays = flame_arrays(person.shape, person.offset, at)
            np.savez(folder / 'flame_param' / f'{timestep:05d}.npz', **arrays)  # type: ignore[arg-type]
    for split, name in SPLITS.items():
        write_split(folder / name, frames[split])


def photograph_all(
    people: Sequence[HeadPerson], out: Path, session: Session, progress: bool = True
) -> None:
    """One capture folder for each person; folders that are complete are kept."""
    for seed, person in enumerate(people):
        folder = out / person.name
        if all((folder / name).exists() for name in SPLITS.values()):
            continue
        photograph(person, folder, session, seed, progress)
