# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Camera drivers that our launch files start: their launch files, arguments and topics.

Data alone: it needs neither `launch` nor rclpy. Names are those of realsense-ros of 2024-09,
zed-ros2-wrapper of 2026-07, Azure_Kinect_ROS_Driver (branch humble) and OrbbecSDK_ROS2.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Driver:
    """A driver's package, how to start it, and what of it drives the avatar."""

    package: str
    launch_file: str
    """Below share/<package>/launch."""
    install: str
    """The command that brings the package."""
    arguments: dict[str, str]
    """What we set for its launch file."""
    telepresence: dict[str, str]
    """For telepresence.launch.py: where the pictures or the skeletons are."""
    asked: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Arguments of the driver that users choose: name -> (default, description)."""


def _pictures(image: str, camera_info: str) -> dict[str, str]:
    return {'input': 'topic', 'image_topic': image, 'camera_info_topic': camera_info}


def _skeletons(source: str, topic: str) -> dict[str, str]:
    return {'tracker': 'adapter', 'source': source, 'source_topic': topic}


DRIVERS: dict[str, Driver] = {
    'realsense': Driver(
        'realsense2_camera',
        'rs_launch.py',
        'sudo apt install ros-$ROS_DISTRO-realsense2-camera',
        {'camera_namespace': 'camera', 'camera_name': 'camera', 'enable_depth': 'false'},
        _pictures('/camera/camera/color/image_raw', '/camera/camera/color/camera_info'),
        {'serial_no': ("''", 'of the camera, in quotes; empty = the first')},
    ),
    'zed': Driver(
        'zed_wrapper',
        'zed_camera.launch.py',
        'build https://github.com/stereolabs/zed-ros2-wrapper in your workspace (it needs the ZED '
        'SDK; there is no apt package)',
        {'camera_name': 'zed', 'param_overrides': 'body_tracking.bt_enabled:=true'},
        _skeletons('zed', '/zed/zed_node/body_trk/skeletons'),
        {'camera_model': ('zed2i', 'zed, zedm, zed2, zed2i, zedx, ...')},
    ),
    'azure_kinect': Driver(
        'azure_kinect_ros_driver',
        'driver.launch.py',
        'build branch humble of https://github.com/microsoft/Azure_Kinect_ROS_Driver in your '
        'workspace with the Body Tracking SDK (there is no apt package)',
        {
            'body_tracking_enabled': 'true',
            'depth_mode': 'NFOV_UNBINNED',  # the wide one gives 15 frames a second at most
            'fps': '30',
            'color_enabled': 'false',
            'point_cloud': 'false',
            'rgb_point_cloud': 'false',
        },
        _skeletons('azure_kinect', '/body_tracking_data'),
        {'sensor_sn': ('', 'serial number; empty = the first')},
    ),
    'femto_bolt': Driver(
        'orbbec_camera',
        'femto_bolt.launch.py',
        'build https://github.com/orbbec/OrbbecSDK_ROS2 in your workspace',
        {'camera_name': 'camera', 'enable_point_cloud': 'false'},
        _pictures('/camera/color/image_raw', '/camera/color/camera_info'),
        {'serial_number': ('', 'empty = the first')},
    ),
}


def driver_launch_file(driver: Driver, share_of: Callable[[str], str]) -> str:
    """Path of the driver's launch file.

    :param share_of: package -> its share folder; raises LookupError where it is not installed.
    :raises RuntimeError: if the package or the file is not there, with how to get it.
    """
    try:
        share = share_of(driver.package)
    except LookupError:
        raise RuntimeError(
            f'package {driver.package} is not installed. To get it: {driver.install}. Then source '
            'the workspace again.'
        ) from None
    path = Path(share) / 'launch' / driver.launch_file
    if not path.is_file():
        raise RuntimeError(
            f'{path} does not exist: this version of {driver.package} names its launch files in '
            'another way. Start the driver by hand, and telepresence.launch.py with '
            + ' '.join(f'{name}:={value}' for name, value in driver.telepresence.items())
            + '.'
        )
    return str(path)
