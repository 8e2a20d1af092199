# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""XR clients: what packing, coding and streaming cost, and what is lost on the way."""

import argparse
import time
from fractions import Fraction

import av
import cv2
import numpy as np

from avatar_ros.streaming.xr.encoder import H264Encoder
from avatar_ros.streaming.xr.packing import Layers, Packer, depth_range
from avatar_ros.types import Array
from benchmarks.metrics import Metric, load, write_results
from benchmarks.xr_scene import MovingAvatar, stereo_eyes

COMMAND = 'python -m benchmarks.xr'
SIDE = 464
"""Pixels of a view: two of them, alpha and depth make 928 x 696."""


def coding(avatar: MovingAvatar) -> list[Metric]:
    """Pack, convert and encode; what alpha and depth are after decoding."""
    encoder = H264Encoder(SIDE, SIDE, 2)
    decoder = av.CodecContext.create('h264', 'r')
    times, sizes, overlaps, errors = [], [], [], []
    for frame in range(len(avatar)):
        avatar.pose(frame)
        layers = avatar.draw(avatar.locked(stereo_eyes(), SIDE, SIDE))
        near, far = depth_range(layers)
        start = time.perf_counter()
        encoded = encoder.encode(layers, near, far, frame == 0)
        times.append((time.perf_counter() - start) * 1e3)
        sizes.append(len(encoded.data) / 1e3)
        (decoded,) = decoder.decode(av.Packet(encoded.data))
        grey = (decoded.to_ndarray(format='yuv420p')[: SIDE * 3 // 2].astype(np.float32) - 16) / 219
        for k, layer in enumerate(layers):
            alpha, depth = unpacked(grey[SIDE:, k * SIDE : (k + 1) * SIDE], near, far)
            overlaps.append(iou(alpha > 0.5, layer.alphas > 0.5))
            errors.append(np.abs(depth - layer.colors[..., 3])[inner(layer)] * 1e3)
    wheres = f'2 x {SIDE}x{SIDE} with alpha and depth, demo avatar in motion, 1 thread, {load()}'
    return [
        metric('pack_encode.p50_ms', float(np.median(times[3:])), 'ms', 'lower', wheres),
        metric('pack_encode.p95_ms', float(np.percentile(times[3:], 95)), 'ms', 'lower', wheres),
        metric('frame_kb', float(np.median(sizes[1:])), 'kB', 'lower', wheres),
        metric('alpha.iou', float(np.mean(overlaps)), '', 'higher', wheres),
        metric(
            'depth.p95_mm', float(np.percentile(np.concatenate(errors), 95)), 'mm', 'lower',
            f'{wheres}; outline left out',
        ),
    ]  # fmt: skip


def depth_alone(avatar: MovingAvatar) -> list[Metric]:
    """Bytes of the depth of one view, coded by itself with QP 18, and its error."""
    half = SIDE // 2
    context = av.CodecContext.create('libx264', 'w')
    context.width, context.height, context.pix_fmt = half, half, 'yuv420p'
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30, 1)
    context.gop_size, context.thread_count = 100_000, 1
    context.options = {'preset': 'superfast', 'tune': 'zerolatency', 'qp': '18'}
    decoder, packer = av.CodecContext.create('h264', 'r'), Packer(SIDE, SIDE, 1)
    sizes, errors = [], []
    planes = (
        np.empty((SIDE * 3 // 2, SIDE), np.uint8),
        np.empty((SIDE * 3 // 4, half), np.uint8),
        np.empty((SIDE * 3 // 4, half), np.uint8),
    )
    for frame in range(len(avatar)):
        avatar.pose(frame)
        layers = avatar.draw(avatar.locked(stereo_eyes()[:1], SIDE, SIDE))
        near, far = depth_range(layers)
        packer.i420(layers, near, far, planes)
        grey = np.vstack([planes[0][SIDE:, half:], np.full((half // 2, half), 128, np.uint8)])
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(grey), format='yuv420p')
        picture.pts = frame
        data = b''.join(bytes(p) for p in context.encode(picture))
        sizes.append(len(data) / 1e3)
        (decoded,) = decoder.decode(av.Packet(data))
        q = (decoded.to_ndarray(format='yuv420p')[:half].astype(np.float32) - 16) / 219
        depth = depth_of(q, near, far)
        errors.append(np.abs(depth - layers[0].colors[..., 3])[inner(layers[0])] * 1e3)
    where = 'one view at half size, x264 superfast, QP 18, demo avatar in motion'
    return [
        metric('depth_alone.kb', float(np.mean(sizes[1:])), 'kB', 'lower', where),
        metric(
            'depth_alone.p95_mm', float(np.percentile(np.concatenate(errors), 95)), 'mm', 'lower',
            f'{where}; outline left out',
        ),
    ]  # fmt: skip


def unpacked(below: Array, near: float, far: float) -> tuple[Array, Array]:
    """Alpha and depth (SIDE, SIDE) of one view from the grey half of the picture."""
    half = SIDE // 2
    return cv2.resize(below[:, :half], (SIDE, SIDE)), depth_of(below[:, half:], near, far)


def depth_of(q: Array, near: float, far: float) -> Array:
    q = np.clip(cv2.resize(q, (SIDE, SIDE)), 0, 1)
    return 1 / (q / near + (1 - q) / far)


def inner(layer: Layers) -> Array:
    """Where the surface is solid, two pixels from its outline."""
    return cv2.erode((layer.alphas > 0.9).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def iou(a: Array, b: Array) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def metric(key: str, value: float, unit: str, better: str, conditions: str) -> Metric:
    return Metric(f'xr.{key}', value, unit, better, conditions, COMMAND)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.parse_args()
    avatar = MovingAvatar()
    write_results('xr', coding(avatar) + depth_alone(avatar))


if __name__ == '__main__':
    main()
