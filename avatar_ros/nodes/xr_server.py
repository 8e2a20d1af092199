# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle node `xr_server`: the avatar to browsers and headsets, each from its own eyes."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import State, TransitionCallbackReturn
from sensor_msgs.msg import Image as ImageMsg

from avatar_ros.avatars.cast import Shown
from avatar_ros.avatars.player import Player, orbit_camera
from avatar_ros.avatars.rig import Rig, rig_of
from avatar_ros.avatars.skinned import SkinnedAvatar
from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.geometry import Camera
from avatar_ros.nodes import images, qos
from avatar_ros.nodes.avatar_node import AvatarNode, AvatarParameters, Job
from avatar_ros.nodes.client_eyes import ClientEyes
from avatar_ros.nodes.graph_health import GraphHealth
from avatar_ros.nodes.parameters import parameter
from avatar_ros.nodes.runtime import run_node
from avatar_ros.nodes.worker import Sink, Worker
from avatar_ros.render import RasterizeMode, rgb8_on_device, to_rgb8
from avatar_ros.streaming.xr.access import (
    Access,
    generated_certificate,
    is_loopback,
    new_token,
    reachable_addresses,
    tls_context,
)
from avatar_ros.streaming.xr.encoder import warm_up
from avatar_ros.streaming.xr.packing import Layers, Views
from avatar_ros.streaming.xr.packing_torch import TorchLayers
from avatar_ros.streaming.xr.server import XrServer
from avatar_ros.types import Image

_MJPEG_SIDE = 512
_MJPEG_BACKGROUND = (0.16, 0.17, 0.19)


@dataclass(frozen=True)
class XrServerParameters(AvatarParameters):
    """Parameters of the node."""

    host: str = parameter(
        '127.0.0.1', 'address to listen on; 0.0.0.0 lets headsets in, over https with a token'
    )
    port: int = parameter(8080, 'TCP port; 0 = any free one', low=0, high=65535)
    token: str = parameter('', 'secret in the address; empty = a new one at every start')
    open: bool = parameter(False, 'no token: everybody who reaches the server may watch')
    certificate: str = parameter('', 'PEM file of your own; empty = a self-signed one')
    private_key: str = parameter('', 'PEM file that belongs to it')
    addresses: list[str] = parameter(
        [''], 'more names or IP addresses of this machine, for the certificate'
    )
    origins: list[str] = parameter([''], 'origins of other pages that may connect')
    distance_m: float = parameter(
        3.0, 'of the first view of a desktop page from the avatar', low=0.2, high=100.0
    )
    look_height_m: float = parameter(
        0.95, 'height above the floor in the middle of it', low=-1.0, high=3.0
    )
    max_clients: int = parameter(8, 'viewers at a time', low=1, high=64)
    view_height: int = parameter(464, 'pixels of one eye at most', low=64, high=2048)
    max_fps: float = parameter(30.0, 'frames a second at most', low=1.0, high=120.0)
    max_megapixels_per_s: float = parameter(
        80.0, 'drawn and encoded for all viewers together', low=1.0, high=10_000.0
    )


class XrServerNode(AvatarNode[XrServerParameters]):
    """Subscribes body_pose, face_expression, overlay; publishes view_request and TF of the eyes."""

    def __init__(self, *, subscribe: bool = True, **kwargs: object) -> None:
        self.server: XrServer | None = None
        self._next_s = 0.0
        self._rig: tuple[Rig, SkinnedAvatar] | None = None
        super().__init__('xr_server', XrServerParameters, subscribe=subscribe, **kwargs)
        self._subscribe = subscribe
        self._eyes = ClientEyes(self, self.parameters.stage_frame)
        self._overlay: Worker[ImageMsg] | None = None
        self._graph = GraphHealth(self.get_namespace())
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self.create_timer(1.0, self._count)

    # -- lifecycle ---------------------------------------------------------------------------

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        result = super().on_configure(state)
        if result == TransitionCallbackReturn.SUCCESS:
            try:
                warm_up()
                self._rig = self._make_rig()
                self.server = self._make_server()
                self.server.start()
            except (ValueError, OSError) as error:
                self.server = None
                self.destroy_publishers()
                return self.refuse_transition('configure', error)
        return result

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        result = super().on_cleanup(state)
        self._stop_server()
        return result

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        result = super().on_shutdown(state)
        self._stop_server()
        return result

    def own_subscriptions(self) -> list[object]:
        if not self._subscribe:
            return []
        self._overlay = Worker('xr_overlay', self._show_overlay, self._failed)
        inbox = self._overlay.inbox
        return [
            qos.create(self.create_subscription, ImageMsg, 'overlay', inbox.put, profile=qos.SENSOR)
        ]

    def stop(self) -> None:
        super().stop()
        if self._overlay is not None:
            self._overlay.stop()
            self._overlay = None

    def close(self) -> None:
        """Stop everything."""
        super().close()
        self._stop_server()

    def _stop_server(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None

    def _make_rig(self) -> tuple[Rig, SkinnedAvatar] | None:
        """What clients need to draw the avatar themselves; nothing if they cannot."""
        assert self.player is not None
        avatar = self.player.avatar
        mode: RasterizeMode = (
            'antialiased' if self.parameters.rasterize_mode == 'antialiased' else 'classic'
        )
        try:
            rig = rig_of(avatar, mode)
        except ValueError as reason:
            self.get_logger().info(f'avatar {avatar.name!r} comes as pictures only: {reason}')
            return None
        assert isinstance(avatar, SkinnedAvatar)
        return rig, avatar

    def _make_server(self) -> XrServer:
        p = self.parameters
        if p.open and not is_loopback(p.host):
            self.get_logger().warning(
                f'listening on {p.host} without a token: everybody who reaches it can watch.'
            )
        token = '' if p.open else p.token or new_token()
        access = Access(p.host, token, tuple(o for o in p.origins if o))
        tls = None
        if p.certificate:
            tls = tls_context(p.certificate, p.private_key)
        elif not is_loopback(p.host):
            names = [*(a for a in p.addresses if a), *reachable_addresses()]
            certificate, key = generated_certificate(_certificate_folder(), names)
            tls = tls_context(str(certificate), str(key))
        return XrServer(
            access,
            port=p.port,
            tls=tls,
            avatar=self.statistics.info['avatar'],
            first_view=(p.distance_m, p.look_height_m),
            height=p.view_height,
            fps=p.max_fps,
            max_clients=p.max_clients,
            max_pixels_per_s=p.max_megapixels_per_s * 1e6,
            rig=b'' if self._rig is None else self._rig[0].file,
            on_eyes=self.show_again,
        )

    def urls(self) -> list[str]:
        """Addresses of the page, the one for headsets first."""
        if self.server is None:
            return []
        host = self.parameters.host
        if host not in ('0.0.0.0', '::'):
            return [self.server.url()]
        return [*map(self.server.url, reachable_addresses()), self.server.url('localhost')]

    # -- work --------------------------------------------------------------------------------

    def camera_sink(self) -> Sink[Image]:
        """Where a tracker in the same process hands its overlay to."""
        return Sink(self._camera, lambda: bool(self.server and self.server.camera_watched()))

    def _camera(self, rgb: Image) -> None:
        if self.server is not None:
            self.server.show_camera(rgb)

    def _show_overlay(self, message: ImageMsg) -> None:
        if self.server is not None and self.server.camera_watched():
            self.server.show_camera(images.parse_image(message))

    def show(self, job: Job) -> None:
        server, player = self.server, self.player
        if server is None or player is None:
            return
        mjpeg = server.mjpeg_watched() and not job.repeated
        if not (server.watched() or mjpeg):
            self.skip()
            return
        self._keep_pace(job)
        job, people = self.gather(job)
        placed = player.place_people(people)
        # A client draws the avatar that it has, alone.
        known = None if self._rig is None else self._rig[1]
        server.allow_poses(len(people) == 1 and people[0].avatar is known)
        pictures = server.hub.wants_pictures()
        self._send_pose(server, job, placed[0], people[0].face, report=not pictures)
        if pictures or mjpeg:
            self._send_pictures(server, player, job, people, placed)
        if mjpeg:
            self._show_mjpeg(server, player)
        self._eyes.publish(server.hub.all_eyes(), self.parameters.view_height)

    def _send_pose(
        self,
        server: XrServer,
        job: Job,
        placed: BodyPose,
        face: FaceExpression | None,
        *,
        report: bool,
    ) -> None:
        """To clients who draw the avatar themselves: nothing is rendered for them."""
        if self._rig is None:
            return
        takers = server.hub.takers(not job.repeated, time.monotonic())
        if not takers:
            return
        start = time.perf_counter()
        rig, avatar = self._rig
        pose = rig.layout.encode(avatar, placed, face)
        age_ms, now_s = self.age_ms(job), time.monotonic()
        server.hub.send_pose(takers, pose, now_s * 1e3 - age_ms, now_s)
        server.tell(avatar.joint_positions(placed), age_ms)
        self.statistics.count('poses_sent', len(takers))
        if report:
            stages = {'deform': 0.0, 'raster': 0.0, 'encode': (time.perf_counter() - start) * 1e3}
            self._say(job, stages, (0, 0), takers[0].id)

    def _send_pictures(
        self,
        server: XrServer,
        player: Player,
        job: Job,
        people: Sequence[Shown],
        placed: Sequence[BodyPose],
    ) -> None:
        """To all others, what each sees."""
        start = time.perf_counter()
        player.deform_people(people, placed)
        points = player.outline()
        stages = {'deform': (time.perf_counter() - start) * 1e3, 'raster': 0.0, 'encode': 0.0}
        age_ms = self.age_ms(job)
        server.tell(points, age_ms)
        t_sample_ms = time.monotonic() * 1e3 - age_ms
        works = server.hub.work(points, time.monotonic())
        for work in works:
            began = time.perf_counter()
            layers = self._draw(player, work.cameras)
            raster_ms = (time.perf_counter() - began) * 1e3
            encode_ms = server.hub.finish(work, layers, t_sample_ms, raster_ms, time.monotonic)
            stages['raster'] += raster_ms
            stages['encode'] += encode_ms
        self.statistics.count('pictures', len(works))
        if works:
            camera, leader = works[0].cameras[0], works[0].members[0]
            self._say(job, stages, (camera.width, camera.height), leader.id)

    def _say(
        self, job: Job, stages_ms: dict[str, float], size: tuple[int, int], client_id: str
    ) -> None:
        frame_id = self.parameters.stage_frame
        self.report(job, stages_ms, size, client_id=client_id, frame_id=frame_id)

    def _draw(self, player: Player, cameras: tuple[Camera, ...]) -> Views:
        rendered = player.draw(cameras, depth=True)
        if rendered.colors.is_cuda:
            return TorchLayers(rendered.colors.detach(), rendered.alphas.detach()[..., 0])
        colors, alphas = rendered.colors.detach().numpy(), rendered.alphas.detach().numpy()
        return [Layers(colors[k], alphas[k, ..., 0]) for k in range(len(cameras))]

    def _show_mjpeg(self, server: XrServer, player: Player) -> None:
        import torch

        p = self.parameters
        camera = orbit_camera(
            _MJPEG_SIDE, _MJPEG_SIDE, distance_m=p.distance_m, look_height_m=p.look_height_m
        )
        view = camera.at(player.stage.view_from_avatar_frame(camera.T_camera_world))
        drawn = player.draw([view], torch.tensor(_MJPEG_BACKGROUND), depth=False)
        colors = drawn.colors[0]
        server.show_mjpeg(rgb8_on_device(colors) if colors.is_cuda else to_rgb8(colors))

    def _keep_pace(self, job: Job) -> None:
        """Wait until the next frame is due; newer poses wait in the mailbox meanwhile."""
        period = 1.0 / self.parameters.max_fps
        now = time.monotonic()
        # A pose a little early is no reason to drop to half the rate.
        if self._next_s - now > 0.2 * period:
            time.sleep(self._next_s - now)
        self._next_s = max(self._next_s + period, now)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        try:
            self._graph.read(message)
        except ValueError as error:
            self.statistics.fail('diagnostics_refused', error)
            return
        if self.server is not None:
            self.server.tell_graph(self._graph.summary())

    def _count(self) -> None:
        """What clients were told, and who was turned away, for /diagnostics."""
        server = self.server
        if server is None:
            return
        viewers, streams = server.hub.count()
        info = self.statistics.info
        info['clients'], info['streams'] = str(viewers), str(streams)
        for key in [k for k in info if k.startswith('client ')]:
            del info[key]
        for numbers in server.numbers():
            told = {k: v for k, v in numbers.items() if k not in ('client_id', 'clients')}
            info[f'client {numbers["client_id"]}'] = ', '.join(f'{k} {v}' for k, v in told.items())
        self.statistics.counts['refused'] = sum(server.refused.values())


def _certificate_folder() -> Path:
    base = os.environ.get('XDG_DATA_HOME') or Path.home() / '.local' / 'share'
    return Path(base) / 'avatar_ros'


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `xr_server`."""
    return run_node(XrServerNode, args)


if __name__ == '__main__':
    sys.exit(main())
