# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Plain pictures to H.264: Annex B, no B-frames, one packet a picture."""

import av
from av.video.frame import PictureType

from avatar_ros.streaming.xr.encoder import Encoded, h264_context, h264_encoder_name
from avatar_ros.types import Image


class VideoEncoder:
    """Makes one stream of pictures of one size."""

    def __init__(
        self, width: int, height: int, *, bit_rate: int = 6_000_000, fps: float = 30.0
    ) -> None:
        """Odd sizes lose a row or a column, as 4:2:0 has half as many of colour.

        :raises ValueError: if nothing is left.
        """
        self.width, self.height = width // 2 * 2, height // 2 * 2
        if not (self.width and self.height):
            raise ValueError(
                f'a picture of {width} x {height} is too small for H.264; expected 2 x 2 or more'
            )
        self._context = h264_context(h264_encoder_name(), self.width, self.height, bit_rate, fps)
        self._pts = 0

    def encode(self, rgb: Image, key: bool) -> Encoded:
        """The next picture (height, width, 3) of uint8; `key`: decoding may begin with it."""
        rgb = rgb[: self.height, : self.width]
        frame = av.VideoFrame.from_ndarray(rgb, 'rgb24').reformat(
            format='yuv420p', dst_colorspace='ITU709', dst_color_range='MPEG'
        )
        frame.pts, frame.time_base = self._pts, self._context.time_base
        self._pts += round(1 / (self._context.framerate * self._context.time_base))
        frame.pict_type = PictureType.I if key else PictureType.NONE
        packets = self._context.encode(frame)
        return Encoded(
            b''.join(bytes(packet) for packet in packets),
            any(packet.is_keyframe for packet in packets),
        )
