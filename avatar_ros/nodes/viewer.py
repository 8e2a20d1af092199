# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Node `viewer`: one page on this machine with camera, avatar, stage times and ages, live."""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from sensor_msgs.msg import Image as ImageMsg

from avatar_ros.avatars.player import orbit_camera
from avatar_ros.body.pose import TrackingState
from avatar_ros.msg import AvatarStatus, ViewRequest
from avatar_ros.nodes import images, messages, qos
from avatar_ros.nodes.health import DiagnosticsPublisher, Statistics
from avatar_ros.nodes.parameters import declare, parameter
from avatar_ros.nodes.runtime import run_node
from avatar_ros.nodes.worker import Sink, Worker
from avatar_ros.streaming import ViewerServer
from avatar_ros.types import Image


@dataclass(frozen=True)
class ViewerParameters:
    """Parameters of the node."""

    host: str = parameter('127.0.0.1', 'address to listen on; the page has no password')
    port: int = parameter(8080, 'TCP port; 0 = any free one', low=0, high=65535)
    jpeg_quality: int = parameter(80, 'of the pictures on the page', low=10, high=100)
    width: int = parameter(512, 'pixels of the avatar view', low=16, high=4096)
    height: int = parameter(512, 'pixels of the avatar view', low=16, high=4096)
    fov_y_deg: float = parameter(40.0, 'of the avatar view', low=5.0, high=150.0)
    distance_m: float = parameter(3.0, 'of the first view from the avatar', low=0.2, high=100.0)
    look_height_m: float = parameter(
        0.95, 'height above the floor in the middle of the view', low=-1.0, high=3.0
    )
    avatar_frame: str = parameter('avatar', 'frame of the view requests; as in avatar_renderer')


class ViewerNode(Node):
    """Subscribes overlay, avatar_image, status, /diagnostics; publishes view_request."""

    def __init__(self, *, subscribe: bool = True, **kwargs: object) -> None:
        super().__init__('viewer', **kwargs)
        p = self.parameters = declare(self, ViewerParameters)
        self.statistics = Statistics()
        self.view_sinks: list[Callable[[messages.View], None]] = []
        self._server = ViewerServer(
            host=p.host, port=p.port, jpeg_quality=p.jpeg_quality, on_view=self._on_drag
        )
        self._server.start()
        if p.host not in ('127.0.0.1', 'localhost', '::1'):
            self.get_logger().warning(
                f'listening on {p.host}: everybody who reaches it can watch. Use 127.0.0.1 '
                'unless the network is trusted.'
            )
        self._stages: dict[str, dict[str, tuple[float, float]]] = {}
        self._problems: dict[str, str] = {}
        self._status: AvatarStatus | None = None
        self._arrivals: list[float] = []
        options = {'qos_overriding_options': qos.overridable()}
        self._view = self.create_publisher(ViewRequest, 'view_request', qos.COMMAND, **options)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._workers: list[Worker[ImageMsg]] = []
        if subscribe:
            self._subscribe(options)
        self.diagnostics = DiagnosticsPublisher(self, self.statistics, self._server.url)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._tell, name='viewer_numbers', daemon=True)
        self._thread.start()
        self.get_logger().info(f'open {self._server.url} in a browser')

    def _subscribe(self, options: dict[str, object]) -> None:
        for topic, channel in (('overlay', 'camera'), ('avatar_image', 'avatar')):
            worker: Worker[ImageMsg] = Worker(
                f'viewer_{channel}',
                lambda m, c=channel: self._server.show(c, images.parse_image(m)),  # type: ignore[misc]
                lambda error: self.statistics.fail('images_refused', error),
            )
            self._workers.append(worker)
            self.create_subscription(ImageMsg, topic, worker.inbox.put, qos.SENSOR, **options)
        self.create_subscription(AvatarStatus, 'status', self.accept_status, qos.SENSOR, **options)

    @property
    def url(self) -> str:
        return self._server.url

    def sink(self, channel: str) -> Sink[Image]:
        """Where a node in the same process hands its pictures to."""
        return Sink(lambda rgb: self._server.show(channel, rgb), self._server.watched)

    # -- out ---------------------------------------------------------------------------------

    def _on_drag(self, orbit: dict[str, float]) -> None:
        p = self.parameters
        try:
            camera = orbit_camera(
                p.width,
                p.height,
                azimuth_deg=orbit['azimuth'],
                elevation_deg=orbit['elevation'],
                distance_m=orbit['distance'],
                fov_y_deg=p.fov_y_deg,
                look_height_m=p.look_height_m,
            )
        except ValueError as error:
            self.statistics.fail('views_refused', error)
            return
        self.statistics.count('views')
        for sink in self.view_sinks:
            sink(messages.View('viewer', p.avatar_frame, (camera,)))
        # Whoever has it by reference listens to the topic as well.
        if self._view.get_subscription_count() > len(self.view_sinks):
            self._view.publish(
                messages.view_request_message(
                    (camera,),
                    client_id='viewer',
                    frame_id=p.avatar_frame,
                    stamp_ns=self.get_clock().now().nanoseconds,
                )
            )

    # -- in ----------------------------------------------------------------------------------

    def accept_status(self, status: AvatarStatus) -> None:
        """What the renderer says of its newest frame."""
        self._status = status
        now = time.monotonic()
        self._arrivals = [t for t in self._arrivals if now - t < 2.0] + [now]

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        try:
            self._read_diagnostics(message)
        except ValueError as error:  # somebody else's, with other values under the same names
            self.statistics.fail('diagnostics_refused', error)

    def _read_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            node = status.name.rsplit('/', 1)[-1]
            values = {item.key: item.value for item in status.values}
            stages = {
                key.removesuffix('_p50_ms'): (float(value), float(values[f'{key[:-7]}_p95_ms']))
                for key, value in values.items()
                if key.endswith('_p50_ms') and f'{key[:-7]}_p95_ms' in values
            }
            if stages:
                self._stages[node] = stages
            self._problems[node] = '' if status.level == DiagnosticStatus.OK else status.message

    def _tell(self) -> None:
        while not self._closing.wait(0.25):
            if self._server.watched():
                self._server.tell(self._numbers())

    def _numbers(self) -> dict[str, object]:
        numbers: dict[str, object] = {
            'distance': self.parameters.distance_m,
            'stages': self._stages,
            'problems': [f'{node}: {text}' for node, text in self._problems.items() if text],
        }
        status, arrivals = self._status, self._arrivals
        if status is not None:
            numbers['pose_age_ms'] = float(status.pose_age_ms)
            numbers['dropped'] = int(status.frames_dropped)
            known = status.tracking_state in set(TrackingState)
            state = TrackingState(status.tracking_state) if known else TrackingState.UNKNOWN
            numbers['tracking'] = state.name.lower()
            numbers['what'] = (
                f'{status.avatar}: {status.gaussians} Gaussians, '
                f'{status.width}x{status.height}, {status.engine}'
            )
            if len(arrivals) > 1 and time.monotonic() - arrivals[-1] < 2.0:
                numbers['fps'] = (len(arrivals) - 1) / max(arrivals[-1] - arrivals[0], 1e-3)
        return numbers

    def close(self) -> None:
        """Stop the server and its threads."""
        self._closing.set()
        self._thread.join(timeout=2.0)
        self._server.stop()
        for worker in self._workers:
            worker.stop()
        self.diagnostics.close()


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `viewer`."""
    return run_node(ViewerNode, args)


if __name__ == '__main__':
    sys.exit(main())
