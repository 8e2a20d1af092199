# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The CPU engine: numba kernels with explicit SIMD."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.sh_autograd import sh_colors
from avatar_ros.gaussians.spherical_harmonics import evaluate_sh_into
from avatar_ros.geometry import Camera
from avatar_ros.render.autograd import Rasterize, RasterizeFeatures, as_float32
from avatar_ros.render.engine import (
    RasterizeMode,
    Rendered,
    RenderMode,
    check_request,
    compose,
    needs_gradient,
)
from avatar_ros.render.frame import BLACK, Job, Splats, View, draw, run_in_turn
from avatar_ros.render.workspace import CameraBuffers, Workspace
from avatar_ros.types import Array

_CHANNELS = {'RGB': 3, 'D': 1, 'ED': 1, 'RGB+D': 4, 'RGB+ED': 4}
_DEPTH_AT = {'RGB': -1, 'D': 0, 'ED': 0, 'RGB+D': 3, 'RGB+ED': 3}


class NumbaEngine:
    """Rasterizer for CPUs, differentiable, exact within 1e-4 of the float64 reference.

    The kernels release the GIL and no lock is held, so that any number of threads may call
    `rasterize` at once, each with a workspace of its own. `threads` is how many work on one
    call: a camera each if there are several, parts of the image otherwise. The default of 1
    suits a node whose other threads track and encode.

    Gaussians with a value that is not finite, or with a quaternion of length zero, are left
    out of the image and get no gradient.
    """

    name = 'numba'
    differentiable = True

    def __init__(self, threads: int = 1, simd: bool = True) -> None:
        if threads < 1:
            raise ValueError(f'NumbaEngine got {threads} threads; expected at least 1.')
        self.device = torch.device('cpu')
        self.threads = threads
        self.simd = simd
        # The calling thread does its share of the work.
        self._pool = ThreadPoolExecutor(threads - 1, 'rasterize') if threads > 1 else None

    def workspace(self) -> Workspace:
        """Buffers for one thread; the images of a call are views into them."""
        return Workspace()

    def warm_up(self, gradients: bool = False) -> None:
        """Compile the kernels (seconds), or load them from numba's cache (a fraction of one)."""
        ones = torch.ones(2, 4)
        means = torch.tensor([[0.0, 0.0, 1.0]]).repeat(2, 1)
        sh = torch.zeros(2, 16, 3)
        gaussians = Gaussians(means, ones, 0.1 * ones[:, :3], ones[:, 0], sh, sh_degree=3)
        camera = Camera.from_fov(8, 8, 60)
        with torch.no_grad():
            self.rasterize(gaussians, [camera])
        if gradients:
            with torch.enable_grad():
                learned = replace(
                    gaussians, means=means.requires_grad_(), colors=sh.requires_grad_()
                )
                self.rasterize(learned, [camera]).colors.sum().backward()

    def rasterize(
        self,
        gaussians: Gaussians,
        cameras: Sequence[Camera],
        *,
        backgrounds: Tensor | None = None,
        render_mode: RenderMode = 'RGB',
        rasterize_mode: RasterizeMode = 'classic',
        eps2d: float = 0.3,
        near_plane: float = 0.01,
        far_plane: float = 1e10,
        workspace: Workspace | None = None,
    ) -> Rendered:
        """Images as float32; with a workspace they are views into it.

        A call with a tensor that requires gradients, or with features of other than three
        channels, takes the differentiable way, which allocates, and ignores the workspace.
        """
        check_request(
            self, gaussians, cameras, backgrounds, render_mode, rasterize_mode, near_plane
        )
        antialiased = rasterize_mode == 'antialiased'
        views = [View.of(c, eps2d, near_plane, far_plane, antialiased) for c in cameras]
        features = gaussians.sh_degree is None and gaussians.colors.shape[-1] != 3
        if features or needs_gradient(gaussians, backgrounds):
            rgbd, alphas = self._differentiable(gaussians, views)
            return compose(rgbd, alphas, backgrounds, render_mode)
        return self._live(gaussians, views, backgrounds, render_mode, workspace or Workspace())

    def _live(
        self,
        gaussians: Gaussians,
        views: list[View],
        backgrounds: Tensor | None,
        render_mode: RenderMode,
        workspace: Workspace,
    ) -> Rendered:
        width, height = views[0].width, views[0].height
        out, alphas = workspace.images(len(views), height, width, _CHANNELS[render_mode])
        arrays = [
            as_float32(tensor)
            for tensor in (
                gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities,
                gaussians.colors,
            )
        ]  # fmt: skip
        behind = None if backgrounds is None else as_float32(backgrounds)
        by_camera = len(views) > 1 and self.threads > 1

        def one(c: int, buffers: CameraBuffers) -> None:
            draw(
                buffers,
                self._splats(gaussians, arrays, views[c], c, buffers),
                views[c],
                BLACK if behind is None else behind[c],
                _DEPTH_AT[render_mode],
                render_mode.endswith('ED'),
                out[c],
                alphas[c, ..., 0],
                self.simd,
                1 if by_camera else self.threads,
                run_in_turn if by_camera else self._run,
            )

        jobs = [partial(one, c, buffers) for c, buffers in enumerate(workspace.buffers(len(views)))]
        (self._run if by_camera else run_in_turn)(jobs)
        return Rendered(torch.from_numpy(out), torch.from_numpy(alphas))

    @staticmethod
    def _splats(
        gaussians: Gaussians, arrays: list[Array], view: View, c: int, buffers: CameraBuffers
    ) -> Splats:
        means, quats, scales, opacities, colors = arrays
        if gaussians.sh_degree is not None:
            n = len(means)
            buffers.reserve_colors(n)
            evaluate_sh_into(colors, means, view.eye, buffers.colors)
            colors = buffers.colors[:n]
        elif colors.ndim == 3:
            colors = colors[c]
        return Splats(means, quats, scales, opacities, colors)

    def _differentiable(self, gaussians: Gaussians, views: list[View]) -> tuple[Tensor, Tensor]:
        colors = gaussians.colors
        if gaussians.sh_degree is not None:
            eyes = torch.stack([torch.from_numpy(view.eye) for view in views])
            colors = sh_colors(colors, gaussians.means, eyes)
        if colors.shape[-1] != 3:
            vectors, alphas = RasterizeFeatures.apply(
                gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, colors,
                views, self.threads, self._run,
            )  # fmt: skip
            return vectors, alphas
        rgbd, alphas = Rasterize.apply(
            gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, colors,
            views, self.simd, self.threads, self._run,
        )  # fmt: skip
        return rgbd, alphas

    def _run(self, jobs: Sequence[Job]) -> None:
        if self._pool is None:
            return run_in_turn(jobs)
        others = [self._pool.submit(job) for job in jobs[1:]]
        jobs[0]()
        for other in others:
            other.result()
