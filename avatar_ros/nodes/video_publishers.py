# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A view as H.264, in the messages of whichever video packages are installed."""

import importlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from avatar_ros.nodes import qos
from avatar_ros.types import Image

if TYPE_CHECKING:
    from avatar_ros.streaming.video import VideoEncoder
    from avatar_ros.streaming.xr.encoder import Encoded

#: Who has lost a picture sees again after so many.
_KEY_EVERY = 60
_PACKET_IS_KEY = 1  # AV_PKT_FLAG_KEY of FFmpeg


@dataclass(frozen=True)
class Video:
    """One encoded picture and what its message says of it."""

    encoded: 'Encoded'
    width: int
    height: int
    number: int


def foxglove_message(kind: Callable[..., Any], video: Video, header: Header) -> Any:
    """foxglove_msgs/CompressedVideo: Annex B, parameter sets with every key frame."""
    return kind(
        timestamp=header.stamp,
        frame_id=header.frame_id,
        data=array('B', video.encoded.data),
        format='h264',
    )


def ffmpeg_message(kind: Callable[..., Any], video: Video, header: Header) -> Any:
    """ffmpeg_image_transport_msgs/FFMPEGPacket."""
    return kind(
        header=header,
        width=video.width,
        height=video.height,
        encoding='h264;yuv420p;rgb8;rgb8',  # codec; its pixels; those of cv_bridge, and of ROS
        pts=video.number,
        flags=_PACKET_IS_KEY if video.encoded.key else 0,
        is_bigendian=False,
        data=array('B', video.encoded.data),
    )


#: sub-topic of the image (the name of its image_transport) -> package, message, builder
KINDS: dict[str, tuple[str, str, Callable[..., Any]]] = {
    'ffmpeg': ('ffmpeg_image_transport_msgs', 'FFMPEGPacket', ffmpeg_message),
    'foxglove': ('foxglove_msgs', 'CompressedVideo', foxglove_message),
}


class VideoPublishers:
    """image/ffmpeg and image/foxglove of one eye, each if its package is installed."""

    def __init__(self, node: LifecycleNode, image_topic: str) -> None:
        self._outputs: list[tuple[Any, Any, Callable[..., Any]]] = []
        for transport, (package, message, build) in KINDS.items():
            try:
                kind = getattr(importlib.import_module(f'{package}.msg'), message)
            except ImportError:
                continue
            publisher = qos.create(
                node.create_lifecycle_publisher,
                kind,
                f'{image_topic}/{transport}',
                profile=qos.VIEW,
            )
            self._outputs.append((publisher, kind, build))
        self._encoder: VideoEncoder | None = None
        self._size = (0, 0)
        self._listeners = self._number = 0

    def destroy(self, node: LifecycleNode) -> None:
        """Take the topics off the graph."""
        for publisher, _, _ in self._outputs:
            node.destroy_lifecycle_publisher(publisher)

    def listened(self) -> bool:
        """Somebody wants video."""
        return any(publisher.get_subscription_count() for publisher, _, _ in self._outputs)

    def publish(self, rgb: Image, header: Header) -> None:
        """Encode once and send to those who listen; who comes late gets a key frame at once."""
        counts = [publisher.get_subscription_count() for publisher, _, _ in self._outputs]
        before, self._listeners = self._listeners, sum(counts)
        if not self._listeners:
            return
        encoder = self._encoder_for(rgb)
        key = self._listeners > before or self._number % _KEY_EVERY == 0
        video = Video(encoder.encode(rgb, key), encoder.width, encoder.height, self._number)
        self._number += 1
        for (publisher, kind, build), count in zip(self._outputs, counts, strict=True):
            if count:
                publisher.publish(build(kind, video, header))

    def _encoder_for(self, rgb: Image) -> 'VideoEncoder':
        height, width = rgb.shape[:2]
        if self._encoder is None or self._size != (width, height):
            from avatar_ros.streaming.video import VideoEncoder  # FFmpeg, for listeners only

            self._encoder, self._size, self._number = (
                VideoEncoder(width, height),
                (width, height),
                0,
            )
        return self._encoder
