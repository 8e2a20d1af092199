# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Speed of the CPU engine: ``python -m benchmarks.render``."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera
from avatar_ros.render import NumbaEngine, ReferenceEngine
from avatar_ros.render.frame import BLACK
from avatar_ros.render.kernels.blend import blend
from avatar_ros.render.kernels.blend_plain import blend_plain
from avatar_ros.render.reference import project
from benchmarks.metrics import Metric, load, median_cpu_ms, median_wall_ms, write_results
from benchmarks.scene import camera, person

COMMAND = 'python -m benchmarks.render'
SCENES = ((20_000, 256), (50_000, 512), (200_000, 1024))


def metric(
    key: str,
    value: float,
    unit: str,
    conditions: str,
    better: Literal['lower', 'higher'] = 'lower',
) -> Metric:
    return Metric(f'render.{key}', value, unit, better, f'{conditions}; {load()}', COMMAND)


def label(n: int, size: int) -> str:
    return f'{n // 1000}k_{size}'


def live(engine: NumbaEngine, gaussians: Gaussians, cameras: list[Camera]) -> Callable[[], object]:
    workspace = engine.workspace()
    return lambda: engine.rasterize(gaussians, cameras, workspace=workspace)


def forward() -> list[Metric]:
    conditions = '1 thread, person fills the image height, RGB, median of 25 frames, CPU time'
    rows = []
    for n, size in SCENES:
        work = live(NumbaEngine(), person(n), [camera(size, size)])
        rows.append(
            metric(f'forward.{label(n, size)}.cpu_ms', median_cpu_ms(work), 'ms', conditions)
        )
    return rows


def stereo() -> list[Metric]:
    rows = []
    gaussians = person(50_000, sh_degree=3)
    eyes = [camera(512, 512), camera(512, 512, offset=0.064)]
    conditions = (
        'two eyes in one call, spherical harmonics of degree 3, median of 20 frames or more'
    )
    work = live(NumbaEngine(), gaussians, eyes)
    rows.append(
        metric(
            'forward.50k_512_stereo.cpu_ms',
            median_cpu_ms(work),
            'ms',
            f'{conditions}, 1 thread, CPU time',
        )
    )
    works = [live(NumbaEngine(threads=n), gaussians, eyes) for n in (1, 2)]
    # Elapsed time needs two idle cores: the quietest of several rounds, taken in turn.
    rounds = [[median_wall_ms(work, 20) for work in works] for _ in range(8)]
    wall = np.min(rounds, axis=0).tolist()
    for threads, value in enumerate(wall, start=1):
        rows.append(
            metric(
                f'forward.50k_512_stereo.{threads}_threads.wall_ms',
                value,
                'ms',
                f'{conditions}, threads: {threads}, elapsed time, quietest of 8 rounds',
            )
        )
    rows.append(
        metric(
            'forward.50k_512_stereo.two_threads_gain',
            wall[0] / wall[1],
            'x',
            f'{conditions}, elapsed time of 1 thread over that of 2',
            'higher',
        )
    )
    return rows


def training() -> list[Metric]:
    rows = []
    for n, size in ((5_000, 128), (10_000, 256)):
        engine, scene, view = NumbaEngine(), person(n), camera(size, size)
        names = ('means', 'quats', 'scales', 'opacities', 'colors')
        leaves = {name: getattr(scene, name).clone().requires_grad_() for name in names}
        target = torch.rand(1, size, size, 3)
        optimizer = torch.optim.Adam(leaves.values(), lr=1e-6, fused=True)

        def iteration(
            engine: NumbaEngine = engine,
            leaves: dict[str, torch.Tensor] = leaves,
            view: Camera = view,
            target: torch.Tensor = target,
            optimizer: torch.optim.Optimizer = optimizer,
        ) -> None:
            image = engine.rasterize(Gaussians(**leaves), [view]).colors
            (image - target).abs().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

        conditions = '1 thread, forward, L1, backward and fused Adam, median of 25, CPU time'
        rows.append(
            metric(
                f'training.{label(n, size)}.iteration_cpu_ms',
                median_cpu_ms(iteration),
                'ms',
                conditions,
            )
        )
    return rows


def fit_person(n: int = 5_000, size: int = 128, iterations: int = 200) -> float:
    """PSNR in dB on views not seen, of a person fitted to 12 views of another one.

    The start is a grey person with Gaussians in other places. The target is of the same
    family, so this shows that the gradients work, and not the quality of captured avatars.
    """
    engine = NumbaEngine()
    views = [camera(size, size, a) for a in np.linspace(0, 2 * np.pi, 12, endpoint=False)]
    held_out = [camera(size, size, a) for a in (0.26, 1.8, 3.4)]
    truth, start = person(n), person(n, seed=7)
    targets = [engine.rasterize(truth, [view]).colors for view in views]
    unseen = [engine.rasterize(truth, [view]).colors for view in held_out]
    noise = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    learned = {
        'means': (start.means + 0.004 * noise, 4e-4),
        'quats': (start.quats, 1e-2),
        'log_scales': (start.scales.log(), 1e-2),
        'colors': (torch.zeros(n, 3), 5e-2),
        'logits': (torch.ones(n), 3e-2),
    }
    leaves = {name: value.clone().requires_grad_() for name, (value, _) in learned.items()}
    optimizer = torch.optim.Adam(
        [{'params': leaves[name], 'lr': rate} for name, (_, rate) in learned.items()], fused=True
    )

    def image(view: Camera) -> torch.Tensor:
        gaussians = replace(
            truth,
            means=leaves['means'],
            quats=leaves['quats'],
            scales=leaves['log_scales'].exp(),
            opacities=leaves['logits'].sigmoid(),
            colors=leaves['colors'].sigmoid(),
        )
        return engine.rasterize(gaussians, [view]).colors

    for step in range(iterations):
        k = step * 5 % len(views)
        loss = (image(views[k]) - targets[k]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        errors = [
            (image(view) - target).square().mean().item()
            for view, target in zip(held_out, unseen, strict=True)
        ]
    return float(np.mean(-10 * np.log10(errors)))


def fit() -> list[Metric]:
    start = time.process_time()
    psnr = fit_person()
    seconds = time.process_time() - start
    conditions = '200 iterations on 12 views of a synthetic person, 3 views held out, 1 thread'
    return [
        metric('fit.5k_128.held_out_db', psnr, 'dB', conditions, 'higher'),
        metric('fit.5k_128.cpu_s', seconds, 's', conditions),
    ]


def simd() -> list[Metric]:
    engine, size = NumbaEngine(), 512
    workspace = engine.workspace()
    engine.rasterize(person(50_000), [camera(size, size)], workspace=workspace)
    (b,) = workspace.buffers(1)
    out, alphas = workspace.images(1, size, size, 3)

    def run(kernel: Callable[..., None]) -> float:
        return median_cpu_ms(
            lambda: kernel(
                b.sorted_rows, b.binned, b.starts, b.owners, 0, size, size, BLACK, -1, False,
                b.scratch[0], out[0], alphas[0, ..., 0],
            )
        )  # fmt: skip

    fast, slow = run(blend), run(blend_plain)
    conditions = '50k, 512x512, the same frame, 1 thread, median of 25, CPU time'
    return [
        metric('blend.simd.cpu_ms', fast, 'ms', conditions),
        metric('blend.plain.cpu_ms', slow, 'ms', conditions),
        metric('blend.simd_gain', slow / fast, 'x', conditions, 'higher'),
    ]


_FIRST_FRAME = """
import time, torch
torch.set_num_threads(1)
from avatar_ros.render import NumbaEngine
start = time.process_time()
NumbaEngine().warm_up()
middle = time.process_time()
NumbaEngine().warm_up(gradients=True)
print(middle - start, time.process_time() - start)
"""


def first_frame() -> list[Metric]:
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for state in ('cold', 'warm'):
            result = subprocess.run(
                [sys.executable, '-c', _FIRST_FRAME],
                env={**os.environ, 'NUMBA_CACHE_DIR': cache},
                capture_output=True,
                text=True,
                check=True,
            )
            image, gradient = map(float, result.stdout.split())
            conditions = f'kernel cache {state}, imports not counted, CPU time'
            rows += [
                metric(f'first_frame.{state}.cpu_s', image, 's', conditions),
                metric(f'first_frame_and_gradient.{state}.cpu_s', gradient, 's', conditions),
            ]
    return rows


def plain_torch_splatter(gaussians: Gaussians, view: Camera) -> torch.Tensor:
    """The straightforward torch renderer: project all, then blend one Gaussian after another.

    float32, no gradients, each Gaussian only in its bounding box.
    """
    splats = project(gaussians, gaussians.colors, view, 0.3, 0.01, 1e10, False)
    width, height = view.width, view.height
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing='ij')
    image, transmittance = torch.zeros(height, width, 3), torch.ones(height, width)
    low = (splats.pixels - splats.radii).floor().clamp_min(0).int().tolist()
    high = (splats.pixels + splats.radii).ceil().int().tolist()
    for (x0, y0), (x1, y1), (mx, my), (a, b, c), opacity, color in zip(
        low, high, splats.pixels.tolist(), splats.conics.tolist(), splats.opacities.tolist(),
        splats.colors, strict=True,
    ):  # fmt: skip
        box = (slice(y0, y1), slice(x0, x1))
        dx, dy = mx - x[box], my - y[box]
        sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
        alpha = (opacity * torch.exp(-sigma)).clamp_max(0.999)
        following = transmittance[box] * (1 - alpha)
        kept = (alpha >= 1 / 255) & (following > 1e-4)
        image[box] += torch.where(kept, alpha * transmittance[box], 0)[..., None] * color
        transmittance[box] = torch.where(kept, following, transmittance[box])
    return image


def against_torch() -> list[Metric]:
    rows = []
    for n, size in SCENES[:2]:
        gaussians, view = person(n), camera(size, size)
        with torch.no_grad():
            error = (
                plain_torch_splatter(gaussians, view)
                - ReferenceEngine().rasterize(gaussians, [view]).colors.float()
            )
            # A fair opponent draws the same picture.
            assert error.abs().quantile(0.99) < 1e-2
            slow = median_cpu_ms(lambda g=gaussians, v=view: plain_torch_splatter(g, v), 3, 1)
            tiled = median_cpu_ms(
                lambda g=gaussians, v=view: ReferenceEngine().rasterize(g, [v]), 3, 1
            )
        fast = median_cpu_ms(live(NumbaEngine(), gaussians, [view]))
        name = label(n, size)
        conditions = 'same scene and run, 1 thread, CPU time'
        rows += [
            metric(f'torch_loop.{name}.cpu_ms', slow, 'ms', f'{conditions}, float32, median of 3'),
            metric(
                f'torch_tiles.{name}.cpu_ms',
                tiled,
                'ms',
                f'{conditions}, our float64 reference, vectorised over tiles, median of 3',
            ),
            metric(
                f'gain_over_torch_loop.{name}',
                slow / fast,
                'x',
                f'{conditions}, one Gaussian at a time in torch',
                'higher',
            ),
            metric(
                f'gain_over_torch_tiles.{name}',
                tiled / fast,
                'x',
                f'{conditions}, our float64 reference',
                'higher',
            ),
        ]
    return rows


def accuracy() -> list[Metric]:
    gaussians, view = person(20_000), camera(256, 256)
    rows = []
    for mode in ('classic', 'antialiased'):
        found, expected = (
            engine.rasterize(gaussians, [view], render_mode='RGB+D', rasterize_mode=mode)
            for engine in (NumbaEngine(), ReferenceEngine())
        )
        error = (found.colors - expected.colors).abs()[..., :3]
        conditions = f'20k, 256x256, {mode}, against the float64 reference'
        rows += [
            metric(f'error.{mode}.rgb_p9999', error.quantile(0.9999).item(), '', conditions),
            metric(f'error.{mode}.rgb_max', error.max().item(), '', conditions),
        ]
    return rows


def main() -> None:
    torch.set_num_threads(1)
    NumbaEngine().warm_up(gradients=True)
    parts = (forward, stereo, training, fit, simd, accuracy, against_torch, first_frame)
    write_results('render', [row for part in parts for row in part()])


if __name__ == '__main__':
    main()
