# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""One camera's frame: the kernels in their order, over numpy arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from avatar_ros.geometry import Camera
from avatar_ros.render.kernels.bins import deal_tiles, emit_pairs, fill_bins
from avatar_ros.render.kernels.blend import blend
from avatar_ros.render.kernels.blend_plain import blend_plain
from avatar_ros.render.kernels.project import project
from avatar_ros.render.kernels.sort import gather_rows, sort_by_depth
from avatar_ros.render.kernels.tiles import TILE_WIDTH, F
from avatar_ros.render.workspace import CameraBuffers
from avatar_ros.types import Array

Job = Callable[[], object]
#: Runs jobs, possibly at the same time, and returns when all are done.
Runner = Callable[[Sequence[Job]], None]

BLACK = np.zeros(3, np.float32)


def run_in_turn(jobs: Sequence[Job]) -> None:
    """The runner of one thread."""
    for job in jobs:
        job()


@dataclass(frozen=True)
class Splats:
    """Gaussians as contiguous float32 arrays, colours (N, 3) of one camera."""

    means: Array
    quats: Array
    scales: Array
    opacities: Array
    colors: Array


@dataclass(frozen=True)
class View:
    """A camera and the projection options, in the types that the kernels were compiled for."""

    matrix: Array
    eye: Array
    intrinsics: tuple[F, F, F, F]
    width: int
    height: int
    eps2d: F
    near: F
    far: F
    antialiased: bool

    @classmethod
    def of(cls, camera: Camera, eps2d: float, near: float, far: float, antialiased: bool) -> 'View':
        """The view of a camera; its lens distortion is ignored."""
        K = camera.K
        return cls(
            np.ascontiguousarray(camera.T_camera_world, np.float32),
            np.ascontiguousarray(camera.position, np.float32),
            (F(K[0, 0]), F(K[1, 1]), F(K[0, 2]), F(K[1, 2])),
            camera.width,
            camera.height,
            F(eps2d),
            F(near),
            F(min(far, 1e30)),
            antialiased,
        )


def ranges(n: int, workers: int) -> list[tuple[int, int]]:
    """0..n cut into `workers` contiguous pieces."""
    edges = [n * k // workers for k in range(workers + 1)]
    return list(pairwise(edges))


def prepare(
    buffers: CameraBuffers,
    splats: Splats,
    view: View,
    workers: int = 1,
    run: Runner = run_in_turn,
) -> int:
    """Number of Gaussians that the camera sees; `buffers` then hold them by depth and by tile."""
    n = len(splats.means)
    buffers.reserve(n, view.width, view.height, workers)
    rows, depths = buffers.rows[:n], buffers.depths[:n]
    run(
        [
            partial(
                project,
                splats.means, splats.quats, splats.scales, splats.opacities, splats.colors,
                view.matrix, *view.intrinsics, F(view.width), F(view.height), view.eps2d,
                view.near, view.far, view.antialiased, begin, end, rows, depths,
            )
            for begin, end in ranges(n, workers)
        ]
    )  # fmt: skip
    drawn = int(
        sort_by_depth(
            depths, buffers.order, buffers.order_b, buffers.keys, buffers.keys_b, buffers.histogram
        )
    )
    gather_rows(buffers.order, drawn, rows, splats.colors, buffers.sorted_rows)
    bin_rows(buffers, drawn, view.width, view.height)
    deal_tiles(buffers.starts, workers, buffers.owners, buffers.loads)
    return drawn


def draw(
    buffers: CameraBuffers,
    splats: Splats,
    view: View,
    background: Array,
    depth_at: int,
    expected: bool,
    out: Array,
    alphas: Array,
    simd: bool = True,
    workers: int = 1,
    run: Runner = run_in_turn,
) -> int:
    """Number of Gaussians drawn into out (H, W, D) and alphas (H, W).

    `depth_at` and `expected` say where depth goes, see `write_row`. Afterwards `buffers`
    hold what the backward pass needs.
    """
    drawn = prepare(buffers, splats, view, workers, run)
    kernel = blend if simd else blend_plain
    run(
        [
            partial(
                kernel,
                buffers.sorted_rows, buffers.binned, buffers.starts, buffers.owners, worker,
                view.width, view.height, background, depth_at, expected, buffers.scratch[worker],
                out, alphas,
            )
            for worker in range(workers)
        ]
    )  # fmt: skip
    return drawn


def bin_rows(buffers: CameraBuffers, drawn: int, width: int, height: int) -> None:
    """Fill the bins of all tiles, with larger buffers if these do not suffice."""
    tiles_x = -(-width // TILE_WIDTH)
    while True:
        pairs = int(
            emit_pairs(
                buffers.sorted_rows, drawn, width, height, tiles_x, buffers.counts,
                buffers.pair_tile, buffers.pair_row,
            )
        )  # fmt: skip
        if pairs <= len(buffers.pair_tile):
            break
        buffers.reserve_pairs(pairs)
    fill_bins(
        buffers.counts, pairs, buffers.pair_tile, buffers.pair_row, buffers.starts, buffers.binned
    )
