# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle node `avatar_renderer`: poses and view requests in, pictures of the avatar out.

configure loads the avatar and warms the engine up, activate begins to listen, deactivate stops
but keeps everything loaded, cleanup lets go of it.
"""

import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn

from avatar_ros.avatars import PLAYBACKS, load_avatar
from avatar_ros.avatars.player import Frame, Picture, Player, orbit_camera
from avatar_ros.avatars.stage import Stage
from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.geometry import Camera
from avatar_ros.msg import AvatarStatus, ViewRequest
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.msg import FaceExpression as FaceExpressionMsg
from avatar_ros.nodes import messages, qos
from avatar_ros.nodes.health import DiagnosticsPublisher, Statistics
from avatar_ros.nodes.parameters import declare, parameter
from avatar_ros.nodes.runtime import run_node
from avatar_ros.nodes.view_publishers import ViewPublishers
from avatar_ros.nodes.worker import Sink, Worker
from avatar_ros.render import select_engine

_STILL_S = 0.1  # without a new pose for so long, a new view alone is worth a frame
_FACE_MAX_AGE_S = 1.0
_PAIR_WAIT_S = 0.02


@dataclass(frozen=True)
class RendererParameters:
    """Parameters of the node."""

    avatar: str = parameter('demo', 'a bundle (.zip or directory), or the shipped avatar demo')
    playback: str = parameter(
        'auto', 'the baked basis, or the networks if the bundle has them', choices=PLAYBACKS
    )
    engine: str = parameter(
        'auto', 'gsplat on CUDA, numba on a CPU', choices=('auto', 'gsplat', 'numba')
    )
    threads: int = parameter(1, 'CPU threads of the numba engine', low=1, high=64)
    width: int = parameter(512, 'pixels of the default view', low=16, high=8192)
    height: int = parameter(512, 'pixels of the default view', low=16, high=8192)
    fov_y_deg: float = parameter(
        40.0, 'vertical field of view of the default view', low=5.0, high=150.0, dynamic=True
    )
    azimuth_deg: float = parameter(
        0.0, 'default view: 0 sees the front', low=-360.0, high=360.0, dynamic=True
    )
    elevation_deg: float = parameter(
        5.0, 'default view: above the horizon', low=-89.0, high=89.0, dynamic=True
    )
    distance_m: float = parameter(
        3.0, 'default view: from the avatar', low=0.2, high=100.0, dynamic=True
    )
    look_height_m: float = parameter(
        0.95,
        'default view: height above the floor that is in its middle',
        low=-1.0,
        high=3.0,
        dynamic=True,
    )
    background: list[float] = parameter([0.16, 0.17, 0.19], 'red, green, blue in 0..1')
    rasterize_mode: str = parameter(
        'classic', 'antialiased for far views', choices=('classic', 'antialiased')
    )
    on_floor: bool = parameter(True, 'keep the lowest foot on the floor')
    camera_pitch_deg: float = parameter(
        0.0, 'how far the tracking camera looks down', low=-89.0, high=89.0
    )
    camera_roll_deg: float = parameter(
        0.0, 'how far its right side hangs down', low=-180.0, high=180.0
    )
    stage_frame: str = parameter('stage', 'level frame at the spot where the person was first seen')
    avatar_frame: str = parameter('avatar', 'the same axes, following the avatar')
    camera_frame: str = parameter('avatar_camera_optical_frame', 'frame_id of the pictures')
    render_unwatched: bool = parameter(False, 'render even if nobody listens')


@dataclass(frozen=True)
class Job:
    """A pose to show. `repeated` marks one that was shown already, from another view."""

    pose: BodyPose
    repeated: bool = False


class AvatarRendererNode(LifecycleNode):
    """Subscribes body_pose, face_expression, view_request; publishes pictures and ~/status."""

    def __init__(self, *, subscribe: bool = True, **kwargs: object) -> None:
        super().__init__('avatar_renderer', **kwargs)
        self.parameters = declare(self, RendererParameters, self._changed)
        self.statistics = Statistics()
        self.sinks: list[Sink[Picture]] = []
        self.status_sinks: list[Callable[[AvatarStatus], None]] = []
        self.diagnostics = DiagnosticsPublisher(self, self.statistics)
        self._subscribe_poses = subscribe
        self._player: Player | None = None
        self._worker: Worker[Job] | None = None
        self._active = False
        self._face: FaceExpression | None = None
        self._face_arrived = threading.Condition()
        self._paired = True
        self._view: messages.View | None = None
        self._default_camera = self._make_default_camera()
        self._last_job: Job | None = None
        self._last_pose_s = 0.0
        self._eyes: dict[str, ViewPublishers] = {}
        self._own_subscriptions: list[object] = []

    # -- lifecycle ---------------------------------------------------------------------------

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        p = self.parameters
        try:
            if len(p.background) != 3 or not all(0 <= v <= 1 for v in p.background):
                raise ValueError(
                    f'parameter background is {p.background}; expected three values in 0..1.'
                )
            start = time.perf_counter()
            engine = select_engine(p.engine, threads=p.threads)
            avatar = load_avatar(p.avatar, engine.device, p.playback)
            stage = Stage(
                camera_pitch_deg=p.camera_pitch_deg,
                camera_roll_deg=p.camera_roll_deg,
                on_floor=p.on_floor,
            )
            self._player = Player(
                avatar,
                engine,
                stage,
                background=p.background,
                rasterize_mode='antialiased' if p.rasterize_mode == 'antialiased' else 'classic',
            )
            self._player.warm_up(self._default_camera)
        except (ValueError, OSError, ImportError, RuntimeError) as error:
            self.statistics.fail('configure_failed', error)
            self.get_logger().error(f'cannot be configured: {error}')
            return TransitionCallbackReturn.FAILURE
        self.statistics.info.update(
            avatar=avatar.name, engine=engine.name, gaussians=str(len(avatar))
        )
        self.get_logger().info(
            f'avatar {avatar.name!r} with {len(avatar)} Gaussians on {engine.name}, ready after '
            f'{time.perf_counter() - start:.1f} s'
        )
        options = {'qos_overriding_options': qos.overridable()}
        self._status = self.create_lifecycle_publisher(
            AvatarStatus, '~/status', qos.VIEW, **options
        )
        self._eyes = {
            eye: ViewPublishers(self, prefix, p.camera_frame)
            for eye, prefix in (('mono', ''), ('left', 'left/'), ('right', 'right/'))
        }
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        self._worker = Worker('avatar_renderer', self._render, self._failed)
        options = {'qos_overriding_options': qos.overridable()}
        subscribe = self.create_subscription
        if self._subscribe_poses:
            self._own_subscriptions = [
                subscribe(BodyPoseMsg, 'body_pose', self._on_pose, qos.SENSOR, **options),
                subscribe(
                    FaceExpressionMsg, 'face_expression', self._on_face, qos.SENSOR, **options
                ),
            ]
        self._own_subscriptions.append(
            subscribe(ViewRequest, 'view_request', self._on_view, qos.COMMAND, **options)
        )
        self._active = True
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        self._stop()
        self._player = None
        for publishers in self._eyes.values():
            publishers.destroy(self)
        self._eyes = {}
        self.destroy_lifecycle_publisher(self._status)
        return super().on_cleanup(state)

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        self._stop()
        return super().on_shutdown(state)

    def _stop(self) -> None:
        self._active = False
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        for subscription in self._own_subscriptions:
            self.destroy_subscription(subscription)
        self._own_subscriptions = []
        self._last_job = None

    def _changed(self, parameters: RendererParameters) -> None:
        self.parameters = parameters
        self._default_camera = self._make_default_camera()

    def _make_default_camera(self) -> Camera:
        p = self.parameters
        return orbit_camera(
            p.width,
            p.height,
            azimuth_deg=p.azimuth_deg,
            elevation_deg=p.elevation_deg,
            distance_m=p.distance_m,
            fov_y_deg=p.fov_y_deg,
            look_height_m=p.look_height_m,
        )

    # -- input -------------------------------------------------------------------------------

    def _on_pose(self, message: BodyPoseMsg) -> None:
        try:
            self.accept_pose(messages.parse_body_pose(message))
        except Exception as error:  # whatever it is, no message may end the node
            self._refuse('body_pose', error)

    def _on_face(self, message: FaceExpressionMsg) -> None:
        try:
            self.accept_face(messages.parse_face_expression(message))
        except Exception as error:
            self._refuse('face_expression', error)

    def _on_view(self, message: ViewRequest) -> None:
        try:
            self.accept_view(messages.parse_view_request(message))
        except Exception as error:
            self._refuse('view_request', error)

    def accept_pose(self, pose: BodyPose) -> None:
        """Take the newest pose; one that is still waiting is dropped."""
        worker = self._worker
        if not self._active or worker is None:
            return
        self.statistics.count('poses')
        self._last_pose_s = time.monotonic()
        replaced = worker.inbox.put(Job(pose))
        if replaced is not None and not replaced.repeated:
            self.statistics.count('frames_dropped')

    def accept_face(self, face: FaceExpression) -> None:
        """Take the newest expression; it shows with the pose of the same stamp."""
        with self._face_arrived:
            self._face = face
            self._face_arrived.notify()

    def accept_view(self, view: messages.View) -> None:
        """Take the newest view.

        :raises MessageError: if it is given in a frame that is not ours.
        """
        p = self.parameters
        if view.frame_id not in (p.avatar_frame, p.stage_frame):
            raise messages.MessageError(
                f'ViewRequest.header.frame_id is {view.frame_id!r}; expected {p.avatar_frame!r} '
                f'(follows the avatar) or {p.stage_frame!r} (stands still).'
            )
        self._view = view
        worker, last = self._worker, self._last_job
        still = time.monotonic() - self._last_pose_s > _STILL_S
        if worker is not None and last is not None and still:
            worker.inbox.put_if_empty(replace(last, repeated=True))

    def _refuse(self, topic: str, error: Exception) -> None:
        self.statistics.fail('messages_refused', f'{topic}: {error}')
        self.get_logger().error(f'{topic} refused: {error}', throttle_duration_sec=5.0)

    # -- work --------------------------------------------------------------------------------

    def _render(self, job: Job) -> None:
        player = self._player
        assert player is not None
        self._last_job = job
        view = self._view
        eyes = ('left', 'right') if view is not None and len(view.cameras) == 2 else ('mono',)
        targets = [self._eyes[eye] for eye in eyes]
        sinks = [sink for sink in self.sinks if sink.wanted()]
        watched = bool(sinks) or any(t.listened() for t in targets)
        watched = watched or bool(self._status.get_subscription_count())  # a frame makes a status
        if not watched and not self.parameters.render_unwatched:
            self.statistics.count('frames_skipped')
            return
        frame = player.render(
            job.pose,
            self._face_for(job.pose),
            view.cameras if view is not None else (self._default_camera,),
            in_avatar_frame=view is None or view.frame_id == self.parameters.avatar_frame,
            depth=any(t.depth_listened() for t in targets),
        )
        start = time.perf_counter()
        for target, picture in zip(targets, frame.pictures, strict=True):
            target.publish(picture, job.pose.stamp_ns)
        for sink in sinks:
            sink.accept(frame.pictures[0])
        frame.stages_ms['publish'] = (time.perf_counter() - start) * 1e3
        self._report(job, view, frame)

    def _face_for(self, pose: BodyPose) -> FaceExpression | None:
        """The expression of the same sample, or else the last one if it is not old.

        Pose and expression of one sample come in two messages; which is first is chance, and what
        is shown must not be. So while the two come in pairs, the second is waited for.
        """
        with self._face_arrived:
            if self._face is None:
                return None
            if self._paired and self._face.stamp_ns < pose.stamp_ns:
                self._face_arrived.wait_for(
                    lambda: self._face is not None and self._face.stamp_ns >= pose.stamp_ns,
                    _PAIR_WAIT_S,
                )
            face = self._face
        self._paired = face.stamp_ns == pose.stamp_ns
        if abs(pose.stamp_ns - face.stamp_ns) * 1e-9 > _FACE_MAX_AGE_S:
            return None
        return face

    def _report(self, job: Job, view: messages.View | None, frame: Frame) -> None:
        s = self.statistics
        s.count('frames')
        s.tick()
        age_ms = (self.get_clock().now().nanoseconds - job.pose.stamp_ns) * 1e-6
        s.time(frame.stages_ms)
        if not job.repeated:
            s.time({'pose_age': age_ms})
        camera = frame.pictures[0].camera
        status = messages.status_message(
            frame.stages_ms,
            header=messages.header(job.pose.stamp_ns, self.parameters.camera_frame),
            avatar=s.info['avatar'],
            client_id=view.client_id if view is not None else '',
            engine=s.info['engine'],
            gaussians=int(s.info['gaussians']),
            width=camera.width,
            height=camera.height,
            tracking_state=int(job.pose.state),
            repeated=job.repeated,
            pose_distance_deg=math.degrees(frame.pose_distance),
            pose_age_ms=age_ms,
            frames=s.counts['frames'],
            frames_dropped=s.counts['frames_dropped'],
            frames_skipped=s.counts['frames_skipped'],
            messages_refused=s.counts['messages_refused'],
        )
        for sink in self.status_sinks:
            sink(status)
        if self._status.get_subscription_count():
            self._status.publish(status)

    def _failed(self, error: Exception) -> None:
        self.statistics.fail('frames_failed', error)
        self.get_logger().error(
            f'frame not rendered: {type(error).__name__}: {error}', throttle_duration_sec=5.0
        )

    def close(self) -> None:
        """Stop the worker."""
        self._stop()
        self.diagnostics.close()


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `avatar_renderer`."""
    return run_node(AvatarRendererNode, args)


if __name__ == '__main__':
    sys.exit(main())
