# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Which Gaussian touches which tile."""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from avatar_ros.render.kernels.tiles import (
    EXTENT_X,
    EXTENT_Y,
    FINITE_MATH,
    LOG2_ALPHA_MIN,
    PEAK,
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


@njit(inline='always', fastmath=FINITE_MATH)
def _ellipse_meets_tile(a, b, c, lowest, x0, y0):
    """Does the log2 alpha, relative to the peak, reach `lowest` on the tile at x0, y0?"""
    x1, y1 = x0 + F(TILE_WIDTH - 1), y0 + F(TILE_HEIGHT - 1)
    inside_x = (x0 <= F(0)) & (x1 >= F(0))
    inside_y = (y0 <= F(0)) & (y1 >= F(0))
    if inside_x & inside_y:
        return True
    best = F(-1e30)
    if not inside_x:
        dx = x0 if x0 > F(0) else x1
        dy = min(max(-b * dx / (F(2) * c), y0), y1)
        best = (a * dx + b * dy) * dx + c * dy * dy
    if not inside_y:
        dy = y0 if y0 > F(0) else y1
        dx = min(max(-b * dy / (F(2) * a), x0), x1)
        best = max(best, (a * dx + b * dy) * dx + c * dy * dy)
    return best >= lowest


@njit(cache=True, nogil=True, fastmath=FINITE_MATH, error_model='numpy')
def emit_pairs(rows, n, width, height, tiles_x, counts, pair_tile, pair_row):
    """Number of (tile, row) pairs, which lie in `pair_tile` and `pair_row` in depth order.

    A number above the capacity of the two means: make them larger and call again.
    """
    counts[:] = 0
    capacity = pair_tile.shape[0]
    m = 0
    for j in range(n):
        x, y = rows[j, X], rows[j, Y]
        x0, x1 = span(x - F(0.5), rows[j, EXTENT_X], width)
        y0, y1 = span(y - F(0.5), rows[j, EXTENT_Y], height)
        if (x1 < x0) | (y1 < y0):
            continue
        tx0, tx1 = x0 // TILE_WIDTH, x1 // TILE_WIDTH
        ty0, ty1 = y0 // TILE_HEIGHT, y1 // TILE_HEIGHT
        most = (tx1 - tx0 + 1) * (ty1 - ty0 + 1)
        if m + most > capacity:
            m += most
            continue
        # A bounding box that spans 2 x 2 tiles or more may have corners that are empty.
        test = (tx1 > tx0) & (ty1 > ty0)
        lowest = LOG2_ALPHA_MIN - rows[j, PEAK]
        for ty in range(ty0, ty1 + 1):
            for tx in range(tx0, tx1 + 1):
                if test and not _ellipse_meets_tile(
                    rows[j, A], rows[j, B], rows[j, C], lowest,
                    F(tx * TILE_WIDTH) + F(0.5) - x, F(ty * TILE_HEIGHT) + F(0.5) - y,
                ):  # fmt: skip
                    continue
                tile = ty * tiles_x + tx
                counts[tile] += 1
                pair_tile[m] = tile
                pair_row[m] = j
                m += 1
    return m


@njit(cache=True, nogil=True)
def fill_bins(counts, pairs, pair_tile, pair_row, starts, binned):
    """Rows of tile t are ``binned[starts[t]:starts[t + 1]]``, still in depth order."""
    total = np.int32(0)
    for tile in range(counts.shape[0]):
        starts[tile] = total
        count = counts[tile]
        counts[tile] = total
        total += count
    starts[counts.shape[0]] = total
    for m in range(pairs):
        tile = pair_tile[m]
        binned[counts[tile]] = pair_row[m]
        counts[tile] += 1


@njit(cache=True, nogil=True)
def deal_tiles(starts, workers, owners, loads):
    """Deal every tile to the worker who has least to do so far."""
    loads[:] = 0
    for tile in range(owners.shape[0]):
        best = 0
        for worker in range(1, workers):
            if loads[worker] < loads[best]:
                best = worker
        owners[tile] = best
        # An empty tile still has to be filled with the background.
        loads[best] += starts[tile + 1] - starts[tile] + 50
