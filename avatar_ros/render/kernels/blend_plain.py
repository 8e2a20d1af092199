# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What `blend` does, as plain loops: the fallback, and the measure of what SIMD brings.

Takes the arguments of the SIMD kernels, so that either can stand in for the other.
"""
# mypy: allow-untyped-defs, disable-error-code="call-overload,operator"

import math

from numba import njit

from avatar_ros.render.kernels.blend import clear_tile, write_row
from avatar_ros.render.kernels.tiles import (
    ALPHA_MAX,
    BLUE,
    DEPTH,
    EXTENT_X,
    EXTENT_Y,
    FINITE_MATH,
    GREEN,
    LN2,
    LOG2_ALPHA_MIN,
    PEAK,
    RED,
    TILE_HEIGHT,
    TILE_WIDTH,
    TRANSMITTANCE_MIN,
    A,
    B,
    C,
    F,
    X,
    Y,
    span,
)

#: Floats a pixel in the scratch: transmittance, red, green, blue, alpha, depth; or, going
#: backwards, transmittance, prefix, total.
_FORWARD, _BACKWARD = 6, 3
PLAIN_FORWARD_SCRATCH = _FORWARD * TILE_WIDTH * TILE_HEIGHT
PLAIN_BACKWARD_SCRATCH = _BACKWARD * TILE_WIDTH * TILE_HEIGHT


@njit(inline='always', fastmath=FINITE_MATH)
def _power(dx, dy, a, b, c, peak):
    return min((a * dx + b * dy) * dx + c * dy * dy + peak, peak)


@njit(cache=True, nogil=True, fastmath=FINITE_MATH, error_model='numpy')
def blend_plain(
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
        for at in range(0, PLAIN_FORWARD_SCRATCH, _FORWARD):
            scratch[at] = F(1)
            scratch[at + 1 : at + _FORWARD] = F(0)
        for k in range(starts[tile], starts[tile + 1]):
            j = binned[k]
            x_mean = rows[j, X] - (F(tile_x) + F(0.5))
            y_mean = rows[j, Y] - (F(tile_y) + F(0.5))
            x0, x1 = span(x_mean, rows[j, EXTENT_X], used_columns)
            y0, y1 = span(y_mean, rows[j, EXTENT_Y], used_rows)
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    power = _power(
                        F(x) - x_mean, F(y) - y_mean, rows[j, A], rows[j, B], rows[j, C],
                        rows[j, PEAK],
                    )  # fmt: skip
                    at = (y * TILE_WIDTH + x) * _FORWARD
                    transmittance = scratch[at]
                    if (power < LOG2_ALPHA_MIN) | (transmittance == F(0)):
                        continue
                    alpha = min(math.exp(F(LN2) * power), F(ALPHA_MAX))
                    weight = alpha * transmittance
                    following = transmittance - weight
                    if following <= F(TRANSMITTANCE_MIN):
                        scratch[at] = F(0)
                        continue
                    scratch[at] = following
                    scratch[at + 1] += weight * rows[j, RED]
                    scratch[at + 2] += weight * rows[j, GREEN]
                    scratch[at + 3] += weight * rows[j, BLUE]
                    scratch[at + 4] += weight
                    scratch[at + 5] += weight * rows[j, DEPTH]
        for y in range(used_rows):
            write_row(
                scratch, y * TILE_WIDTH * _FORWARD + 1, _FORWARD, 1, out, alphas, tile_y + y,
                tile_x, used_columns, background, depth_at, expected,
            )  # fmt: skip


@njit(cache=True, nogil=True, fastmath=FINITE_MATH, error_model='numpy')
def blend_plain_vjp(
    rows, binned, starts, owners, worker, out, alphas, g_out, g_alphas, scratch, sums, gradients
):
    """Add to gradients (n, 10) what the tiles of `worker` contribute; see `blend_vjp`."""
    height, width = alphas.shape
    tiles_x = (width + TILE_WIDTH - 1) // TILE_WIDTH
    for tile in range(owners.shape[0]):
        if (owners[tile] != worker) | (starts[tile] == starts[tile + 1]):
            continue
        tile_y, tile_x = tile // tiles_x * TILE_HEIGHT, tile % tiles_x * TILE_WIDTH
        used_rows, used_columns = min(TILE_HEIGHT, height - tile_y), min(TILE_WIDTH, width - tile_x)
        for y in range(used_rows):
            for x in range(used_columns):
                at, yy, xx = (y * TILE_WIDTH + x) * _BACKWARD, tile_y + y, tile_x + x
                total = g_alphas[yy, xx] * alphas[yy, xx]
                for k in range(4):
                    total += g_out[yy, xx, k] * out[yy, xx, k]
                scratch[at], scratch[at + 1], scratch[at + 2] = F(1), F(0), total
        for k in range(starts[tile], starts[tile + 1]):
            j = binned[k]
            x_mean = rows[j, X] - (F(tile_x) + F(0.5))
            y_mean = rows[j, Y] - (F(tile_y) + F(0.5))
            x0, x1 = span(x_mean, rows[j, EXTENT_X], used_columns)
            y0, y1 = span(y_mean, rows[j, EXTENT_Y], used_rows)
            sums[:10] = F(0)
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    dx, dy = F(x) - x_mean, F(y) - y_mean
                    power = _power(dx, dy, rows[j, A], rows[j, B], rows[j, C], rows[j, PEAK])
                    at, yy, xx = (y * TILE_WIDTH + x) * _BACKWARD, tile_y + y, tile_x + x
                    transmittance = scratch[at]
                    if (power < LOG2_ALPHA_MIN) | (transmittance == F(0)):
                        continue
                    raw = math.exp(F(LN2) * power)
                    alpha = min(raw, F(ALPHA_MAX))
                    weight = alpha * transmittance
                    following = transmittance - weight
                    if following <= F(TRANSMITTANCE_MIN):
                        scratch[at] = F(0)
                        continue
                    scratch[at] = following
                    value = g_alphas[yy, xx] + g_out[yy, xx, 3] * rows[j, DEPTH]
                    value += g_out[yy, xx, 0] * rows[j, RED] + g_out[yy, xx, 1] * rows[j, GREEN]
                    value += g_out[yy, xx, 2] * rows[j, BLUE]
                    scratch[at + 1] += weight * value
                    for m in range(4):
                        sums[6 + m] += weight * g_out[yy, xx, m]
                    if raw >= F(ALPHA_MAX):
                        continue
                    behind = (scratch[at + 2] - scratch[at + 1]) / (F(1) - alpha)
                    dp = F(LN2) * alpha * (transmittance * value - behind)
                    sums[0] += dp
                    sums[1] += dp * dx
                    sums[2] += dp * dy
                    sums[3] += dp * dx * dx
                    sums[4] += dp * dx * dy
                    sums[5] += dp * dy * dy
            for m in range(10):
                gradients[j, m] += sums[m]
