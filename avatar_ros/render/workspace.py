# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Buffers that live from frame to frame, so that rendering does not allocate."""

import numpy as np

from avatar_ros.render.kernels.blend import FORWARD_SCRATCH
from avatar_ros.render.kernels.blend_plain import PLAIN_FORWARD_SCRATCH
from avatar_ros.render.kernels.sort import HISTOGRAM_SHAPE
from avatar_ros.render.kernels.tiles import ROW, TILE_HEIGHT, TILE_WIDTH
from avatar_ros.types import Array


class CameraBuffers:
    """Everything between the Gaussians and the image of one camera."""

    def __init__(self) -> None:
        self._capacity = -1
        self._tiles = -1
        self._workers = -1
        self.histogram = np.empty(HISTOGRAM_SHAPE, np.int32)
        self.colors = np.empty((0, 3), np.float32)
        self.reserve_pairs(1024)

    def reserve(self, n: int, width: int, height: int, workers: int) -> None:
        """Make room for `n` Gaussians and an image; keeps larger buffers."""
        if n > self._capacity:
            self._capacity = n
            self.rows = np.empty((n, ROW), np.float32)
            self.sorted_rows = np.empty((n, ROW), np.float32)
            self.depths = np.empty(n, np.float32)
            self.order, self.order_b, self.keys, self.keys_b = np.empty((4, n), np.int32)
        tiles = -(-width // TILE_WIDTH) * -(-height // TILE_HEIGHT)
        if tiles != self._tiles:
            self._tiles = tiles
            self.counts = np.empty(tiles, np.int32)
            self.starts = np.empty(tiles + 1, np.int32)
            self.owners = np.empty(tiles, np.int32)
        if workers != self._workers:
            self._workers = workers
            self.loads = np.empty(workers, np.int64)
            size = max(FORWARD_SCRATCH, PLAIN_FORWARD_SCRATCH)
            self.scratch = np.empty((workers, size), np.float32)

    def reserve_colors(self, n: int) -> None:
        """Make room for the colours of `n` Gaussians, which spherical harmonics give."""
        if n > len(self.colors):
            self.colors = np.empty((n, 3), np.float32)

    def reserve_pairs(self, pairs: int) -> None:
        """Make room for (tile, Gaussian) pairs, with a third to spare for the next frames."""
        capacity = pairs + pairs // 3
        self.pair_tile, self.pair_row, self.binned = np.empty((3, capacity), np.int32)


class Workspace:
    """Buffers of `NumbaEngine.rasterize`, for one thread.

    The images that `rasterize` returns are views into it: copy them before the next call, or
    use two workspaces in turn. Calls that need gradients leave it alone.
    """

    def __init__(self) -> None:
        self._buffers: list[CameraBuffers] = []
        self._colors = np.empty((0, 0, 0, 0), np.float32)
        self._alphas = np.empty((0, 0, 0, 0), np.float32)

    def buffers(self, cameras: int) -> list[CameraBuffers]:
        """Buffers of the first `cameras` cameras."""
        while len(self._buffers) < cameras:
            self._buffers.append(CameraBuffers())
        return self._buffers[:cameras]

    def images(self, cameras: int, height: int, width: int, channels: int) -> tuple[Array, Array]:
        """Colours (C, H, W, D) and alphas (C, H, W, 1), with the content of the last frame."""
        if self._colors.shape != (cameras, height, width, channels):
            self._colors = np.empty((cameras, height, width, channels), np.float32)
            self._alphas = np.empty((cameras, height, width, 1), np.float32)
        return self._colors, self._alphas
