# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Packed pictures to H.264 or JPEG, one at a time and without delay."""

import logging
import time
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Protocol

import av
import numpy as np
from av.video.frame import PictureType

from avatar_ros.streaming.jpeg import encode_jpeg
from avatar_ros.streaming.xr.packing import Layers, Packer, Views, depth_range, packed_size
from avatar_ros.types import Array

logger = logging.getLogger(__name__)

_CLOCK = Fraction(1, 90_000)
_JPEG_QUALITY = 80
#: A key frame is asked for; otherwise none comes.
_NO_KEYS = 1_000_000


@dataclass(frozen=True)
class Encoded:
    """One picture."""

    data: bytes
    key: bool


class Encoder(Protocol):
    """Makes pictures of one size."""

    def encode(self, layers: Views, near: float, far: float, key: bool) -> Encoded:
        """The views of one frame, packed."""

    def aim_at(self, bit_rate: int) -> None:
        """Another bit rate, if the format has one, from the next picture on; no key frame."""


@cache
def h264_encoder_name() -> str:
    """``h264_nvenc`` if a picture can really be encoded with it here, else ``libx264``.

    That FFmpeg knows NVENC says nothing: data-centre GPUs such as the H100 have none.
    """
    try:
        context = h264_context('h264_nvenc', 256, 256, 1_000_000, 30)
        frame = av.VideoFrame(256, 256, 'yuv420p')
        frame.pts = 0
        context.encode(frame)
        context.encode(None)
    except (av.error.FFmpegError, ValueError, OSError):
        logger.info('H.264 is encoded on the CPU (libx264): NVENC cannot be used here')
        return 'libx264'
    logger.info('H.264 is encoded by NVENC')
    return 'h264_nvenc'


def h264_context(
    name: str, width: int, height: int, bit_rate: int, fps: float
) -> av.VideoCodecContext:
    """An H.264 encoder without delay: no B-frames, one thread, key frames only when asked for.

    :param name: as `h264_encoder_name` gives it.
    :param bit_rate: bits a second.
    """
    context = av.CodecContext.create(name, 'w')
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, 'yuv420p'
    context.time_base = _CLOCK
    context.framerate = Fraction(round(fps), 1)
    context.bit_rate, context.gop_size, context.max_b_frames = bit_rate, _NO_KEYS, 0
    context.thread_count = 1
    context.color_range = 1  # limited; 1 = BT.709 in the three below
    context.color_primaries = context.color_trc = context.colorspace = 1
    if name == 'h264_nvenc':
        context.options = {'preset': 'p1', 'tune': 'ull', 'zerolatency': '1', 'forced-idr': '1'}
        return context
    context.profile = 'Baseline'
    context.options = {
        'preset': 'ultrafast',
        'tune': 'zerolatency',
        'forced-idr': '1',
        # Half-pixel motion: 0.6 dB and sharper outlines of alpha for a tenth more time.
        # Two frames of buffer: a burst must not wait in the socket.
        # FFmpeg's own names: x264 takes another bit rate in midstream only with these.
        'maxrate': f'{bit_rate}',
        'bufsize': f'{round(2 * bit_rate / fps)}',
        'x264-params': 'subme=1:scenecut=0',
    }
    return context


class H264Encoder:
    """I420 straight into the encoder's own planes.

    :param bit_rate: the highest that will be aimed at: what a single picture may take follows it.
    """

    def __init__(
        self, width: int, height: int, views: int, *, bit_rate: int = 6_000_000, fps: float = 30.0
    ) -> None:
        self._packer = Packer(width, height, views)
        size = packed_size(width, height, views)
        self._context = h264_context(h264_encoder_name(), *size, bit_rate, fps)
        self._frame = av.VideoFrame(*size, 'yuv420p')
        self._start = time.monotonic()
        self._pts = -1

    def encode(self, layers: Views, near: float, far: float, key: bool) -> Encoded:
        """See `Encoder`."""
        self._frame.make_writable()  # a reference that the encoder kept must not change
        y, u, v = (_rows(plane) for plane in self._frame.planes)
        self._packer.i420(layers, near, far, (y, u, v))
        now = int((time.monotonic() - self._start) / _CLOCK)
        self._pts = max(now, self._pts + 1)
        self._frame.pts, self._frame.time_base = self._pts, _CLOCK
        self._frame.pict_type = PictureType.I if key else PictureType.NONE
        packets = self._context.encode(self._frame)
        return Encoded(
            b''.join(bytes(packet) for packet in packets),
            any(packet.is_keyframe for packet in packets),
        )

    def aim_at(self, bit_rate: int) -> None:
        """See `Encoder`."""
        self._context.bit_rate = bit_rate


def _rows(plane: av.video.plane.VideoPlane) -> Array:
    """(height, width) writable view of a plane whose rows may be padded."""
    whole = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return whole[: plane.height, : plane.width]


class JpegEncoder:
    """For browsers without WebCodecs; every picture stands alone."""

    def __init__(self, width: int, height: int, views: int) -> None:
        self._packer = Packer(width, height, views)

    def encode(self, layers: Views, near: float, far: float, key: bool) -> Encoded:
        """See `Encoder`."""
        return Encoded(encode_jpeg(self._packer.rgb(layers, near, far), _JPEG_QUALITY), True)

    def aim_at(self, bit_rate: int) -> None:
        """See `Encoder`: pictures only become smaller."""


def warm_up() -> None:
    """Compile what packing needs and find the encoder, so that the first picture is not late."""
    side = 64
    one = Layers(np.ones((side, side, 4), np.float32), np.ones((side, side), np.float32))
    H264Encoder(side, side, 2).encode([one, one], *depth_range([one]), key=True)
