# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Packing where the pictures are gives what packing on the CPU gives."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from streaming.xr.conftest import disc

from avatar_ros.streaming import nvjpeg
from avatar_ros.streaming.jpeg import encode_jpeg
from avatar_ros.streaming.xr.encoder import H264Encoder, JpegEncoder
from avatar_ros.streaming.xr.packing import Layers, Packer, depth_range
from avatar_ros.streaming.xr.packing_torch import TorchLayers

NO_CUDA = not torch.cuda.is_available()
DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(NO_CUDA, reason='needs CUDA'))]


def on_device(layers, device='cpu'):
    colors, alphas = (
        torch.from_numpy(np.stack([getattr(layer, name) for layer in layers])).to(device)
        for name in ('colors', 'alphas')
    )
    return TorchLayers(colors, alphas)


def blobs(seed, height=48, width=40):
    """A view with several soft pieces, empty rows, gaps, colours out of range and thin edges."""
    rng = np.random.default_rng(seed)
    alpha = np.zeros((height, width), np.float32)
    for _ in range(rng.integers(0, 6)):
        y, x = rng.integers(0, height), rng.integers(0, width)
        h, w = rng.integers(1, 12, 2)
        alpha[y : y + h, x : x + w] = rng.random((h, w))[: height - y, : width - x]
    colors = np.empty((height, width, 4), np.float32)
    colors[..., :3] = alpha[..., None] * rng.uniform(-0.2, 1.3, (height, width, 3))
    colors[..., 3] = rng.uniform(0.5, 3.0, (height, width))
    return Layers(colors, alpha)


def planes_of(layers):
    n, (height, width) = len(layers), blobs(0).alphas.shape
    half = height * 3 // 4, n * width // 2
    planes = tuple(np.zeros(s, np.uint8) for s in ((height * 3 // 2, n * width), half, half))
    views = layers if isinstance(layers, list) else list(layers.colors)
    assert len(views) == n
    Packer(width, height, n).i420(layers, *depth_range(layers), planes)
    return planes


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('seed', range(12))
def test_i420_of_both_ways_is_within_a_grey_level(seed, device):
    views = [blobs(2 * seed), blobs(2 * seed + 1)]
    assert depth_range(on_device(views, device)) == depth_range(views)
    for ours, theirs in zip(planes_of(on_device(views, device)), planes_of(views), strict=True):
        apart = np.abs(ours.astype(int) - theirs)
        assert apart.max() <= 1
        assert (apart > 0).mean() < 0.01  # only where a sum rounds otherwise


@pytest.mark.parametrize('device', DEVICES)
def test_pictures_for_jpeg_are_the_same(device, pair):
    packer = Packer(64, 96, 2)
    ours = packer.rgb(on_device(pair, device), *depth_range(pair))
    apart = np.abs(ours.cpu().numpy().astype(int) - packer.rgb(pair, *depth_range(pair)))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01


@pytest.mark.parametrize('device', DEVICES)
def test_not_a_number_is_black_and_too_much_is_white(device):
    colors = np.full((8, 8, 4), np.nan, np.float32)
    colors[:4, :, :3], colors[4:, :4, :3] = np.inf, -np.inf
    layers = on_device([Layers(colors, np.ones((8, 8), np.float32))], device)
    planes = np.zeros((12, 8), np.uint8), np.zeros((6, 4), np.uint8), np.zeros((6, 4), np.uint8)
    Packer(8, 8, 1).i420(layers, 1.0, 2.0, planes)
    assert (planes[0][:4] == 235).all()
    assert (planes[0][4:8] == 16).all()


@pytest.mark.parametrize('device', DEVICES)
def test_encoders_take_pictures_from_the_device(device, pair):
    layers = on_device(pair, device)
    near_far = depth_range(layers)
    assert H264Encoder(64, 96, 2).encode(layers, *near_far, True).key
    jpeg = JpegEncoder(64, 96, 2).encode(layers, *near_far, False).data
    ours = np.asarray(Image.open(io.BytesIO(jpeg)).convert('RGB')).astype(float)
    theirs = Packer(64, 96, 2).rgb(pair, *near_far)
    assert np.abs(ours - theirs).mean() < 4


@pytest.mark.skipif(not NO_CUDA, reason='this machine has CUDA')
def test_without_a_gpu_jpeg_comes_from_the_cpu_and_the_log_says_so(caplog):
    nvjpeg.nvjpeg_works.cache_clear()
    with caplog.at_level('INFO'):
        assert not nvjpeg.nvjpeg_works()
    assert 'nvJPEG cannot be used here' in caplog.text
    rgb = torch.zeros(8, 8, 3, dtype=torch.uint8)
    assert encode_jpeg(rgb) == encode_jpeg(rgb.numpy())


@pytest.mark.skipif(NO_CUDA, reason='needs CUDA')
def test_jpeg_of_the_gpu_is_the_picture():
    if not nvjpeg.nvjpeg_works():
        pytest.skip('torchvision is not installed')
    rgb = (disc().colors[..., :3].clip(0, 1) * 255).astype(np.uint8)
    jpeg = encode_jpeg(torch.from_numpy(rgb).cuda(), 90)
    decoded = np.asarray(Image.open(io.BytesIO(jpeg)).convert('RGB')).astype(float)
    assert np.abs(decoded - rgb).mean() < 4


def test_bytes_on_the_device_are_those_of_the_cpu():
    from avatar_ros.render import rgb8_on_device, to_rgb8

    colors = torch.tensor([[-1.0, 0.0, 0.5], [1.0, 2.0, 0.999], [np.nan, np.inf, -np.inf]])
    np.testing.assert_array_equal(rgb8_on_device(colors).numpy(), to_rgb8(colors))
