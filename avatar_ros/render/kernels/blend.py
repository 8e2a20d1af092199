# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Front-to-back compositing of tiles, and its gradient, over the SIMD blocks of `simd`."""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from avatar_ros.render.kernels.simd import (
    BACKWARD_PLANES,
    FORWARD_PLANES,
    PLANE,
    SUMS,
    blend_block,
    blend_block_vjp,
)
from avatar_ros.render.kernels.tiles import (
    BLOCK_HEIGHT,
    BLOCK_WIDTH,
    BLUE,
    DEPTH,
    EXTENT_X,
    EXTENT_Y,
    FINITE_MATH,
    GREEN,
    LANES,
    PEAK,
    RED,
    TILE_BLOCKS,
    TILE_HEIGHT,
    TILE_WIDTH,
    A,
    B,
    C,
    F,
    X,
    Y,
    span,
)

_FORWARD_STRIDE = FORWARD_PLANES * PLANE
_BACKWARD_STRIDE = BACKWARD_PLANES * PLANE
#: Floats that `blend` and `blend_vjp` need for their tile, and those for the sums.
FORWARD_SCRATCH = _FORWARD_STRIDE * TILE_BLOCKS
BACKWARD_SCRATCH = _BACKWARD_STRIDE * TILE_BLOCKS
SUMS_SCRATCH = SUMS * LANES


@njit(inline='always')
def write_row(
    planes, first, pixel_step, plane_step, out, alphas, y, x0, columns, background, depth_at,
    expected,
):  # fmt: skip
    """Store one row of a tile as the render mode wants it.

    Red, green, blue, alpha and depth of pixel x are ``planes[first + x * pixel_step + k *
    plane_step]`` for k = 0..4. `depth_at` is the channel of depth: 3 after the colours, 0
    alone, -1 absent. One short loop for each purpose: a branch a pixel costs 10 ns.
    """
    red, green, blue = background[0], background[1], background[2]
    if depth_at != 0:
        for x in range(columns):
            at = first + x * pixel_step
            rest = F(1) - planes[at + 3 * plane_step]
            out[y, x0 + x, 0] = planes[at] + rest * red
            out[y, x0 + x, 1] = planes[at + plane_step] + rest * green
            out[y, x0 + x, 2] = planes[at + 2 * plane_step] + rest * blue
    for x in range(columns):
        alphas[y, x0 + x] = planes[first + x * pixel_step + 3 * plane_step]
    if depth_at >= 0:
        for x in range(columns):
            at = first + x * pixel_step
            depth = planes[at + 4 * plane_step]
            if expected:
                depth /= max(planes[at + 3 * plane_step], F(1e-10))
            out[y, x0 + x, depth_at] = depth


@njit(inline='always')
def clear_tile(out, alphas, y0, x0, rows, columns, background, depth_at):
    """A tile that no Gaussian touches: background, and no depth."""
    red, green, blue = background[0], background[1], background[2]
    for y in range(y0, y0 + rows):
        for x in range(x0, x0 + columns):
            alphas[y, x] = F(0)
        if depth_at != 0:
            for x in range(x0, x0 + columns):
                out[y, x, 0] = red
                out[y, x, 1] = green
                out[y, x, 2] = blue
        if depth_at >= 0:
            for x in range(x0, x0 + columns):
                out[y, x, depth_at] = F(0)


@njit(cache=True, nogil=True, fastmath=FINITE_MATH, error_model='numpy')
def blend(
    rows, binned, starts, owners, worker, width, height, background, depth_at, expected, scratch,
    out, alphas,
):  # fmt: skip
    """Composite the tiles of `worker` into out (H, W, D) and alphas (H, W)."""
    tiles_x = (width + TILE_WIDTH - 1) // TILE_WIDTH
    for tile in range(owners.shape[0]):
        if owners[tile] != worker:
            continue
        tile_y, tile_x = tile // tiles_x * TILE_HEIGHT, tile % tiles_x * TILE_WIDTH
        used_rows, used_columns = min(TILE_HEIGHT, height - tile_y), min(TILE_WIDTH, width - tile_x)
        if starts[tile] == starts[tile + 1]:
            clear_tile(out, alphas, tile_y, tile_x, used_rows, used_columns, background, depth_at)
            continue

        # Pixels outside of the image keep a transmittance of 0: they are done already.
        scratch[:] = F(0)
        for y in range(used_rows):
            first = y // BLOCK_HEIGHT * _FORWARD_STRIDE + y % BLOCK_HEIGHT
            for x in range(used_columns):
                scratch[first + x * BLOCK_HEIGHT] = F(1)

        for k in range(starts[tile], starts[tile + 1]):
            j = binned[k]
            x_mean = rows[j, X] - (F(tile_x) + F(0.5))
            y_mean = rows[j, Y] - (F(tile_y) + F(0.5))
            x0, x1 = span(x_mean, rows[j, EXTENT_X], TILE_WIDTH)
            y0, y1 = span(y_mean, rows[j, EXTENT_Y], TILE_HEIGHT)
            a, b, c, peak = rows[j, A], rows[j, B], rows[j, C], rows[j, PEAK]
            red, green, blue, depth = rows[j, RED], rows[j, GREEN], rows[j, BLUE], rows[j, DEPTH]
            for x in range(x0, x1 + 1, BLOCK_WIDTH):
                for block in range(y0 // BLOCK_HEIGHT, y1 // BLOCK_HEIGHT + 1):
                    blend_block(
                        scratch, block * _FORWARD_STRIDE + x * BLOCK_HEIGHT,
                        F(x) - x_mean, F(block * BLOCK_HEIGHT) - y_mean,
                        a, b, c, peak, red, green, blue, depth,
                    )  # fmt: skip

        for y in range(used_rows):
            first = y // BLOCK_HEIGHT * _FORWARD_STRIDE + y % BLOCK_HEIGHT
            write_row(
                scratch, first + PLANE, BLOCK_HEIGHT, PLANE, out, alphas, tile_y + y, tile_x,
                used_columns, background, depth_at, expected,
            )  # fmt: skip


@njit(cache=True, nogil=True, fastmath=FINITE_MATH, error_model='numpy')
def blend_vjp(
    rows, binned, starts, owners, worker, out, alphas, g_out, g_alphas, scratch, sums, gradients
):
    """Add to gradients (n, SUMS) what the tiles of `worker` contribute.

    `out` (H, W, 4) and `alphas` (H, W) are what `blend` gave for RGB+D without background.
    """
    height, width = alphas.shape
    tiles_x = (width + TILE_WIDTH - 1) // TILE_WIDTH
    sums[:] = F(0)
    for tile in range(owners.shape[0]):
        if (owners[tile] != worker) | (starts[tile] == starts[tile + 1]):
            continue
        tile_y, tile_x = tile // tiles_x * TILE_HEIGHT, tile % tiles_x * TILE_WIDTH
        scratch[:] = F(0)
        for y in range(min(TILE_HEIGHT, height - tile_y)):
            first = y // BLOCK_HEIGHT * _BACKWARD_STRIDE + y % BLOCK_HEIGHT
            for x in range(min(TILE_WIDTH, width - tile_x)):
                at, yy, xx = first + x * BLOCK_HEIGHT, tile_y + y, tile_x + x
                g_alpha = g_alphas[yy, xx]
                total = g_alpha * alphas[yy, xx]
                for k in range(3):
                    scratch[at + (2 + k) * PLANE] = g_out[yy, xx, k]
                for k in range(4):
                    total += g_out[yy, xx, k] * out[yy, xx, k]
                scratch[at] = F(1)
                scratch[at + 5 * PLANE] = g_alpha
                scratch[at + 6 * PLANE] = g_out[yy, xx, 3]
                scratch[at + 7 * PLANE] = total

        for k in range(starts[tile], starts[tile + 1]):
            j = binned[k]
            x_mean = rows[j, X] - (F(tile_x) + F(0.5))
            y_mean = rows[j, Y] - (F(tile_y) + F(0.5))
            x0, x1 = span(x_mean, rows[j, EXTENT_X], TILE_WIDTH)
            y0, y1 = span(y_mean, rows[j, EXTENT_Y], TILE_HEIGHT)
            a, b, c, peak = rows[j, A], rows[j, B], rows[j, C], rows[j, PEAK]
            red, green, blue, depth = rows[j, RED], rows[j, GREEN], rows[j, BLUE], rows[j, DEPTH]
            for x in range(x0, x1 + 1, BLOCK_WIDTH):
                for block in range(y0 // BLOCK_HEIGHT, y1 // BLOCK_HEIGHT + 1):
                    blend_block_vjp(
                        scratch, block * _BACKWARD_STRIDE + x * BLOCK_HEIGHT, sums,
                        F(x) - x_mean, F(block * BLOCK_HEIGHT) - y_mean,
                        a, b, c, peak, red, green, blue, depth,
                    )  # fmt: skip
            for m in range(SUMS):
                total_lanes = np.float32(0)
                for lane in range(LANES):
                    total_lanes += sums[m * LANES + lane]
                    sums[m * LANES + lane] = F(0)
                gradients[j, m] += total_lanes
