# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The sources of `pose_adapter`: which messages or packets they are, and who reads them."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from avatar_ros.geometry import Camera
from avatar_ros.tracking.adapters import (
    Reading,
    arkit,
    kinect,
    live_link_face,
    mapped,
    openxr,
    rep155,
    skeleton2d,
    vmc,
    zed,
)
from avatar_ros.tracking.adapters.transforms import TransformCollector
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks


@dataclass(frozen=True)
class Options:
    """What a reader may need of the node's parameters."""

    scale: float = 1.0
    map_file: str = ''
    fixed_frame: str = 'world'
    camera: Callable[[], Camera | None] = lambda: None
    """The camera of which CameraInfo came last."""

    def known_camera(self) -> Camera:
        """:raises ValueError: if no CameraInfo came yet."""
        camera = self.camera()
        if camera is None:
            raise ValueError(
                'nothing came on camera_info, and without it places in the image are no '
                'directions. Remap camera_info to that of the camera whose image was searched.'
            )
        return camera

    def source_map(self) -> mapped.SourceMap:
        """:raises ValueError: if there is no map, or a bad one."""
        if not self.map_file:
            raise ValueError(
                'parameter "map" is empty; this source needs a YAML file that says which name is '
                'which joint. See docs/trackers.md.'
            )
        return mapped.load_map(self.map_file)


Reader = Callable[[Any], list[Reading]]


@dataclass(frozen=True)
class TopicSource:
    """Messages of a topic."""

    packages: tuple[str, ...]
    """Which of these packages has the message; the first that is installed is taken."""
    message: str
    topic: str
    make_reader: Callable[[Options], Reader]
    every_message: bool = False
    """Whether messages add up, so that none may be skipped."""
    latched_topics: tuple[str, ...] = field(default=())
    needs_camera: bool = False
    """Whether camera_info is subscribed for `Options.camera`."""

    def message_type(self, source: str) -> type:
        """The message class.

        :raises ValueError: if no package with it is installed, with how to install one.
        """
        for package in self.packages:
            try:
                return getattr(importlib.import_module(f'{package}.msg'), self.message)
            except (ImportError, AttributeError):
                continue
        package = self.packages[0]
        raise ValueError(
            f'source {source!r} needs {package}/msg/{self.message}, which is not installed. '
            f'Install it with "sudo apt install ros-$ROS_DISTRO-{package.replace("_", "-")}", '
            f'or build {package} in your workspace and source that.'
        )


@dataclass(frozen=True)
class UdpSource:
    """Packets of a port."""

    port: int
    make_reader: Callable[[], Callable[[bytes, int], list[Reading]]]


def byte_string(data: Iterable[Any]) -> bytes:
    """What a ByteMultiArray holds: rclpy gives one bytes object of length 1 for every byte."""
    return b''.join(item if isinstance(item, bytes) else bytes((item & 0xFF,)) for item in data)


def _read_openxr(message: Any) -> list[Reading]:
    """A PoseArray in the order of XR_BD, XR_FB or XR_META; no quaternion = not valid."""
    poses = message.poses
    positions = [(p.position.x, p.position.y, p.position.z) for p in poses]
    quats = [(p.orientation.x, p.orientation.y, p.orientation.z, p.orientation.w) for p in poses]
    pose = openxr.body_pose(positions, quats, [True] * len(poses))
    return [openxr.stamped(pose, message.header)]


def _read_vmc() -> Callable[[bytes, int], list[Reading]]:
    receiver = vmc.VmcReceiver()
    return lambda packet, now_ns: list(receiver.read(packet, now_ns))


_ZED = ('zed_msgs', 'zed_interfaces')
_MOCAP = ('mocap4r2_msgs',)
SOURCES: dict[str, TopicSource | UdpSource] = {
    'zed': TopicSource(
        _ZED,
        'ObjectsStamped',
        'skeletons',
        lambda o: lambda message: list(zed.people(message, o.scale)),
    ),
    'azure_kinect': TopicSource(
        ('visualization_msgs',),
        'MarkerArray',
        'body_tracking_data',
        lambda o: lambda message: list(kinect.people(message, o.scale)),
    ),
    'isaac_full_body': TopicSource(
        ('std_msgs',),
        'ByteMultiArray',
        'xr_teleop/full_body',
        lambda o: lambda message: [openxr.isaac_full_body(byte_string(message.data))],
    ),
    'openxr': TopicSource(('geometry_msgs',), 'PoseArray', 'xr_body', lambda o: _read_openxr),
    'rep155': TopicSource(
        ('sensor_msgs',),
        'JointState',
        'joint_states',
        lambda o: lambda message: [rep155.body_pose(message, free_rest_landmarks())],
    ),
    'skeleton2d': TopicSource(
        ('hri_msgs',),
        'Skeleton2D',
        'skeleton2d',
        lambda o: lambda message: [skeleton2d.image_points(message, o.known_camera())],
        needs_camera=True,
    ),
    'rep155_face': TopicSource(
        ('hri_msgs',),
        'FacialActionUnits',
        'facs',
        lambda o: lambda message: [arkit.from_action_units(message)],
    ),
    'arkit': TopicSource(
        ('sensor_msgs',),
        'JointState',
        'arkit_weights',
        lambda o: lambda message: [arkit.from_joint_state(message)],
    ),
    'mocap4r2_markers': TopicSource(
        _MOCAP,
        'Markers',
        'markers',
        lambda o: _mapped(mapped.from_markers, o),
    ),
    'mocap4r2_rigid_bodies': TopicSource(
        _MOCAP, 'RigidBodies', 'rigid_bodies', lambda o: _mapped(mapped.from_rigid_bodies, o)
    ),
    'pose_array': TopicSource(
        ('geometry_msgs',), 'PoseArray', 'poses', lambda o: _mapped(mapped.from_pose_array, o)
    ),
    'tf': TopicSource(
        ('tf2_msgs',),
        'TFMessage',
        '/tf',
        lambda o: _transforms(o),
        every_message=True,
        latched_topics=('/tf_static',),
    ),
    'live_link_face': UdpSource(
        live_link_face.PORT, lambda: lambda packet, now_ns: [live_link_face.face(packet, now_ns)]
    ),
    'vmc': UdpSource(vmc.PORT, _read_vmc),
}


def _mapped(read: Callable[[Any, mapped.SourceMap], Reading], options: Options) -> Reader:
    source_map = options.source_map()
    return lambda message: [read(message, source_map)]


def _transforms(options: Options) -> Reader:
    collector = TransformCollector(options.source_map(), options.fixed_frame)
    return lambda message: list(collector.read(message))
