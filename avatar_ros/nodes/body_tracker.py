# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Node `body_tracker`: camera images -> BodyPose, FaceExpression and an overlay picture."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs.msg import Image as ImageMsg

from avatar_ros.body.pose import TrackingState
from avatar_ros.geometry import Camera
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.msg import FaceExpression as FaceExpressionMsg
from avatar_ros.nodes import images, messages, qos
from avatar_ros.nodes.health import DiagnosticsPublisher, Statistics
from avatar_ros.nodes.parameters import declare, parameter
from avatar_ros.nodes.runtime import run_node
from avatar_ros.nodes.worker import Sink, Worker
from avatar_ros.tracking import (
    BodyTracker,
    OneEuroConfig,
    PeopleTracker,
    TrackerConfig,
    TrackerResult,
    create_estimator,
    create_people_estimator,
)
from avatar_ros.tracking.holding import HoldConfig
from avatar_ros.tracking.overlay import draw_overlay
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.types import Image

_WAIT_FOR_INFO_S = 1.0
_WORSE = (
    TrackingState.TRACKED,
    TrackingState.HELD,
    TrackingState.FADING,
    TrackingState.LOST,
    TrackingState.UNKNOWN,
)


@dataclass(frozen=True)
class TrackerParameters:
    """Parameters of the node."""

    estimator: str = parameter('mediapipe', 'mediapipe, or package.module:Class of your own')
    face: bool = parameter(True, 'track the face (needs the fetched face model)')
    hands: bool = parameter(True, 'track hands that are large enough in the picture')
    max_people: int = parameter(1, 'tracked at a time', low=1, high=16)
    min_confidence: float = parameter(0.5, 'of detections', low=0.05, high=0.95)
    image_transport: str = parameter(
        'raw', 'which kind of image topic to listen to', choices=('raw', 'compressed')
    )
    fov_y_deg: float = parameter(
        45.0,
        'vertical field of view to assume while no valid camera_info comes',
        low=5.0,
        high=170.0,
    )
    overlay_max_side: int = parameter(480, 'size of the overlay picture', low=64, high=4096)
    filter__enabled: bool = parameter(True, 'smooth landmarks (One-Euro)')
    filter__min_cutoff_hz: float = parameter(2.0, 'lower is calmer at rest', low=0.05, high=60.0)
    filter__beta: float = parameter(2.0, 'higher follows fast motion better', low=0.0, high=1000.0)
    hold_s: float = parameter(0.5, 'how long an unseen joint is held', low=0.0, high=60.0)
    fade_s: float = parameter(1.0, 'how long it then takes to rest', low=0.01, high=60.0)


@dataclass(frozen=True)
class Sample:
    """One image on its way to the worker: a message, or pixels handed over in the process."""

    message: ImageMsg | CompressedImage | None
    rgb: Image | None
    camera: Camera | None
    stamp_ns: int
    received_s: float


class BodyTrackerNode(Node):
    """Subscribes image, camera_info; publishes body_pose, face_expression, ~/overlay."""

    def __init__(self, *, subscribe: bool = True, **kwargs: object) -> None:
        super().__init__('body_tracker', **kwargs)
        p = self.parameters = declare(self, TrackerParameters)
        self.statistics = Statistics()
        self.sinks: list[Callable[[TrackerResult], None]] = []
        self.overlay_sinks: list[Sink[Image]] = []
        self._camera: Camera | None = None
        self._warned_no_calibration = False
        self._tracker = self._make_tracker()
        self._pose = qos.create(self.create_publisher, BodyPoseMsg, 'body_pose', profile=qos.POSE)
        self._face = qos.create(
            self.create_publisher, FaceExpressionMsg, 'face_expression', profile=qos.POSE
        )
        self._overlay = qos.create(self.create_publisher, ImageMsg, '~/overlay', profile=qos.VIEW)
        self.diagnostics = DiagnosticsPublisher(self, self.statistics, p.estimator)
        self.statistics.info['estimator'] = p.estimator
        self._worker: Worker[Sample] = Worker('body_tracker', self._process, self._failed)
        if subscribe:
            self._subscribe()

    def _make_tracker(self) -> BodyTracker | PeopleTracker:
        p = self.parameters
        rest = free_rest_landmarks()
        config = TrackerConfig(
            body_filter=OneEuroConfig(p.filter__min_cutoff_hz, p.filter__beta),
            filtered=p.filter__enabled,
            hold=HoldConfig(hold_s=p.hold_s, fade_s=p.fade_s),
        )
        options: dict[str, Any] = {
            'face': p.face,
            'hands': p.hands,
            'min_confidence': p.min_confidence,
        }
        if p.max_people == 1:
            return BodyTracker(create_estimator(p.estimator, **options), rest, config)
        estimator = create_people_estimator(p.estimator, max_people=p.max_people, **options)
        return PeopleTracker(estimator, rest, config, p.max_people)

    def _subscribe(self) -> None:
        kind: type = ImageMsg
        topic = 'image'
        if self.parameters.image_transport == 'compressed':
            kind, topic = CompressedImage, 'image/compressed'
        qos.create(self.create_subscription, kind, topic, self._on_image, profile=qos.SENSOR)
        qos.create(
            self.create_subscription, CameraInfo, 'camera_info', self._on_info, profile=qos.SENSOR
        )

    # -- input -------------------------------------------------------------------------------

    def accept(self, rgb: Image, camera: Camera, stamp_ns: int) -> None:
        """Take a picture by reference from a node in the same process."""
        self._put(Sample(None, rgb, camera, stamp_ns, time.perf_counter()))

    def _on_image(self, message: ImageMsg | CompressedImage) -> None:
        stamp_ns = messages.ns_from_stamp(message.header.stamp)
        self._put(Sample(message, None, None, stamp_ns, time.perf_counter()))

    def _put(self, sample: Sample) -> None:
        self.statistics.count('images')
        if self._worker.inbox.put(sample) is not None:
            self.statistics.count('images_dropped')

    def _on_info(self, message: CameraInfo) -> None:
        try:
            self._camera = images.parse_camera_info(message)
        except Exception as error:  # whatever it is, no message may end the node
            self.statistics.fail('camera_info_refused', error)
            self.get_logger().error(str(error), throttle_duration_sec=10.0)

    def _camera_for(self, rgb: Image, frame_id: str) -> Camera:
        height, width = rgb.shape[:2]
        if self._camera is not None:
            if (self._camera.width, self._camera.height) == (width, height):
                return self._camera
            return self._camera.scaled(width, height)
        if not self._warned_no_calibration:
            self._warned_no_calibration = True
            # Where somebody publishes calibrations, one will come right after the first image.
            end = time.monotonic() + _WAIT_FOR_INFO_S
            while self.count_publishers('camera_info') and time.monotonic() < end:
                if self._camera is not None:
                    return self._camera_for(rgb, frame_id)
                time.sleep(0.01)
            self.get_logger().warning(
                'no valid camera_info yet: assuming a vertical field of view of '
                f'{self.parameters.fov_y_deg:g} degrees (fov_y_deg). Distances depend on it.'
            )
        return Camera.from_fov(width, height, self.parameters.fov_y_deg, frame_id=frame_id)

    # -- work --------------------------------------------------------------------------------

    def _process(self, sample: Sample) -> None:
        start = time.perf_counter()
        rgb, camera = sample.rgb, sample.camera
        if rgb is None:
            assert sample.message is not None
            if isinstance(sample.message, CompressedImage):
                rgb = images.parse_compressed_image(sample.message)
            else:
                rgb = images.parse_image(sample.message)
        if camera is None:
            assert sample.message is not None
            camera = self._camera_for(rgb, sample.message.header.frame_id)
        read = time.perf_counter()
        resets = self._tracker.resets
        found = self._tracker.process(rgb, camera, sample.stamp_ns)
        people = found if isinstance(found, list) else [found]
        if self._tracker.resets != resets:
            self.statistics.count('resets')
            self.get_logger().info('a jump back in time, or a long pause: tracking starts afresh')
        self._publish(people)
        self.statistics.info['image_size'] = f'{rgb.shape[1]}x{rgb.shape[0]}'
        self.statistics.time(
            {
                'wait': (start - sample.received_s) * 1e3,
                'read': (read - start) * 1e3,
                **people[0].stages_ms,
            }
        )
        state = _best_state(people)
        self._draw(rgb, people, state)
        self.statistics.count('poses', len(people))
        self.statistics.tick()
        seen = sum(person.pose.state == TrackingState.TRACKED for person in people)
        self.statistics.info['people'] = str(seen)
        self._report_state(state)

    def _publish(self, people: Sequence[TrackerResult]) -> None:
        for result in people:
            for sink in self.sinks:
                sink(result)
        # The expressions first: a renderer that has the pose wants to show it at once.
        if self._face.get_subscription_count():
            for result in people:
                self._face.publish(messages.face_expression_message(result.face))
        if self._pose.get_subscription_count():
            for result in people:
                self._pose.publish(messages.body_pose_message(result.pose))

    def _draw(self, rgb: Image, people: Sequence[TrackerResult], state: TrackingState) -> None:
        listened = self._overlay.get_subscription_count() > 0
        wanting = [sink for sink in self.overlay_sinks if sink.wanted()]
        if not listened and not wanting:
            return
        landmarks = [person.landmarks for person in people]
        overlay = draw_overlay(rgb, landmarks, state, max_side=self.parameters.overlay_max_side)
        for sink in wanting:
            sink.accept(overlay)
        if listened:
            pose = people[0].pose
            header = messages.header(pose.stamp_ns, pose.frame_id)
            self._overlay.publish(images.image_message(overlay, header))

    def _report_state(self, state: TrackingState) -> None:
        self.statistics.info['tracking_state'] = state.name
        lost = state in (TrackingState.HELD, TrackingState.FADING, TrackingState.LOST)
        self.diagnostics.warning = f'nobody is seen ({state.name.lower()})' if lost else ''
        if lost:
            self.statistics.count('images_without_person')

    def _failed(self, error: Exception) -> None:
        self.statistics.fail('images_refused', error)
        expected = isinstance(error, ValueError)
        text = str(error) if expected else f'{type(error).__name__}: {error}'
        self.get_logger().error(text, throttle_duration_sec=5.0)

    def close(self) -> None:
        """Stop the worker and release the estimator."""
        self._worker.stop()
        self._tracker.close()
        self.diagnostics.close()


def _best_state(people: Sequence[TrackerResult]) -> TrackingState:
    """Tracked as soon as somebody is."""
    return min((person.pose.state for person in people), key=_WORSE.index)


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `body_tracker`."""
    return run_node(BodyTrackerNode, args)


if __name__ == '__main__':
    sys.exit(main())
