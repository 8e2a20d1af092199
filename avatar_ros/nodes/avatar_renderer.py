# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle node `avatar_renderer`: poses and view requests in, pictures of the avatar out."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rclpy.lifecycle import Publisher
from visualization_msgs.msg import MarkerArray

from avatar_ros.avatars.player import Picture, orbit_camera
from avatar_ros.body import BodyPose
from avatar_ros.geometry import Camera
from avatar_ros.msg import ViewRequest
from avatar_ros.nodes import messages, qos
from avatar_ros.nodes.avatar_node import AvatarNode, AvatarParameters, Job
from avatar_ros.nodes.parameters import parameter
from avatar_ros.nodes.runtime import run_node
from avatar_ros.nodes.skeleton_markers import skeleton_markers
from avatar_ros.nodes.splat_snapshots import SplatSnapshots
from avatar_ros.nodes.stage_frame import StageFrame
from avatar_ros.nodes.view_publishers import ViewPublishers
from avatar_ros.nodes.worker import Sink


@dataclass(frozen=True)
class RendererParameters(AvatarParameters):
    """Parameters of the node."""

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
    avatar_frame: str = parameter('avatar', 'the same axes, following the avatar')
    camera_frame: str = parameter('avatar_camera_optical_frame', 'frame_id of the pictures')
    publish_tf: bool = parameter(True, 'publish stage, avatar and camera frames on /tf')
    render_unwatched: bool = parameter(False, 'render even if nobody listens')


class AvatarRendererNode(AvatarNode[RendererParameters]):
    """Subscribes body_pose, face_expression, view_request; publishes pictures and ~/status."""

    def __init__(self, *, subscribe: bool = True, **kwargs: object) -> None:
        self.sinks: list[Sink[Picture]] = []
        self._view: messages.View | None = None
        self._eyes: dict[str, ViewPublishers] = {}
        self._skeletons: Publisher | None = None
        self._splats: SplatSnapshots | None = None
        self._stage: StageFrame | None = None
        super().__init__('avatar_renderer', RendererParameters, subscribe=subscribe, **kwargs)
        self._default_camera = self._make_default_camera()

    # -- lifecycle ---------------------------------------------------------------------------

    def make_publishers(self) -> None:
        super().make_publishers()
        frame_id = self.parameters.camera_frame
        for eye, prefix in (('mono', ''), ('left', 'left/'), ('right', 'right/')):
            self._eyes[eye] = ViewPublishers(self, prefix, frame_id)
        self._skeletons = qos.create(
            self.create_lifecycle_publisher, MarkerArray, '~/skeletons', profile=qos.VIEW
        )
        if self.parameters.publish_tf:
            p = self.parameters
            self._stage = StageFrame(self, p.stage_frame, p.avatar_frame, p.camera_frame)
        self._splats = SplatSnapshots(
            self, self.parameters.stage_frame, self.show_again, lambda: self.active
        )

    def destroy_publishers(self) -> None:
        super().destroy_publishers()
        for publishers in self._eyes.values():
            publishers.destroy(self)
        self._eyes = {}
        if self._skeletons is not None:
            self.destroy_lifecycle_publisher(self._skeletons)
            self._skeletons = None
        if self._splats is not None:
            self._splats.destroy(self)
            self._splats = None
        if self._stage is not None:
            self._stage.destroy()
            self._stage = None

    def background(self) -> list[float]:
        """:raises ValueError: if the parameter is no colour."""
        background = self.parameters.background
        if len(background) != 3 or not all(0 <= v <= 1 for v in background):
            raise ValueError(
                f'parameter background is {background}; expected three values in 0..1.'
            )
        return background

    def own_subscriptions(self) -> list[object]:
        return [
            qos.create(
                self.create_subscription,
                ViewRequest,
                'view_request',
                self._on_view,
                profile=qos.COMMAND,
            )
        ]

    def changed(self, parameters: RendererParameters) -> None:
        super().changed(parameters)
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

    def _on_view(self, message: ViewRequest) -> None:
        try:
            self.accept_view(messages.parse_view_request(message))
        except Exception as error:
            self.refuse('view_request', error)

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
        self.show_again()

    # -- work --------------------------------------------------------------------------------

    def _skeletons_listened(self) -> bool:
        return self._skeletons is not None and bool(self._skeletons.get_subscription_count())

    def _publish_skeletons(self, placed: Sequence[BodyPose], job: Job) -> None:
        assert self._skeletons is not None
        stage = self.parameters.stage_frame
        self._skeletons.publish(skeleton_markers(placed, job.pose.stamp_ns, stage))

    def _publish_splats(self, job: Job) -> None:
        """As seen from the view; once, for those who asked."""
        if self._splats is not None and self._splats.wanted():
            assert self.player is not None
            view = self._view
            camera = view.cameras[0] if view is not None else self._default_camera
            if view is None or view.frame_id == self.parameters.avatar_frame:
                camera = camera.at(self.player.stage.view_from_avatar_frame(camera.T_camera_world))
            self._splats.publish(self.player.snapshot(camera.position), job.pose.stamp_ns)

    def _show_undrawn(self, job: Job) -> None:
        """Nobody wants pictures; bones and splats need none."""
        player = self.player
        assert player is not None
        splats = self._splats is not None and self._splats.wanted()
        stage = self._stage is not None and self._stage.listened()
        if splats or stage or self._skeletons_listened():
            job, people = self.gather(job)
            placed = player.place_people(people)
            if self._stage is not None and not job.repeated:
                self._stage.publish(player.stage, job.pose.stamp_ns)
            if self._skeletons_listened():
                self._publish_skeletons(placed, job)
            if splats:
                player.deform_people(people, placed)
                self._publish_splats(job)
        self.skip()

    def show(self, job: Job) -> None:
        player = self.player
        assert player is not None
        view = self._view
        eyes = ('left', 'right') if view is not None and len(view.cameras) == 2 else ('mono',)
        targets = [self._eyes[eye] for eye in eyes]
        sinks = [sink for sink in self.sinks if sink.wanted()]
        watched = bool(sinks) or any(t.listened() for t in targets)
        # A frame makes a status.
        watched = watched or self.status_listened() or self.parameters.render_unwatched
        if not watched:
            self._show_undrawn(job)
            return
        job, people = self.gather(job)
        follows = view is None or view.frame_id == self.parameters.avatar_frame
        frame = player.render_people(
            people,
            view.cameras if view is not None else (self._default_camera,),
            in_avatar_frame=follows,
            depth=any(t.depth_listened() for t in targets),
        )
        start = time.perf_counter()
        for target, picture in zip(targets, frame.pictures, strict=True):
            target.publish(picture, job.pose.stamp_ns)
        for sink in sinks:
            sink.accept(frame.pictures[0])
        if self._skeletons_listened():
            self._publish_skeletons(player.placed, job)
        # tf2 warns of a second transform with the same stamp.
        if self._stage is not None and not job.repeated:
            camera = frame.pictures[0].camera
            self._stage.publish(player.stage, job.pose.stamp_ns, camera, follows=follows)
        self._publish_splats(job)
        frame.stages_ms['publish'] = (time.perf_counter() - start) * 1e3
        camera = frame.pictures[0].camera
        self.report(
            job,
            frame.stages_ms,
            (camera.width, camera.height),
            client_id=view.client_id if view is not None else '',
            frame_id=self.parameters.camera_frame,
        )


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `avatar_renderer`."""
    return run_node(AvatarRendererNode, args)


if __name__ == '__main__':
    sys.exit(main())
