# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What the nodes that show an avatar share: its parameters, its lifecycle, poses and faces in.

configure loads the avatar and warms the engine up, activate begins to listen, deactivate stops
but keeps everything loaded, cleanup lets go of it.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from rclpy.lifecycle import LifecycleNode, Publisher, State, TransitionCallbackReturn

from avatar_ros.avatars import PLAYBACKS, Avatar, load_avatar
from avatar_ros.avatars.cast import Cast, Shown
from avatar_ros.avatars.player import Player, orbit_camera
from avatar_ros.avatars.stage import OPTICAL_FRAMES, Stage
from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.msg import AvatarStatus
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.msg import FaceExpression as FaceExpressionMsg
from avatar_ros.nodes import messages, qos
from avatar_ros.nodes.health import DiagnosticsPublisher, Statistics
from avatar_ros.nodes.parameters import declare, parameter
from avatar_ros.nodes.worker import Worker
from avatar_ros.render import Engine, select_engine

_PAIR_WAIT_S = 0.02
_WARM_UP_PIXELS = 256
STILL_S = 0.1
"""Without a new pose for so long, a new view alone is worth a frame."""


@dataclass(frozen=True)
class AvatarParameters:
    """Parameters of every node that shows an avatar."""

    avatar: str = parameter('demo', 'a bundle (.zip or directory), or the shipped avatar demo')
    avatars: list[str] = parameter(
        [''], 'whose avatar is another one: person_id=bundle, such as zed_7=dressed'
    )
    max_people: int = parameter(4, 'shown at a time', low=1, high=16)
    leave_s: float = parameter(
        2.0, 'who is not heard of for so long, while others are, leaves', low=0.1, high=3600.0
    )
    playback: str = parameter(
        'auto', 'the baked basis, or the networks if the bundle has them', choices=PLAYBACKS
    )
    engine: str = parameter(
        'auto', 'gsplat on CUDA, numba on a CPU', choices=('auto', 'gsplat', 'numba')
    )
    threads: int = parameter(1, 'CPU threads of the numba engine', low=1, high=64)
    rasterize_mode: str = parameter(
        'classic', 'antialiased for far views', choices=('classic', 'antialiased')
    )
    on_floor: bool = parameter(True, 'keep the lowest foot on the floor')
    optical_frames: list[str] = parameter(
        list(OPTICAL_FRAMES),
        'frames of poses with optical axes (z forward) whose names do not end in _optical_frame',
    )
    camera_pitch_deg: float = parameter(
        0.0, 'how far the tracking camera looks down', low=-89.0, high=89.0
    )
    camera_roll_deg: float = parameter(
        0.0, 'how far its right side hangs down', low=-180.0, high=180.0
    )
    stage_frame: str = parameter('stage', 'level frame at the spot where the person was first seen')


P = TypeVar('P', bound=AvatarParameters)


@dataclass(frozen=True)
class Job:
    """A pose that is worth a frame of everybody. `repeated`: only the view has changed."""

    pose: BodyPose
    repeated: bool = False


class AvatarNode(LifecycleNode, Generic[P]):
    """Subscribes body_pose and face_expression; `show` is called with the newest pose."""

    def __init__(
        self, name: str, parameters: type[P], *, subscribe: bool = True, **kwargs: object
    ) -> None:
        super().__init__(name, **kwargs)
        self.parameters: P = declare(self, parameters, self.changed)
        self.statistics = Statistics()
        self.diagnostics = DiagnosticsPublisher(self, self.statistics)
        self.player: Player | None = None
        self.cast: Cast | None = None
        self.worker: Worker[Job] | None = None
        self.active = False
        self._subscribe_poses = subscribe
        self._shown: list[Shown] = []
        self.last_job: Job | None = None
        self.status_sinks: list[Callable[[AvatarStatus], None]] = []
        self._status: Publisher | None = None
        self._last_pose_s = 0.0
        self._own_subscriptions: list[object] = []

    # -- for the nodes -----------------------------------------------------------------------

    def show(self, job: Job) -> None:
        """Draw everybody, or `skip`; called in the worker's thread."""
        raise NotImplementedError

    def gather(self, job: Job) -> tuple[Job, list[Shown]]:
        """Everybody to draw now, and the job with the pose that they are drawn in.

        Poses and expressions of one sample come in several messages; which is first is chance,
        and what is shown must not be. So those that come together are waited for.
        """
        assert self.cast is not None
        self.cast.wait(_PAIR_WAIT_S)
        self._shown = self.cast.frame(time.monotonic())
        mine = [s.pose for s in self._shown if s.pose.person_id == job.pose.person_id]
        job = replace(job, pose=mine[0]) if mine else job
        self.last_job = job
        return job, self._shown

    def skip(self) -> None:
        """Nobody looks: the poses count as shown."""
        if self.cast is not None:
            self.cast.frame(time.monotonic())
        self.statistics.count('frames_skipped')

    def changed(self, parameters: P) -> None:
        """Dynamic parameters were set."""
        self.parameters = parameters

    def background(self) -> list[float]:
        """Behind the avatar."""
        return [0.0, 0.0, 0.0]

    def make_publishers(self) -> None:
        """Of the node; called on configuration, ended by `destroy_publishers`."""
        self._status = qos.create(
            self.create_lifecycle_publisher, AvatarStatus, '~/status', profile=qos.VIEW
        )

    def destroy_publishers(self) -> None:
        """Take them off the graph, those that there are."""
        if self._status is not None:
            self.destroy_lifecycle_publisher(self._status)
            self._status = None

    def own_subscriptions(self) -> list[object]:
        """Made on activation, destroyed on deactivation."""
        return []

    def show_again(self) -> None:
        """The view has changed: show the last pose from there, unless a newer one is near."""
        worker, last = self.worker, self.last_job
        if worker is not None and last is not None and self.still_s() > STILL_S:
            worker.inbox.put_if_empty(Job(last.pose, repeated=True))

    def still_s(self) -> float:
        """Seconds since the last pose."""
        return time.monotonic() - self._last_pose_s

    # -- lifecycle ---------------------------------------------------------------------------

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        p = self.parameters
        try:
            background = self.background()
            start = time.perf_counter()
            engine = select_engine(p.engine, threads=p.threads)
            avatar, avatars = self._load_avatars(engine)
            stage = Stage(
                camera_pitch_deg=p.camera_pitch_deg,
                camera_roll_deg=p.camera_roll_deg,
                on_floor=p.on_floor,
                optical_frames=[name for name in p.optical_frames if name],
            )
            self.player = Player(
                avatar,
                engine,
                stage,
                background=background,
                rasterize_mode='antialiased' if p.rasterize_mode == 'antialiased' else 'classic',
            )
            self.player.warm_up(orbit_camera(_WARM_UP_PIXELS, _WARM_UP_PIXELS))
            self.cast = Cast(avatar, avatars, max_people=p.max_people, leave_s=p.leave_s)
            self.make_publishers()
        except (ValueError, OSError, ImportError, RuntimeError) as error:
            self.destroy_publishers()
            return self.refuse_transition('configure', error)
        self.statistics.info.update(
            avatar=avatar.name, engine=engine.name, gaussians=str(len(avatar))
        )
        self.get_logger().info(
            f'avatar {avatar.name!r} with {len(avatar)} Gaussians on {engine.name}, ready after '
            f'{time.perf_counter() - start:.1f} s'
        )
        return TransitionCallbackReturn.SUCCESS

    def _load_avatars(self, engine: Engine) -> tuple[Avatar, dict[str, Avatar]]:
        """The default avatar, and those of the people who have another one."""
        p = self.parameters
        loaded: dict[str, Avatar] = {p.avatar: load_avatar(p.avatar, engine.device, p.playback)}
        avatars: dict[str, Avatar] = {}
        for entry in filter(None, p.avatars):
            person_id, equals, name = entry.partition('=')
            if not (person_id and equals and name):
                raise ValueError(
                    f'parameter avatars holds {entry!r}; expected person_id=bundle, such as '
                    'zed_7=dressed.'
                )
            if name in loaded:
                avatars[person_id] = loaded[name].twin()
            else:
                loaded[name] = load_avatar(name, engine.device, p.playback)
                avatars[person_id] = loaded[name]
        return loaded[p.avatar], avatars

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        self.worker = Worker(self.get_name(), self._show, self._failed)
        try:
            if self._subscribe_poses:
                for kind, topic, accept in (
                    (BodyPoseMsg, 'body_pose', self._on_pose),
                    (FaceExpressionMsg, 'face_expression', self._on_face),
                ):
                    self._own_subscriptions.append(
                        qos.create(self.create_subscription, kind, topic, accept, profile=qos.POSE)
                    )
            self._own_subscriptions += self.own_subscriptions()
        except ValueError as error:
            self.stop()
            return self.refuse_transition('activate', error)
        self.active = True
        return super().on_activate(state)

    def refuse_transition(self, verb: str, error: Exception) -> TransitionCallbackReturn:
        """FAILURE, counted and logged: the node stays in the state that it was in."""
        self.statistics.fail(f'{verb}_failed', error)
        self.get_logger().error(f'cannot {verb}: {error}')
        return TransitionCallbackReturn.FAILURE

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        self.stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        self.stop()
        self.player = self.cast = None
        self._shown = []
        self.destroy_publishers()
        return super().on_cleanup(state)

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        self.stop()
        self.destroy_publishers()
        return super().on_shutdown(state)

    def stop(self) -> None:
        """End the work; everything loaded stays."""
        self.active = False
        if self.worker is not None:
            self.worker.stop()
            self.worker = None
        for subscription in self._own_subscriptions:
            self.destroy_subscription(subscription)
        self._own_subscriptions = []
        self.last_job = None
        if self.cast is not None:
            self.cast.clear()

    def close(self) -> None:
        """Stop the worker."""
        self.stop()
        self.diagnostics.close()

    # -- input -------------------------------------------------------------------------------

    def _on_pose(self, message: BodyPoseMsg) -> None:
        try:
            self.accept_pose(messages.parse_body_pose(message))
        except Exception as error:  # whatever it is, no message may end the node
            self.refuse('body_pose', error)

    def _on_face(self, message: FaceExpressionMsg) -> None:
        try:
            self.accept_face(messages.parse_face_expression(message))
        except Exception as error:
            self.refuse('face_expression', error)

    def accept_pose(self, pose: BodyPose) -> None:
        """Take a person's newest pose; one that is still waiting is dropped."""
        worker, cast = self.worker, self.cast
        if not self.active or worker is None or cast is None:
            return
        self.statistics.count('poses')
        self._last_pose_s = time.monotonic()
        try:
            replaced = cast.accept_pose(pose, self._last_pose_s)
        except ValueError as error:  # one person too many
            self.statistics.fail('people_refused', error)
            self.get_logger().warning(str(error), throttle_duration_sec=5.0)
            return
        worker.inbox.put(Job(pose))
        if replaced:
            self.statistics.count('frames_dropped')

    def accept_face(self, face: FaceExpression) -> None:
        """Take a person's newest expression; it shows with the pose of the same stamp."""
        if self.cast is not None:
            self.cast.accept_face(face)

    def refuse(self, topic: str, error: Exception) -> None:
        self.statistics.fail('messages_refused', f'{topic}: {error}')
        self.get_logger().error(f'{topic} refused: {error}', throttle_duration_sec=5.0)

    # -- work --------------------------------------------------------------------------------

    def _show(self, job: Job) -> None:
        cast = self.cast
        if cast is None or not len(cast) or not (job.repeated or cast.fresh):
            return  # shown already, in a frame that somebody else's pose set off
        self.show(job)

    def status_listened(self) -> bool:
        """Somebody wants to know of frames: one is made for him."""
        return self._status is not None and bool(self._status.get_subscription_count())

    def report(
        self,
        job: Job,
        stages_ms: Mapping[str, float],
        size: tuple[int, int],
        *,
        client_id: str,
        frame_id: str,
    ) -> None:
        """Count a frame that went out, and say what it cost and how old its pose was."""
        shown = self._shown
        s = self.statistics
        s.info['people'] = str(len(shown))
        s.count('frames')
        s.tick()
        age_ms = self.age_ms(job)
        s.time(stages_ms)
        if not job.repeated:
            s.time({'pose_age': age_ms})
        width, height = size
        status = messages.status_message(
            stages_ms,
            header=messages.header(job.pose.stamp_ns, frame_id),
            avatar=shown[0].avatar.name,
            client_id=client_id,
            engine=s.info['engine'],
            gaussians=sum(len(person.avatar) for person in shown),
            people=len(shown),
            width=width,
            height=height,
            tracking_state=int(job.pose.state),
            repeated=job.repeated,
            pose_distance_deg=math.degrees(shown[0].avatar.pose_distance),
            pose_age_ms=age_ms,
            frames=s.counts['frames'],
            frames_dropped=s.counts['frames_dropped'],
            frames_skipped=s.counts['frames_skipped'],
            messages_refused=s.counts['messages_refused'],
        )
        for sink in self.status_sinks:
            sink(status)
        if self._status is not None and self.status_listened():
            self._status.publish(status)

    def age_ms(self, job: Job) -> float:
        """Since the body was seen that is shown."""
        return float(self.get_clock().now().nanoseconds - job.pose.stamp_ns) * 1e-6

    def _failed(self, error: Exception) -> None:
        self.statistics.fail('frames_failed', error)
        self.get_logger().error(
            f'frame not rendered: {type(error).__name__}: {error}', throttle_duration_sec=5.0
        )
