# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Node `camera`: a webcam, a video file or a network stream as Image and CameraInfo."""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

import cv2
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs.msg import Image as ImageMsg

from avatar_ros.geometry import Camera, load_camera_yaml
from avatar_ros.nodes import images, messages, qos
from avatar_ros.nodes.health import DiagnosticsPublisher, Statistics
from avatar_ros.nodes.parameters import declare, parameter
from avatar_ros.nodes.runtime import run_node
from avatar_ros.tracking.video import LOOPS, VideoError, VideoSource
from avatar_ros.types import Image


@dataclass(frozen=True)
class CameraParameters:
    """Parameters of the node."""

    input: str = parameter(
        'demo',
        'webcam number, /dev/videoN, video file, rtsp:// address, or a fetched clip: demo, face',
    )
    rate_hz: float = parameter(30.0, 'pictures a second; 0 = as the input has', low=0.0, high=240.0)
    max_side: int = parameter(
        960, 'scale pictures down to this many pixels on the long side; 0 = never', low=0, high=8192
    )
    loop: str = parameter('repeat', 'what a video file does at its end', choices=LOOPS)
    frame_id: str = parameter('camera_optical_frame', 'optical frame of the pictures (REP-103)')
    calibration_file: str = parameter('', 'camera_info YAML as camera_calibration writes it')
    fov_y_deg: float = parameter(
        45.0, 'vertical field of view to assume without a calibration', low=5.0, high=170.0
    )
    jpeg_quality: int = parameter(85, 'of the compressed topic', low=1, high=100)
    reopen_s: float = parameter(2.0, 'pause before a lost input is tried again', low=0.1, high=60.0)


#: Local sinks get (RGB picture, camera, stamp in ns) by reference, without a message.
FrameSink = Callable[[Image, Camera, int], None]


class CameraNode(Node):
    """Publishes ~/image, ~/image/compressed and ~/camera_info; sensor QoS."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__('camera', **kwargs)
        self.parameters = declare(self, CameraParameters)
        self.statistics = Statistics()
        self.sinks: list[FrameSink] = []
        self._camera: Camera | None = None
        self._calibration: Camera | None = None
        if self.parameters.calibration_file:
            self._calibration = load_camera_yaml(
                self.parameters.calibration_file, self.parameters.frame_id
            )
        self._image = qos.create(self.create_publisher, ImageMsg, '~/image', profile=qos.SENSOR)
        self._compressed = qos.create(
            self.create_publisher, CompressedImage, '~/image/compressed', profile=qos.SENSOR
        )
        self._info = qos.create(
            self.create_publisher, CameraInfo, '~/camera_info', profile=qos.SENSOR
        )
        self.diagnostics = DiagnosticsPublisher(self, self.statistics, self.parameters.input)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name='camera', daemon=True)

    def start(self) -> None:
        """Begin to capture; sinks are connected before."""
        self._thread.start()

    def _run(self) -> None:
        p = self.parameters
        source: VideoSource | None = None
        while not self._closing.is_set():
            try:
                if source is None:
                    source = VideoSource(
                        p.input, rate_hz=p.rate_hz, max_side=p.max_side, loop=p.loop
                    )
                    self.get_logger().info(f'input {source.name} is open')
                else:
                    source.reopen()
                    self.get_logger().info(f'input {source.name} is back')
                for picture in source.pictures(lambda: not self._closing.is_set()):
                    self._publish(picture)
                if not self._closing.is_set():
                    self.get_logger().info(f'input {source.name} has ended')
                    self.diagnostics.warning = 'the input has ended'
                break
            except (VideoError, OSError, cv2.error) as error:
                self.statistics.fail('input_lost', error)
                self.get_logger().error(f'{error} Trying again in {p.reopen_s:g} s.')
                self._closing.wait(p.reopen_s)
        if source is not None:
            source.close()

    def _publish(self, picture: Image) -> None:
        # The stamp is that of the picture: taken at once, before anything is done with it.
        stamp_ns = self.get_clock().now().nanoseconds
        camera = self._camera_for(picture)
        for sink in self.sinks:
            sink(picture, camera, stamp_ns)
        header = messages.header(stamp_ns, camera.frame_id)
        if self._image.get_subscription_count():
            self._image.publish(images.image_message(picture, header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(
                images.compressed_image_message(picture, header, self.parameters.jpeg_quality)
            )
        if self._info.get_subscription_count():
            self._info.publish(images.camera_info_message(camera, header))
        self.statistics.count('frames')
        self.statistics.tick()

    def _camera_for(self, picture: Image) -> Camera:
        height, width = picture.shape[:2]
        if self._camera is not None and (width, height) == (
            self._camera.width,
            self._camera.height,
        ):
            return self._camera
        p = self.parameters
        if self._calibration is not None:
            self._camera = self._calibration.scaled(width, height)
        else:
            self._camera = Camera.from_fov(width, height, p.fov_y_deg, frame_id=p.frame_id)
            self.get_logger().warning(
                f'no calibration_file: assuming a vertical field of view of fov_y_deg = '
                f'{p.fov_y_deg:g}. Distances depend on it; run camera_calibration for true ones.'
            )
        return self._camera

    def close(self) -> None:
        """Stop capturing and release the device."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        self.diagnostics.close()


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `camera`."""

    def make() -> CameraNode:
        node = CameraNode()
        node.start()
        return node

    return run_node(make, args)


if __name__ == '__main__':
    sys.exit(main())
