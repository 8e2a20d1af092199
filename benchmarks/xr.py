# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""XR clients: what packing, coding and streaming cost, and what is lost on the way."""

import argparse
import time
from fractions import Fraction
from importlib.util import find_spec

import av
import cv2
import numpy as np

from avatar_ros.streaming.xr.encoder import H264Encoder
from avatar_ros.streaming.xr.packing import Layers, Packer, depth_range
from avatar_ros.types import Array
from benchmarks.metrics import Metric, load, write_results
from benchmarks.netem import Link
from benchmarks.xr_clients import many_clients
from benchmarks.xr_glass import impaired, rounds
from benchmarks.xr_scene import MovingAvatar, stereo_eyes
from benchmarks.xr_wire import fuzz, mismatches

COMMAND = 'python -m benchmarks.xr'
SIDE = 464
"""Pixels of a view: two of them, alpha and depth make 928 x 696."""


def coding(avatar: MovingAvatar) -> list[Metric]:
    """Pack, convert and encode; what alpha and depth are after decoding."""
    encoder, packer = H264Encoder(SIDE, SIDE, 2), Packer(SIDE, SIDE, 2)
    half = SIDE * 3 // 4, SIDE
    planes = np.empty((2 * half[0], 2 * half[1]), np.uint8), *np.empty((2, *half), np.uint8)
    decoder = av.CodecContext.create('h264', 'r')
    times, cpu, alone, sizes, overlaps, errors = [], [], [], [], [], []
    for frame in range(len(avatar)):
        avatar.pose(frame)
        layers = avatar.draw(avatar.locked(stereo_eyes(), SIDE, SIDE))
        near, far = depth_range(layers)
        start, start_cpu = time.perf_counter(), time.process_time()
        encoded = encoder.encode(layers, near, far, frame == 0)
        times.append((time.perf_counter() - start) * 1e3)
        cpu.append((time.process_time() - start_cpu) * 1e3)
        start_cpu = time.process_time()
        packer.i420(layers, near, far, planes)
        alone.append(cpu[-1] - (time.process_time() - start_cpu) * 1e3)
        sizes.append(len(encoded.data) / 1e3)
        (decoded,) = decoder.decode(av.Packet(encoded.data))
        grey = (decoded.to_ndarray(format='yuv420p')[: SIDE * 3 // 2].astype(np.float32) - 16) / 219
        rgb = decoded.to_ndarray(format='rgb24')[:SIDE].astype(np.float32) / 255
        for k, layer in enumerate(layers):
            columns = slice(k * SIDE, (k + 1) * SIDE)
            alpha, depth = unpacked(grey[SIDE:, columns], rgb[:, columns], near, far)
            overlaps.append(iou(alpha > 0.5, layer.alphas > 0.5))
            errors.append(np.abs(depth - layer.colors[..., 3])[inner(layer)] * 1e3)
    wheres = f'2 x {SIDE}x{SIDE} with alpha and depth, demo avatar in motion, 1 thread, {load()}'
    return [
        metric('pack_encode.p50_ms', float(np.median(times[3:])), 'ms', 'lower', wheres),
        metric('pack_encode.p95_ms', float(np.percentile(times[3:], 95)), 'ms', 'lower', wheres),
        metric('pack_encode.cpu_ms', float(np.median(cpu[3:])), 'ms', 'lower',
               f'the same in CPU time, median; {wheres}'),
        metric('encode_alone.cpu_ms', float(np.median(alone[3:])), 'ms', 'lower',
               f'of that, without what packing takes: x264 and PyAV; {wheres}'),
        metric('frame_kb', float(np.median(sizes[1:])), 'kB', 'lower', wheres),
        metric('alpha.iou', float(np.mean(overlaps)), '', 'higher',
               f'half size, sharpened by the colours as the page does it; {wheres}'),
        metric(
            'depth.p95_mm', float(np.percentile(np.concatenate(errors), 95)), 'mm', 'lower',
            f'{wheres}; outline left out',
        ),
    ]  # fmt: skip


def depth_alone(avatar: MovingAvatar) -> list[Metric]:
    """Bytes of the depth of one view, coded by itself with QP 21, and its error."""
    half = SIDE // 2
    context = av.CodecContext.create('libx264', 'w')
    context.width, context.height, context.pix_fmt = half, half, 'yuv420p'
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30, 1)
    context.gop_size, context.thread_count = 100_000, 1
    context.options = {'preset': 'superfast', 'tune': 'zerolatency', 'qp': '21'}
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
    where = 'one view at half size, x264 superfast, QP 21, demo avatar in motion'
    return [
        metric('depth_alone.kb', float(np.mean(sizes[1:])), 'kB', 'lower', where),
        metric(
            'depth_alone.p95_mm', float(np.percentile(np.concatenate(errors), 95)), 'mm', 'lower',
            f'{where}; outline left out',
        ),
    ]  # fmt: skip


def wire(frames: int, messages: int) -> list[Metric]:
    """Pictures against their headers, and bad clients."""
    wrong = mismatches(frames)
    fuzzed = fuzz(messages)
    told = f'{fuzzed.sent} random and mutated messages, {fuzzed.turned_away} clients turned away'
    return [
        metric('pairing.mismatches', wrong, '', 'lower', f'of {frames} frames through the encoder'),
        metric('fuzz.grown_mb', fuzzed.grown_mb, 'MB', 'lower',
               f'left by the second half; {told}'),
        metric('fuzz.held_mb', fuzzed.held_mb, 'MB', 'lower',
               f'at its end, by connections closed less than 16 s ago; {told}'),
        metric('fuzz.alive', float(fuzzed.alive), '', 'higher', f'{told}; then an honest one'),
    ]  # fmt: skip


#: Case -> (kind of server, pages that watch).
GLASS = {
    'glass': ('ours', 1),
    'glass_vr': ('ours_vr', 1),
    'glass_mjpeg_q95': ('mjpeg', 1),
    'glass_aiortc': ('aiortc', 1),
    'glass_floor': ('floor', 1),
}


def glass(count: int) -> list[Metric]:
    """Glass to glass in headless Chromium, rivals in turn."""
    found = rounds(GLASS, count)
    where = (
        f'30 Hz, headless Chromium, software GL, {count} rounds in turn, {load()}; rivals '
        '1280x720 side by side, ours 640x720 (desktop) and 1280x720 (VR) with alpha and depth'
    )
    metrics, medians, bytes_ = [], {}, {}
    for name, results in found.items():
        late = [np.concatenate(r['latency_ms']) for r in results]
        late = [x for x in late if x.size]
        medians[name] = float(np.median([np.median(x) for x in late]))
        bytes_[name] = float(np.median([r['kb'] for r in results]))
        p95 = float(np.median([np.percentile(x, 95) for x in late]))
        fps = float(np.median([np.mean(r['fps']) for r in results]))
        metrics += [
            metric(f'{name}.p50_ms', medians[name], 'ms', 'lower', where),
            metric(f'{name}.p95_ms', p95, 'ms', 'lower', where),
            metric(f'{name}.fps', fps, '1/s', 'higher', f'shown by a client; {where}'),
        ]
    return [
        *metrics,
        metric('glass.of_aiortc', medians['glass'] / medians['glass_aiortc'], 'x', 'lower', where),
        metric('glass.of_mjpeg', medians['glass'] / medians['glass_mjpeg_q95'], 'x', 'lower',
               where),
        metric('glass_floor.of_aiortc', medians['glass_floor'] / medians['glass_aiortc'], 'x',
               'lower', f'pictures made in the page: no network, encoder or decoder; {where}'),
        metric('glass_vr.of_mjpeg', medians['glass_vr'] / medians['glass_mjpeg_q95'], 'x', 'lower',
               where),
        metric('glass_vr.bytes_of_mjpeg', bytes_['glass_vr'] / bytes_['glass_mjpeg_q95'], 'x',
               'lower',
               f'{where}; ours with alpha and depth'),
    ]  # fmt: skip


def clients() -> list[Metric]:
    """One and four clients that acknowledge at once: what the server alone does."""
    one, four = many_clients(1), many_clients(4)
    where = f'{four["seconds"]:g} s, one stream, clients without a browser, {load()}'
    late = float(np.percentile(np.concatenate(four['latency_ms']), 95))
    fps = four['fps']
    return [
        metric('clients_4.cpu_of_one', four['cpu'] / one['cpu'], 'x', 'lower',
               f'CPU time of the server; {where}'),
        metric('clients_4.p95_ms', late, 'ms', 'lower', f'picture there to received; {where}'),
        metric('clients_4.fps', float(np.mean(fps)), '1/s', 'higher', where),
        metric('clients_4.fps_spread', max(fps) / min(fps), 'x', 'lower',
               f'fastest client over slowest; {where}'),
    ]  # fmt: skip


#: Name -> the link for eight seconds, from one of 20 ms round trip that loses nothing.
GOOD_LINK = Link(10.0, 2.0)
BAD_LINKS = {
    'loss_1_percent': Link(10.0, 2.0, 0.01),
    'half_rate': Link(10.0, 2.0, 0.0, 3.0),
}


def links(count: int) -> list[Metric]:
    """A page behind links that become bad and good again."""
    metrics = []
    for name, link in BAD_LINKS.items():
        results = [impaired(link, GOOD_LINK) for _ in range(count)]
        where = (
            f'{link.delay_ms:g} ms each way, loss {link.loss:g}, {link.rate_mbit or "any"} Mbit/s, '
            f'{count} rounds, {load()}'
        )

        def middle(values: list[float]) -> float:
            return float(np.median(values))

        metrics += [
            metric(f'{name}.p95_ms', middle([np.percentile(r['bad_ms'], 95) for r in results]),
                   'ms', 'lower', where),
            metric(f'{name}.before_p95_ms',
                   middle([np.percentile(r['good_ms'], 95) for r in results]), 'ms', 'lower',
                   f'the same page before; {where}'),
            metric(f'{name}.fps_kept', middle([r['fps'][1] / r['fps'][0] for r in results]), '',
                   'higher', f'frames shown a second against before; {where}'),
            metric(f'{name}.pose_round_trip_p95_ms',
                   float(np.percentile([t for r in results for t in r['pose_round_trip_ms']], 95)),
                   'ms', 'lower', f'eyes to their answer on the socket of the frames; {where}'),
            metric(f'{name}.recovery_s', middle([r['recovery_s'] for r in results]), 's', 'lower',
                   f'until half a second has no frame later than before; {where}'),
        ]  # fmt: skip
    return metrics


def unpacked(below: Array, rgb: Array, near: float, far: float) -> tuple[Array, Array]:
    """Alpha and depth (SIDE, SIDE) of one view from the grey half of the picture and its colours.

    Alpha is what `page/xr/avatar_mesh.js` makes of it: see there.
    """
    half = SIDE // 2
    alpha = np.clip((cv2.resize(below[:, :half], (SIDE, SIDE)) - 0.02) / 0.96, 0, 1)
    luma, floor = rgb @ np.array([0.2126, 0.7152, 0.0722], np.float32), 0.02
    blurred = cv2.resize(cv2.resize(luma, (half, half), interpolation=cv2.INTER_AREA), (SIDE, SIDE))
    sharp = np.maximum(alpha * (luma + floor) / (blurred + floor), rgb.max(-1)).clip(0, 1)
    return np.where(alpha < 1, sharp, alpha), depth_of(below[:, half:], near, far)


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
    parser.add_argument('--rounds', type=int, default=5, help='of each case in the browser')
    parser.add_argument('--no-browser', action='store_true', help='what needs no Chromium')
    parser.add_argument('--short', action='store_true', help='a tenth of frames and messages')
    args = parser.parse_args()
    if not args.no_browser and find_spec('aiortc') is None:
        parser.error("the rival aiortc is not installed: pip install -e '.[bench]'")
    avatar, share = MovingAvatar(), 10 if args.short else 1
    metrics = [*coding(avatar), *depth_alone(avatar), *wire(10_000 // share, 100_000 // share)]
    metrics += clients()
    if not args.no_browser:
        metrics += [*glass(args.rounds), *links(args.rounds)]
    write_results('xr', metrics)


if __name__ == '__main__':
    main()
