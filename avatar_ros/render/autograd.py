# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The CPU rasterizer as one differentiable torch operation."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avatar_ros.render.frame import BLACK, Runner, Splats, View, draw, ranges
from avatar_ros.render.kernels.blend import BACKWARD_SCRATCH, SUMS_SCRATCH, blend_vjp
from avatar_ros.render.kernels.blend_plain import PLAIN_BACKWARD_SCRATCH, blend_plain_vjp
from avatar_ros.render.kernels.project_vjp import project_vjp
from avatar_ros.render.kernels.simd import SUMS
from avatar_ros.render.kernels.tiles import F
from avatar_ros.render.workspace import CameraBuffers
from avatar_ros.types import Array


def as_float32(tensor: Tensor) -> Array:
    """Contiguous float32 array; shares the memory if the tensor is that already."""
    return tensor.detach().to(torch.float32).contiguous().numpy()


class Rasterize(torch.autograd.Function):
    """RGB and depth (C, H, W, 4) and alphas (C, H, W, 1) on black.

    Gradients are summed a worker, then over workers: deterministic for a number of threads.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        opacities: Tensor,
        colors: Tensor,
        views: list[View],
        simd: bool,
        workers: int,
        run: Runner,
    ) -> tuple[Tensor, Tensor]:
        """Draw every view and keep its buffers."""
        arrays = [as_float32(tensor) for tensor in (means, quats, scales, opacities)]
        color_sets = as_float32(colors)
        height, width = views[0].height, views[0].width
        out = np.empty((len(views), height, width, 4), np.float32)
        alphas = np.empty((len(views), height, width, 1), np.float32)
        kept = []
        for c, view in enumerate(views):
            arrays_c = (*arrays, color_sets[c] if color_sets.ndim == 3 else color_sets)
            splats = Splats(*arrays_c)
            buffers = CameraBuffers()
            drawn = draw(
                buffers, splats, view, BLACK, 3, False, out[c], alphas[c, ..., 0],
                simd, workers, run,
            )  # fmt: skip
            kept.append((splats, buffers, drawn))
        ctx.kept = (views, kept, out, alphas, simd, workers, run)
        ctx.inputs = [(t.shape, t.dtype) for t in (means, quats, scales, opacities, colors)]
        return torch.from_numpy(out), torch.from_numpy(alphas)

    @staticmethod
    def backward(ctx: Any, g_out: Tensor, g_alphas: Tensor) -> Any:  # type: ignore[override]
        """Gradients of the five tensors of the Gaussians."""
        views, kept, out, alphas, simd, workers, run = ctx.kept
        gradients = [np.zeros(shape, np.float32) for shape, _ in ctx.inputs]
        color_gradients = gradients[4]
        pixels, coverage = as_float32(g_out), as_float32(g_alphas)
        kernel = blend_vjp if simd else blend_plain_vjp
        scratch = np.empty((workers, max(BACKWARD_SCRATCH, PLAIN_BACKWARD_SCRATCH)), np.float32)
        lane_sums = np.empty((workers, SUMS_SCRATCH), np.float32)
        for c, (view, (splats, buffers, drawn)) in enumerate(zip(views, kept, strict=True)):
            sums = np.zeros((workers, max(drawn, 1), SUMS), np.float32)
            run(
                [
                    partial(
                        kernel, buffers.sorted_rows, buffers.binned, buffers.starts,
                        buffers.owners, worker, out[c], alphas[c, ..., 0], pixels[c],
                        coverage[c, ..., 0], scratch[worker], lane_sums[worker], sums[worker],
                    )
                    for worker in range(workers)
                ]
            )  # fmt: skip
            total = sums[0] if workers == 1 else sums.sum(0)
            g_colors = color_gradients[c] if color_gradients.ndim == 3 else color_gradients
            run(
                [
                    partial(
                        project_vjp, splats.means, splats.quats, splats.scales, splats.opacities,
                        view.matrix, *view.intrinsics, F(view.width), F(view.height), view.eps2d,
                        view.antialiased, buffers.order, begin, end, buffers.sorted_rows, total,
                        *gradients[:4], g_colors,
                    )
                    for begin, end in ranges(drawn, workers)
                ]
            )  # fmt: skip
        tensors = [
            torch.from_numpy(gradient).to(dtype)
            for gradient, (_, dtype) in zip(gradients, ctx.inputs, strict=True)
        ]
        return (*tensors, None, None, None, None)
