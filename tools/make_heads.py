# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Random people's heads from CC0 MakeHuman assets, for the prior of the head avatars.

    python tools/make_heads.py --assets ASSETS --body-map smplx_npz_to_hm08.npy --out out/heads

Each becomes a file like the person.npz of `dress_person.py`, cut off below the neck. `avatar_ros
capture heads --people out/heads` photographs them. Needs what `dress_person.py` needs.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from dressed_person.dressing import dress, into_tpose
from dressed_person.light import bake_light, middle_of_head, smoothed
from dressed_person.opengl import Gl
from dressed_person.painted_skin import paint_skin
from dressed_person.part import ALPHA_KINDS, Part
from makehuman import Base

from avatar_ros.body.skeletons import SMPLX

HAIR = ('short01', 'short02', 'short03', 'short04', 'long01', 'bob02', 'ponytail01', 'braid01', '')
HAIR_RGB = (
    (40, 32, 28),
    (62, 45, 34),
    (84, 62, 46),
    (120, 86, 52),
    (168, 130, 84),
    (150, 148, 146),
    (112, 52, 30),
)
#: From dark to light skin: face, lips.
SKINS = (
    ((92, 62, 48), (96, 54, 50)),
    ((140, 98, 74), (128, 74, 68)),
    ((186, 140, 112), (154, 92, 86)),
    ((214, 170, 145), (176, 104, 97)),
    ((228, 190, 170), (190, 116, 112)),
)
FACE_WORDS = ('head', 'nose', 'chin', 'cheek', 'mouth', 'eyes', 'ears', 'forehead', 'eyebrows')
TEXTURE = 1024
#: Metres below the neck joint that are kept.
NECK_M = 0.06


def random_person(rng: np.random.Generator, eyes: list[str], changes: list[str]) -> dict:
    """What `dress` takes, without clothes."""
    gender = float(rng.beta(0.6, 0.6))
    race = rng.dirichlet([0.8, 0.8, 0.8])
    # Darker skin goes with African features more often than not, but not always.
    tone = np.clip(3.6 - 3.4 * race[0] - 0.9 * race[1] + rng.normal(0, 0.5), 0, len(SKINS) - 1)
    low, part = int(tone), tone - int(tone)
    high = min(low + 1, len(SKINS) - 1)
    face, lips = (
        np.array(SKINS[low][k]) * (1 - part) + np.array(SKINS[high][k]) * part for k in (0, 1)
    )
    age = float(rng.uniform(0.42, 0.85))
    grey = age > 0.72 and rng.random() < 0.6
    return {
        'phenotype': {
            'gender': gender,
            'age': age,
            'muscle': float(np.clip(rng.normal(0.5, 0.2), 0, 1)),
            'weight': float(np.clip(rng.normal(0.5, 0.22), 0, 1)),
            'height': 0.5,
            'proportions': float(np.clip(rng.normal(0.6, 0.2), 0, 1)),
            'african': float(race[0]),
            'asian': float(race[1]),
            'caucasian': float(race[2]),
        },
        'changes': {n: float(np.clip(rng.normal(0, 0.3), -1, 1)) for n in changes},
        'clothes': [],
        'hair': str(rng.choice(HAIR[:-1] if gender < 0.5 else HAIR)),
        'hair_rgb': HAIR_RGB[5] if grey else HAIR_RGB[int(rng.choice(5 if tone < 2 else 7))],
        'brows': f'eyebrow{rng.integers(1, 13):03d}',
        'lashes': f'eyelashes{rng.integers(1, 5):02d}',
        'eyes': str(rng.choice(eyes)),
        'skin_rgb': tuple(face + rng.normal(0, 4, 3)),
        'lip_rgb': tuple(lips + rng.normal(0, 6, 3)),
        'stubble': float(rng.choice([0, 0.25, 0.5])) if gender > 0.55 else 0.0,
        'at_rest': {'mouthShrugLower': 0.28, 'browInnerUp': 0.3},
    }


def cut(part: Part, floor: float) -> bool:
    """Drop the faces below a height; does anything remain?"""
    part.keep_faces((part.vertices[part.faces][:, :, 1] > floor).all(1))
    return bool(len(part.faces))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--assets', type=Path, required=True, help='folder of MakeHuman CC0 items')
    parser.add_argument('--body-map', type=Path, required=True, help='smplx_npz_to_hm08.npy')
    parser.add_argument('--out', type=Path, required=True, help='folder for head_000.npz ...')
    parser.add_argument('-n', type=int, default=24, help='how many people')
    parser.add_argument('--first', type=int, default=0, help='seed of the first')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    base, gl = Base.load(local_changes=True), Gl()
    body_map = np.load(args.body_map)
    eyes = sorted(
        p.name.removesuffix('_eye.png') for p in (args.assets / 'eyes').rglob('*_eye.png')
    )
    changes = [c for c in base.model.local_change_labels if str(c).startswith(FACE_WORDS)]
    print(f'{len(changes)} local changes, eyes {eyes}')
    for seed in range(args.first, args.first + args.n):
        person = random_person(np.random.default_rng([7, seed]), eyes, changes)
        parts, joints = dress(base, args.assets, person, paint_skin(base, gl, person, TEXTURE))
        joints = into_tpose(parts, joints)
        body = parts[-1].vertices[body_map].astype(np.float32)
        floor = joints[SMPLX.index['neck'], 1] - NECK_M
        parts = [p for p in parts if p.kind in ALPHA_KINDS or cut(p, floor)]
        head = middle_of_head(joints)
        lights = smoothed(parts, bake_light(gl, parts, [p.vertices for p in parts], head, True))
        out: dict[str, np.ndarray] = {
            'joints': joints.astype(np.float32),
            'body_vertices': body,
        }
        for i, part in enumerate(parts):
            rows = part.corners[:, 0]
            texture = part.texture
            if max(texture.shape) > TEXTURE:
                texture = cv2.resize(texture, (TEXTURE, TEXTURE), interpolation=cv2.INTER_AREA)
            out |= {
                f'{i:02d}_kind': np.array(part.kind),
                f'{i:02d}_vertices': part.vertices[rows].astype(np.float32),
                f'{i:02d}_weights': part.weights[rows].astype(np.float32),
                f'{i:02d}_uv': part.uv[part.corners[:, 1]].astype(np.float32),
                f'{i:02d}_faces': part.triangles,
                f'{i:02d}_shade': lights[i][rows],
                f'{i:02d}_texture': texture,
            }
            if part.deltas is not None:
                out[f'{i:02d}_deltas'] = part.deltas[:, rows].astype(np.float32)
        path = args.out / f'head_{seed:03d}.npz'
        np.savez(path, **out)
        print(
            f'{path}: {path.stat().st_size / 1e6:.1f} MB, hair {person["hair"] or "none"}',
            flush=True,
        )


if __name__ == '__main__':
    main()
