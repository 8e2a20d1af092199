# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The CPU rasterizer as one differentiable torch operation."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avatar_ros.render.frame import BLACK, Runner, Splats, View, draw, prepare, ranges
from avatar_ros.render.kernels.blend import BACKWARD_SCRATCH, SUMS_SCRATCH, blend_vjp
from avatar_ros.render.kernels.blend_features import blend_features, blend_features_vjp
from avatar_ros.render.kernels.blend_plain import PLAIN_BACKWARD_SCRATCH, blend_plain_vjp
from avatar_ros.render.kernels.project_vjp import project_vjp
from avatar_ros.render.kernels.simd import SUMS
from avatar_ros.render.kernels.tiles import DEPTH, F
from avatar_ros.render.workspace import CameraBuffers
from avatar_ros.types import Array

#: Where the sums of a Gaussian hold the gradient of its depth.
DEPTH_SUM = 9


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
            back_to_3d(splats, view, buffers, drawn, total, gradients[:4], g_colors, workers, run)
        return (*_as_tensors(gradients, ctx.inputs), None, None, None, None)


class RasterizeFeatures(torch.autograd.Function):
    """As `Rasterize`, for features (N, D): images (C, H, W, D + 1), the last channel is depth."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        opacities: Tensor,
        features: Tensor,
        views: list[View],
        workers: int,
        run: Runner,
    ) -> tuple[Tensor, Tensor]:
        """Draw every view and keep its buffers."""
        arrays = [as_float32(tensor) for tensor in (means, quats, scales, opacities)]
        vectors = as_float32(features)
        means_, quats_, scales_, opacities_ = arrays
        blank = np.zeros((len(vectors), 3), np.float32)
        splats = Splats(means_, quats_, scales_, opacities_, blank)
        height, width = views[0].height, views[0].width
        out = np.zeros((len(views), height, width, vectors.shape[1] + 1), np.float32)
        alphas = np.zeros((len(views), height, width), np.float32)
        kept = []
        for c, view in enumerate(views):
            buffers = CameraBuffers()
            drawn = prepare(buffers, splats, view, workers, run)
            rows = buffers.sorted_rows
            order = buffers.order[:drawn]
            seen = np.concatenate([vectors[order], rows[:drawn, DEPTH, None]], axis=1)
            run(
                [
                    partial(
                        blend_features, rows, seen, buffers.binned, buffers.starts,
                        buffers.owners, worker, out[c], alphas[c], buffers.scratch[worker],
                    )
                    for worker in range(workers)
                ]
            )  # fmt: skip
            kept.append((buffers, drawn, seen))
        ctx.kept = (views, splats, kept, out, alphas, workers, run)
        ctx.inputs = [(t.shape, t.dtype) for t in (means, quats, scales, opacities, features)]
        return torch.from_numpy(out), torch.from_numpy(alphas[..., None])

    @staticmethod
    def backward(ctx: Any, g_out: Tensor, g_alphas: Tensor) -> Any:  # type: ignore[override]
        """Gradients of the five tensors of the Gaussians."""
        views, splats, kept, out, alphas, workers, run = ctx.kept
        gradients = [np.zeros(shape, np.float32) for shape, _ in ctx.inputs]
        pixels, coverage = as_float32(g_out), as_float32(g_alphas)
        scratch = np.empty((workers, PLAIN_BACKWARD_SCRATCH), np.float32)
        unused = np.zeros((len(splats.means), 3), np.float32)
        for c, (view, (buffers, drawn, seen)) in enumerate(zip(views, kept, strict=True)):
            sums = np.zeros((workers, max(drawn, 1), SUMS), np.float32)
            of_features = np.zeros((workers, *seen.shape), np.float32)
            run(
                [
                    partial(
                        blend_features_vjp, buffers.sorted_rows, seen, buffers.binned,
                        buffers.starts, buffers.owners, worker, out[c], alphas[c], pixels[c],
                        coverage[c, ..., 0], scratch[worker], sums[worker], of_features[worker],
                    )
                    for worker in range(workers)
                ]
            )  # fmt: skip
            total, vectors = sums.sum(0), of_features.sum(0)
            total[:drawn, DEPTH_SUM] = vectors[:, -1]
            gradients[4][buffers.order[:drawn]] += vectors[:, :-1]
            back_to_3d(splats, view, buffers, drawn, total, gradients[:4], unused, workers, run)
        return (*_as_tensors(gradients, ctx.inputs), None, None, None)


def back_to_3d(
    splats: Splats,
    view: View,
    buffers: CameraBuffers,
    drawn: int,
    sums: Array,
    gradients: list[Array],
    g_colors: Array,
    workers: int,
    run: Runner,
) -> None:
    """Add what the sums (drawn, 10) of one picture mean for means, quats, scales, opacities."""
    run(
        [
            partial(
                project_vjp, splats.means, splats.quats, splats.scales, splats.opacities,
                view.matrix, *view.intrinsics, F(view.width), F(view.height), view.eps2d,
                view.antialiased, buffers.order, begin, end, buffers.sorted_rows, sums,
                *gradients, g_colors,
            )
            for begin, end in ranges(drawn, workers)
        ]
    )  # fmt: skip


def _as_tensors(gradients: list[Array], inputs: list[tuple[Any, torch.dtype]]) -> list[Tensor]:
    return [
        torch.from_numpy(gradient).to(dtype)
        for gradient, (_, dtype) in zip(gradients, inputs, strict=True)
    ]
