# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""CUDA against the CPU engine, and how fast it is: ``python -m benchmarks.gpu``.

Without a CUDA device and gsplat it measures nothing and says so.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Literal

import numpy as np
import torch

from avatar_ros.avatars import HeadAvatar, SkinnedAvatar, avatar_path, load_bundle
from avatar_ros.avatars.head.config import HeadNetworkConfig
from avatar_ros.body import ARKIT_52, FLAME, SMPLX, BodyPose, FaceExpression
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.machine import machine
from avatar_ros.render import Engine, NumbaEngine
from avatar_ros.render.gsplat_engine import GsplatEngine, why_gsplat_cannot_run
from avatar_ros.streaming.jpeg import encode_jpeg
from avatar_ros.streaming.nvjpeg import nvjpeg_works
from avatar_ros.streaming.xr.encoder import H264Encoder, h264_encoder_name
from avatar_ros.streaming.xr.packing import Layers, Packer, depth_range
from avatar_ros.streaming.xr.packing_torch import TorchLayers
from avatar_ros.training.head.cameras import nersemble_rig
from benchmarks import network
from benchmarks.head_scene import random_head
from benchmarks.metrics import Metric, median_wall_ms, write_results
from benchmarks.scene import camera, person
from benchmarks.xr_scene import MovingAvatar, stereo_eyes

COMMAND = 'python -m benchmarks.gpu'
CHANNELS = 34


def _metric(
    key: str,
    value: float,
    unit: str,
    conditions: str,
    better: Literal['lower', 'higher'] = 'lower',
) -> Metric:
    device = f'{torch.cuda.get_device_name()}; {machine()}'
    return Metric(f'gpu.{key}', value, unit, better, conditions, COMMAND, device)


def _timed(work: Callable[[], object]) -> float:
    def once() -> None:
        work()
        torch.cuda.synchronize()

    return median_wall_ms(once, repeats=50, warm_up=5)


def features(n: int) -> Gaussians:
    """The synthetic person with HeadGAP's number of channels."""
    rng = torch.Generator().manual_seed(0)
    return replace(person(n), colors=torch.rand(n, CHANNELS, generator=rng))


def parity(engine: Engine) -> list[Metric]:
    """Pictures of both engines."""
    rows = []
    cases = {
        'rgb': (person(50_000), 512, 'classic'),
        'rgb_antialiased': (person(50_000), 512, 'antialiased'),
        'sh3': (person(20_000, sh_degree=3), 256, 'classic'),
        'features': (features(20_000), 256, 'classic'),
    }
    for name, (gaussians, size, mode) in cases.items():
        view = camera(size, size)
        ours, theirs = (
            e.rasterize(gaussians.to(e.device), [view], render_mode='RGB+ED', rasterize_mode=mode)
            for e in (NumbaEngine(), engine)
        )
        error = (ours.colors[..., :-1] - theirs.colors[..., :-1].cpu()).abs().flatten().numpy()
        what = f'{len(gaussians)} Gaussians, {size}x{size}, {mode}, against the CPU engine'
        rows.append(_metric(f'parity.{name}.p999', float(np.quantile(error, 0.999)), '1', what))
    return rows


def gradients(engine: Engine) -> Metric:
    """Largest relative difference of a gradient between the engines."""
    names = ('means', 'quats', 'scales', 'opacities', 'colors')
    made = features(5_000)
    target = torch.rand(1, 128, 128, CHANNELS, generator=torch.Generator().manual_seed(1))
    results = []
    for e in (NumbaEngine(), engine):
        learned = {n: getattr(made, n).clone().to(e.device).requires_grad_() for n in names}
        image = e.rasterize(Gaussians(**learned), [camera(128, 128)])
        (image.colors - target.to(e.device)).square().sum().backward()
        results.append([learned[n].grad.cpu() for n in names])  # type: ignore[union-attr]
    worst = max(float((a - b).norm() / a.norm()) for a, b in zip(*results, strict=True))
    return _metric('parity.gradients', worst, '1', '5000 Gaussians, 34 channels, relative norm')


def speed(engine: Engine) -> list[Metric]:
    """Milliseconds a frame, waiting for the GPU."""
    rows = []
    for n, size in ((20_000, 256), (50_000, 512), (200_000, 1024)):
        gaussians = person(n).to(engine.device)
        work = partial(engine.rasterize, gaussians, [camera(size, size)])
        what = f'{n} Gaussians, RGB, median of 50, with synchronisation'
        rows.append(_metric(f'forward.{n // 1000}k_{size}.ms', _timed(work), 'ms', what))
    gaussians = person(200_000).to(engine.device)
    eyes = [camera(2064, 2208), camera(2064, 2208, offset=0.064)]
    work = partial(engine.rasterize, gaussians, eyes, render_mode='RGB+ED')
    what = '200000 Gaussians, both eyes of a headset at 2064x2208, RGB and depth, median of 50'
    rows.append(_metric('forward.200k_stereo.ms', _timed(work), 'ms', what))
    made = features(83_651).to(engine.device)
    work = partial(engine.rasterize, made, [camera(512, 512)])
    what = '83651 Gaussians of 34 channels, 512x512, median of 50'
    rows.append(_metric('features.83k_512.forward_ms', _timed(work), 'ms', what))
    means = made.means.requires_grad_()

    def step() -> None:
        out = engine.rasterize(replace(made, means=means), [camera(512, 512)])
        out.colors.square().mean().backward()

    rows.append(_metric('features.83k_512.step_ms', _timed(step), 'ms', f'{what}; and backward'))
    return rows


def avatar(engine: Engine) -> list[Metric]:
    """The shipped body avatar: deformed on both, and a whole frame on CUDA."""
    bundle = load_bundle(avatar_path('dressed'))
    rng = np.random.default_rng(0)
    quats = quat_from_rotvec(rng.normal(0, 0.3, (len(SMPLX), 3)))
    pose = BodyPose(SMPLX, np.eye(4), quats, np.ones(len(SMPLX)))
    names = () if bundle.expression is None else bundle.expression.names
    face = FaceExpression('arkit52', names, np.full(len(names), 0.3))
    on_cpu, on_gpu = SkinnedAvatar(bundle), SkinnedAvatar(bundle, engine.device)
    a, b = on_cpu.deform(pose, face), on_gpu.deform(pose, face)
    apart = float((a.means - b.means.cpu()).norm(dim=1).max()) * 1e3
    what = f'{len(bundle)} Gaussians, posed and with a face'

    def frame() -> object:
        return engine.rasterize(on_gpu.deform(pose, face), [camera(512, 512)])

    return [
        _metric('avatar.parity_mm', apart, 'mm', f'{what}, the worst against the CPU'),
        _metric('avatar.frame_512.ms', _timed(frame), 'ms', f'{what}, deformed and drawn'),
    ]


def heads(engine: Engine) -> list[Metric]:
    """A head with HeadGAP's sizes: everything on CUDA, the screen-space network included."""
    config = HeadNetworkConfig()
    bundle = random_head(config)
    face = FaceExpression('arkit52', ARKIT_52, np.full(len(ARKIT_52), 0.2))
    pose = BodyPose(FLAME, np.eye(4), np.tile([1.0, 0, 0, 0], (len(FLAME), 1)), np.ones(len(FLAME)))
    view = nersemble_rig(512)[8]
    rows = []
    for name, cnn in (('with_cnn', True), ('without_cnn', False)):
        avatar = HeadAvatar(bundle, engine.device, cnn)

        def frame(avatar: HeadAvatar = avatar) -> object:
            gaussians = avatar.deform(pose, face)
            image = engine.rasterize(gaussians, [view])
            if avatar.refine is None:
                return image
            with torch.no_grad():
                return avatar.refine(image.colors, image.alphas)

        what = f'{len(bundle)} Gaussians, paper sizes, 512x512, expression to picture'
        ms = _timed(frame)
        rows.append(_metric(f'head.paper_512.{name}.fps', 1e3 / ms, '1/s', what, 'higher'))
        deform = _timed(lambda avatar=avatar: avatar.deform(pose, face))  # type: ignore[misc]
        rows.append(_metric(f'head.paper_512.{name}.deform_ms', deform, 'ms', what))
    return rows


def packing(scene: MovingAvatar, side: int) -> list[Metric]:
    """Packing on the GPU against copying floats and packing on the CPU."""
    packer = Packer(side, side, 2)
    layers = drawn_for(scene, 5, side)
    shapes = (3 * side // 2, 2 * side), (3 * side // 4, side), (3 * side // 4, side)
    ours, theirs = (tuple(np.empty(s, np.uint8) for s in shapes) for _ in range(2))

    def on_gpu() -> None:
        packer.i420(layers, *depth_range(layers), ours)

    def on_cpu() -> None:
        arrays = layers.colors.cpu().numpy(), layers.alphas.cpu().numpy()
        views = [Layers(*view) for view in zip(*arrays, strict=True)]
        packer.i420(views, *depth_range(views), theirs)

    what = f'two eyes of {side}x{side}, demo avatar, alpha and depth, range and packing to I420'
    gpu, cpu = _timed(on_gpu), _timed(on_cpu)
    worst = max(np.abs(a.astype(int) - b).max() for a, b in zip(ours, theirs, strict=True))
    rows = [
        _metric(f'xr.pack_{side}.ms', gpu, 'ms', f'{what}, on the GPU'),
        _metric(f'xr.pack_{side}.of_cpu', gpu / cpu, 'x', f'{what}, of copying floats and the CPU'),
        _metric(f'xr.pack_{side}.parity', float(worst), 'levels', f'{what}, worst pixel'),
    ]
    if nvjpeg_works():
        picture = packer.rgb(layers, *depth_range(layers))
        assert isinstance(picture, torch.Tensor)
        gpu = _timed(partial(encode_jpeg, picture, 80))
        cpu = _timed(lambda: encode_jpeg(picture.cpu().numpy(), 80))
        what = f'{2 * side}x{3 * side // 2}, quality 80, from a picture on the GPU'
        rows.append(_metric(f'xr.nvjpeg_{side}.ms', gpu, 'ms', what))
        rows.append(_metric(f'xr.nvjpeg_{side}.of_cpu', gpu / cpu, 'x', f'{what}, of OpenCV'))
    return rows


def headset_frame(scene: MovingAvatar, side: int) -> Metric:
    """A frame for a headset, from the pose to the bytes."""
    encoder, frames = H264Encoder(side, side, 2), count()

    def frame() -> None:
        layers = drawn_for(scene, next(frames), side)
        encoder.encode(layers, *depth_range(layers), False)

    what = f'two eyes of {side}x{side}, demo avatar, pose to H.264 by {h264_encoder_name()}'
    return _metric(f'xr.frame_{side}.ms', _timed(frame), 'ms', what)


def drawn_for(scene: MovingAvatar, frame: int, side: int) -> TorchLayers:
    """What both eyes see."""
    scene.pose(frame)
    drawn = scene.player.draw(scene.locked(stereo_eyes(), side, side), depth=True)
    return TorchLayers(drawn.colors, drawn.alphas[..., 0])


def streaming(engine: Engine) -> list[Metric]:
    """Views for headsets."""
    scene = MovingAvatar(engine=engine)
    rows = []
    for side in (464, 1024):
        rows += [*packing(scene, side), headset_frame(scene, side)]
    return rows


def networks() -> list[Metric]:
    """The rows of `benchmarks.network` that are of CUDA."""
    device = f'{torch.cuda.get_device_name()}; {machine()}'
    rows = [m for m in network.measure() if m.key.endswith('cuda_ms')]
    return [replace(m, key=f'gpu.{m.key}', command=COMMAND, device=device) for m in rows]


def main() -> int:
    reason = why_gsplat_cannot_run()
    if reason is not None:
        print(f'benchmarks.gpu: nothing measured: {reason}.', file=sys.stderr)
        return 0
    engine = GsplatEngine()
    engine.warm_up()
    rows = [*parity(engine), gradients(engine), *speed(engine), *avatar(engine)]
    rows += [*heads(engine), *streaming(engine), *networks()]
    write_results('gpu', rows)
    return 0


if __name__ == '__main__':
    sys.exit(main())
