# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Depth order: one exact sort a camera, instead of one a tile."""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from avatar_ros.render.kernels.tiles import (
    BLUE,
    DEPTH,
    EXTENT_X,
    EXTENT_Y,
    GREEN,
    PEAK,
    RED,
    A,
    B,
    C,
    F,
    X,
    Y,
)

#: Buckets of one of the three passes over 11 bits, and one more for the running sum.
HISTOGRAM_SHAPE = (3, 2049)


@njit(cache=True, nogil=True)
def sort_by_depth(depths, order, order_b, keys, keys_b, histogram):
    """Number of positive depths; their indices, nearest first, lie in `order`.

    Stable radix sort of the float bits (positive floats sort like integers): the order that
    gsplat has. Quantising depth to 16 bits would save 0.3 ms and cost 2e-2 of colour.
    """
    low = np.int32(2047)
    histogram[:] = 0
    n = 0
    for i in range(depths.shape[0]):
        depth = depths[i]
        if depth > F(0):
            key = np.float32(depth).view(np.int32)
            keys[n] = key
            order_b[n] = i
            n += 1
            histogram[0, (key & low) + 1] += 1
            histogram[1, ((key >> 11) & low) + 1] += 1
            histogram[2, ((key >> 22) & low) + 1] += 1
    for step in range(3):
        for b in range(2048):
            histogram[step, b + 1] += histogram[step, b]
    for j in range(n):
        bucket = keys[j] & low
        to = histogram[0, bucket]
        histogram[0, bucket] += 1
        keys_b[to] = keys[j]
        order[to] = order_b[j]
    for j in range(n):
        bucket = (keys_b[j] >> 11) & low
        to = histogram[1, bucket]
        histogram[1, bucket] += 1
        keys[to] = keys_b[j]
        order_b[to] = order[j]
    for j in range(n):
        bucket = (keys[j] >> 22) & low
        to = histogram[2, bucket]
        histogram[2, bucket] += 1
        order[to] = order_b[j]
    return n


@njit(cache=True, nogil=True)
def gather_rows(order, n, rows, colors, sorted_rows):
    """Rows in depth order with their colours, so that the blend reads memory in sequence."""
    for j in range(n):
        i = order[j]
        for k in (X, Y, A, B, C, PEAK, DEPTH, EXTENT_X, EXTENT_Y):
            sorted_rows[j, k] = rows[i, k]
        sorted_rows[j, RED] = colors[i, 0]
        sorted_rows[j, GREEN] = colors[i, 1]
        sorted_rows[j, BLUE] = colors[i, 2]
