# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Where MediaPipe's 468 face landmarks lie on the free head.

    python tools/embed_face_landmarks.py --people out/people \
        --out avatar_ros/data/bodies/flame_face_landmarks.npz

Made people (`make_heads.py`) are photographed with a still face; every landmark's pixel is cast
onto their FLAME mesh, and the middle of what all people say is kept. The file has the names of the
fields of FLAME's own landmark embedding for MediaPipe.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from avatar_ros.body.flame import Flame, HeadModel, free_head
from avatar_ros.geometry import Camera, transform_points
from avatar_ros.tracking.faces_in_photo import PhotoError, PhotoReader
from avatar_ros.training.head.cameras import nersemble_rig
from avatar_ros.training.head.capture import FlameParameters
from avatar_ros.training.synthetic.heads import HeadPerson, read_heads
from avatar_ros.training.synthetic.mesh_raster import draw

LANDMARKS = 468
CAMERAS = (6, 7, 8, 9)


def cast(
    pixels: np.ndarray, vertices: np.ndarray, faces: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest front-facing triangle (L,) under each pixel, -1 for none, and the place in it."""
    seen = transform_points(camera.T_camera_world, vertices)
    flat = seen @ camera.K.T
    flat = flat[:, :2] / flat[:, 2:]
    a, b, c = (flat[faces[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    depth = seen[faces][:, :, 2].mean(1)
    hit, bary = np.full(len(pixels), -1), np.zeros((len(pixels), 3))
    for i, p in enumerate(pixels):
        w1 = (
            (p[0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (p[1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        ) / area
        w2 = (
            (b[:, 0] - a[:, 0]) * (p[1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (p[0] - a[:, 0])
        ) / area
        inside = np.flatnonzero((w1 >= 0) & (w2 >= 0) & (w1 + w2 <= 1))
        if len(inside):
            best = inside[depth[inside].argmin()]
            hit[i] = best
            bary[i] = 1 - w1[best] - w2[best], w1[best], w2[best]
    return hit, bary


def landmarks_of(
    person: HeadPerson, head: HeadModel, skin: int, reader: PhotoReader
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What a person's photographs say."""
    at = FlameParameters.neutral(head.model.expression_dirs.shape[2])
    at = FlameParameters(at.expression, at.rotvecs, person.place)
    arrays = (person.shape, at.expression[None], at.rotvecs[None], at.translation[None])
    with torch.no_grad():
        v = Flame(head.model)(
            *(torch.as_tensor(x, dtype=torch.float32) for x in arrays),
            torch.as_tensor(person.offset, dtype=torch.float32),
        )[0].numpy()
    posed = person.posed(at)
    found = []
    for number in CAMERAS:
        camera = nersemble_rig(640)[number]
        picture = draw(person.mesh, posed, person.light(posed), camera, 2)
        grey = 0.5 * (1 - picture.coverage[..., None])
        rgb = ((picture.rgb + grey).clip(0, 1) * 255).astype(np.uint8)
        try:
            face = reader.read(rgb, f'{person.name} {number}')
        except PhotoError as error:
            print(error)
            continue
        # Eyeballs and teeth do not count: lids and lips lie before them.
        found.append(cast(face.pixels[:LANDMARKS], v, head.model.faces[:skin], camera))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--people', type=Path, required=True)
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    head = free_head()
    skin = 9270  # triangles of the file; eyeballs and teeth are added behind them
    reader = PhotoReader()
    all_hits, all_bary = [], []
    for person in read_heads(args.people, head):
        for hit, bary in landmarks_of(person, head, skin, reader):
            all_hits.append(hit)
            all_bary.append(bary)
    hits, barys = np.array(all_hits), np.array(all_bary)
    places = np.einsum('plk,plkc->plc', barys, head.model.template[head.model.faces[hits]])
    places[hits < 0] = np.nan
    middle = np.nanmedian(places, axis=0)
    away = np.linalg.norm(places - middle, axis=-1)
    chosen = np.nanargmin(away, axis=0)
    rows = np.arange(LANDMARKS)
    spread = np.nanmedian(away, axis=0)
    np.savez_compressed(
        args.out,
        landmark_indices=rows.astype(np.int32),
        lmk_face_idx=hits[chosen, rows].astype(np.int32),
        lmk_b_coords=barys[chosen, rows].astype(np.float32),
        spread_m=spread.astype(np.float32),
    )
    print(
        f'{len(hits)} photographs; landmarks scatter by {1e3 * np.median(spread):.1f} mm (median)'
    )


if __name__ == '__main__':
    main()
