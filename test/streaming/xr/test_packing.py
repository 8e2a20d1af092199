# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import io

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from streaming.xr.conftest import disc

from avatar_ros.streaming.xr.encoder import H264Encoder, JpegEncoder
from avatar_ros.streaming.xr.packing import Layers, Packer, depth_range, packed_size


def unpacked(grey, colors, pair, near, far):
    """(rgb, alpha, depth) of each view, by the words of docs/xr_protocol.md."""
    height, width = pair[0].alphas.shape
    views = []
    for i in range(len(pair)):
        left, half = i * width, width // 2
        low = grey[height : height + height // 2]
        alpha = cv2.resize(low[:, left : left + half], (width, height))
        q = cv2.resize(low[:, left + half : left + width], (width, height))
        depth = 1 / (q / near + (1 - q) / far)
        views.append((colors[:height, left : left + width], alpha, depth))
    return views


def check(views, pair, color_error, alpha_error, depth_error_m):
    for (rgb, alpha, depth), layer in zip(views, pair, strict=True):
        inside = cv2.erode((layer.alphas > 0.99).astype(np.uint8), np.ones((5, 5))) > 0
        assert inside.any()
        assert np.abs(rgb - layer.colors[..., :3])[inside].mean() < color_error
        assert np.abs(alpha - layer.alphas).mean() < alpha_error
        assert np.abs(depth - layer.colors[..., 3])[inside].max() < depth_error_m


def rgb_of(frame):
    """BT.709, limited range, written out: what a browser does."""
    y, u, v = (np.array(p.astype(float)) for p in planes_of(frame))
    y = (y - 16) / 219
    u, v = (cv2.resize(p, y.shape[::-1]) for p in ((u - 128) / 224, (v - 128) / 224))
    r, b = y + 1.5748 * v, y + 1.8556 * u
    return np.stack([r, (y - 0.2126 * r - 0.0722 * b) / 0.7152, b], -1), y


def planes_of(frame):
    height, width = frame.height, frame.width
    whole = frame.to_ndarray(format='yuv420p').reshape(-1)
    n = width * height
    y, u, v = whole[:n], whole[n : n + n // 4], whole[n + n // 4 :]
    half = height // 2, width // 2
    return y.reshape(height, width), u.reshape(half), v.reshape(half)


def test_h264_carries_colours_alpha_and_depth_of_both_eyes(pair):
    near, far = depth_range(pair)
    encoder = H264Encoder(64, 96, 2, bit_rate=8_000_000)
    decoder = av.CodecContext.create('h264', 'r')
    for k in range(6):
        encoded = encoder.encode(pair, near, far, k == 0)
        assert encoded.key == (k == 0)
        (frame,) = decoder.decode(av.Packet(encoded.data))
    assert (frame.width, frame.height) == packed_size(64, 96, 2)
    colors, grey = rgb_of(frame)
    check(unpacked(grey, colors, pair, near, far), pair, 0.03, 0.03, 0.02)


def test_jpeg_carries_the_same(pair):
    near, far = depth_range(pair)
    encoded = JpegEncoder(64, 96, 2).encode(pair, near, far, False)
    assert encoded.key
    colors = np.asarray(Image.open(io.BytesIO(encoded.data)).convert('RGB')) / 255
    check(unpacked(colors[..., 1], colors, pair, near, far), pair, 0.03, 0.03, 0.03)


def test_each_picture_is_decodable_as_it_comes():
    """No encoder may keep a frame back: one in, one out, at once."""
    encoder, decoder = H264Encoder(64, 96, 1), av.CodecContext.create('h264', 'r')
    for k in range(20):
        encoded = encoder.encode([disc(shift=k * 0.5)], 1.0, 2.0, k in (0, 11))
        assert encoded.data
        assert encoded.key == (k in (0, 11))
        assert len(decoder.decode(av.Packet(encoded.data))) == 1


def test_the_bit_rate_changes_in_midstream_without_a_key_frame():
    rng = np.random.default_rng(0)
    views = [disc(128, 192) for _ in range(30)]
    for view in views:
        view.colors[..., :3] *= rng.random((192, 128, 3), np.float32)
    encoder, sizes = H264Encoder(128, 192, 1, bit_rate=4_000_000), []
    for bit_rate in (4_000_000, 500_000, 4_000_000):
        encoder.aim_at(bit_rate)
        encoded = [encoder.encode([view], 1.0, 2.0, False) for view in views]
        assert not any(picture.key for picture in encoded[1:])
        sizes.append(np.mean([len(picture.data) for picture in encoded[10:]]))
    assert sizes[1] < 0.4 * sizes[0]
    assert sizes[2] > 0.7 * sizes[0]


def test_grey_levels_use_the_limited_range_and_nothing_else():
    height, width = 16, 16
    colors = np.zeros((height, width, 4), np.float32)
    colors[:8, :, :3], colors[..., 3] = 1.0, 1.0
    planes = np.zeros((24, 16), np.uint8), np.zeros((12, 8), np.uint8), np.zeros((12, 8), np.uint8)
    Packer(16, 16, 1).i420([Layers(colors, np.ones((16, 16), np.float32))], 1.0, 2.0, planes)
    assert planes[0][:8].max() == planes[0][:8].min() == 235
    assert planes[0][8:16].max() == planes[0][8:16].min() == 16
    assert (planes[0][16:] == 235).all()  # alpha 1, and depth at the near end
    assert (planes[1] == 128).all()
    assert (planes[2] == 128).all()


def test_wild_colours_do_not_wrap_round():
    colors = np.full((8, 8, 4), np.nan, np.float32)
    colors[:4, :, :3], colors[4:, :4, :3] = 1e9, -1e9
    planes = np.zeros((12, 8), np.uint8), np.zeros((6, 4), np.uint8), np.zeros((6, 4), np.uint8)
    Packer(8, 8, 1).i420([Layers(colors, np.ones((8, 8), np.float32))], 1.0, 2.0, planes)
    assert (planes[0][:4] == 235).all()
    assert (planes[0][4:8] == 16).all()
    assert (planes[0][8:, :4] == 235).all()


def slow_i420(layer):
    """Luma, chroma at half size, and alpha, of one view, by the words of BT.709."""
    rgb = np.clip(layer.colors[..., :3].astype(float), 0, 1)
    y = rgb @ [0.2126, 0.7152, 0.0722]
    height, width = y.shape

    def halved(plane):
        return plane.reshape(height // 2, 2, width // 2, 2).mean((1, 3))

    cb, cr = halved(rgb[..., 2] - y) / 1.8556, halved(rgb[..., 0] - y) / 1.5748
    return (
        16 + 219 * y,
        128 + 224 * cb,
        128 + 224 * cr,
        16 + 219 * halved(layer.alphas.astype(float)),
    )


def test_the_pass_over_the_buffers_is_the_slow_conversion():
    """Also where rows are empty, touch the rim, have gaps or end at odd columns."""
    rng = np.random.default_rng(0)
    height, width = 24, 20
    alpha = rng.random((height, width), np.float32)
    alpha[:4] = alpha[:, 13:16] = 0
    for row in range(4, 20):
        alpha[row, : row % 7] = alpha[row, width - row % 5 :] = 0
    colors = np.empty((height, width, 4), np.float32)
    colors[..., :3] = alpha[..., None] * rng.random((height, width, 3))
    colors[..., 3] = 1.5
    planes = (
        np.zeros((36, 40), np.uint8),
        np.zeros((18, 20), np.uint8),
        np.zeros((18, 20), np.uint8),
    )
    empty = Layers(np.zeros_like(colors), np.zeros_like(alpha))
    Packer(width, height, 2).i420([empty, Layers(colors, alpha)], 1.0, 2.0, planes)
    slow = slow_i420(Layers(colors, alpha))
    fast = planes[0][:height, 20:], planes[1][:12, 10:], planes[2][:12, 10:], planes[0][24:, 20:30]
    for a, b in zip(fast, slow, strict=True):
        assert np.abs(a - b).max() < 0.51
    assert (planes[0][:height, :20] == 16).all()
    assert (planes[1] == 128)[:, :10].all()


def test_depth_goes_on_beyond_the_outline():
    layer = disc(depth=1.0)
    near, far = depth_range([layer])
    planes = (
        np.zeros((144, 64), np.uint8), np.zeros((72, 32), np.uint8), np.zeros((72, 32), np.uint8),
    )  # fmt: skip
    Packer(64, 96, 1).i420([layer], near, far, planes)
    grey = (planes[0][96:, 32:].astype(float) - 16) / 219
    depth = 1 / (grey / near + (1 - grey) / far)
    assert near * 0.99 < depth.min()
    assert depth.max() < far * 1.01
    solid = cv2.resize(layer.alphas, (32, 48), interpolation=cv2.INTER_AREA) > 0.9
    row = 24
    first = int(np.argmax(solid[row]))
    assert abs(depth[row, 0] - depth[row, first]) < 0.03


def test_nothing_drawn_still_packs():
    empty = Layers(np.zeros((16, 16, 4), np.float32), np.zeros((16, 16), np.float32))
    near, far = depth_range([empty])
    assert 0 < near < far
    assert H264Encoder(16, 16, 1).encode([empty], near, far, True).key


@pytest.mark.parametrize('size', [(30, 32), (32, 30), (0, 16)])
def test_sizes_that_cannot_be_halved_twice_are_refused(size):
    with pytest.raises(ValueError, match='multiples of 4'):
        Packer(*size, 1)
