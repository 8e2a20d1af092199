# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Compositing of any number of channels: what `blend_plain` does, for feature vectors.

Networks that look at splatted features (HeadGAP splats 34 channels) train with it. The inner loops
run over the channels of one pixel, which lie side by side, so that the compiler vectorises them.
"""
# mypy: allow-untyped-defs, disable-error-code="call-overload,operator"

import math

from numba import njit

from avatar_ros.render.kernels.blend_plain import _power
from avatar_ros.render.kernels.tiles import (
    ALPHA_MAX,
    EXTENT_X,
    EXTENT_Y,
    FINITE_MATH,
    LN2,
    LOG2_ALPHA_MIN,
    PEAK,
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


@njit(cache=True, nogil=True, fastmath=FINITE_MATH, error_model='numpy')
def blend_features(rows, features, binned, starts, owners, worker, out, alphas, scratch):
    """Composite features (n, D) of the sorted rows into out (H, W, D) and alphas (H, W).

    `out` and `alphas` must be zero; `scratch` holds TILE_WIDTH * TILE_HEIGHT floats.
    """
    height, width = alphas.shape
    channels = features.shape[1]
    tiles_x = (width + TILE_WIDTH - 1) // TILE_WIDTH
    for tile in range(owners.shape[0]):
        if (owners[tile] != worker) | (starts[tile] == starts[tile + 1]):
            continue
        tile_y, tile_x = tile // tiles_x * TILE_HEIGHT, tile % tiles_x * TILE_WIDTH
        used_rows, used_columns = min(TILE_HEIGHT, height - tile_y), min(TILE_WIDTH, width - tile_x)
        scratch[: TILE_WIDTH * TILE_HEIGHT] = F(1)
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
                    at = y * TILE_WIDTH + x
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
                    yy, xx = tile_y + y, tile_x + x
                    alphas[yy, xx] += weight
                    for c in range(channels):
                        out[yy, xx, c] += weight * features[j, c]


@njit(cache=True, nogil=True, fastmath=FINITE_MATH, error_model='numpy')
def blend_features_vjp(
    rows, features, binned, starts, owners, worker, out, alphas, g_out, g_alphas, scratch, sums,
    g_features,
):  # fmt: skip
    """Add to sums (n, 10) and g_features (n, D) what the tiles of `worker` contribute.

    `sums` are those of `blend_vjp`, of which colours and depth stay zero; `scratch` holds three
    floats a pixel of a tile: transmittance, prefix, total.
    """
    height, width = alphas.shape
    channels = features.shape[1]
    tiles_x = (width + TILE_WIDTH - 1) // TILE_WIDTH
    for tile in range(owners.shape[0]):
        if (owners[tile] != worker) | (starts[tile] == starts[tile + 1]):
            continue
        tile_y, tile_x = tile // tiles_x * TILE_HEIGHT, tile % tiles_x * TILE_WIDTH
        used_rows, used_columns = min(TILE_HEIGHT, height - tile_y), min(TILE_WIDTH, width - tile_x)
        for y in range(used_rows):
            for x in range(used_columns):
                at, yy, xx = (y * TILE_WIDTH + x) * 3, tile_y + y, tile_x + x
                total = g_alphas[yy, xx] * alphas[yy, xx]
                for c in range(channels):
                    total += g_out[yy, xx, c] * out[yy, xx, c]
                scratch[at], scratch[at + 1], scratch[at + 2] = F(1), F(0), total
        for k in range(starts[tile], starts[tile + 1]):
            j = binned[k]
            x_mean = rows[j, X] - (F(tile_x) + F(0.5))
            y_mean = rows[j, Y] - (F(tile_y) + F(0.5))
            x0, x1 = span(x_mean, rows[j, EXTENT_X], used_columns)
            y0, y1 = span(y_mean, rows[j, EXTENT_Y], used_rows)
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    dx, dy = F(x) - x_mean, F(y) - y_mean
                    power = _power(dx, dy, rows[j, A], rows[j, B], rows[j, C], rows[j, PEAK])
                    at, yy, xx = (y * TILE_WIDTH + x) * 3, tile_y + y, tile_x + x
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
                    value = g_alphas[yy, xx]
                    for c in range(channels):
                        g = g_out[yy, xx, c]
                        value += g * features[j, c]
                        g_features[j, c] += weight * g
                    scratch[at + 1] += weight * value
                    if raw >= F(ALPHA_MAX):
                        continue
                    behind = (scratch[at + 2] - scratch[at + 1]) / (F(1) - alpha)
                    dp = F(LN2) * alpha * (transmittance * value - behind)
                    sums[j, 0] += dp
                    sums[j, 1] += dp * dx
                    sums[j, 2] += dp * dy
                    sums[j, 3] += dp * dx * dx
                    sums[j, 4] += dp * dx * dy
                    sums[j, 5] += dp * dy * dy
