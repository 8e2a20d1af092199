# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The topics on which one view of the avatar goes out."""

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo
from sensor_msgs.msg import Image as ImageMsg

from avatar_ros.avatars.player import Picture
from avatar_ros.nodes import images, messages, qos
from avatar_ros.nodes.video_publishers import VideoPublishers


class ViewPublishers:
    """image, camera_info, depth and video of one eye."""

    def __init__(self, node: LifecycleNode, prefix: str, frame_id: str) -> None:
        self._image = qos.create(
            node.create_lifecycle_publisher, ImageMsg, f'~/{prefix}image', profile=qos.VIEW
        )
        self._info = qos.create(
            node.create_lifecycle_publisher, CameraInfo, f'~/{prefix}camera_info', profile=qos.VIEW
        )
        self._depth = qos.create(
            node.create_lifecycle_publisher, ImageMsg, f'~/{prefix}depth', profile=qos.VIEW
        )
        self._video = VideoPublishers(node, f'~/{prefix}image')
        self._frame_id = frame_id

    def destroy(self, node: LifecycleNode) -> None:
        """Take the topics off the graph."""
        for publisher in (self._image, self._info, self._depth):
            node.destroy_lifecycle_publisher(publisher)
        self._video.destroy(node)

    def listened(self) -> bool:
        """Somebody wants pictures."""
        image = bool(self._image.get_subscription_count())
        return image or self.depth_listened() or self._video.listened()

    def depth_listened(self) -> bool:
        """Somebody wants depth."""
        return bool(self._depth.get_subscription_count())

    def publish(self, picture: Picture, stamp_ns: int) -> None:
        """Send to those who listen, with the stamp of the pose that is shown."""
        header = messages.header(stamp_ns, self._frame_id)
        if self._image.get_subscription_count():
            self._image.publish(images.image_message(picture.rgb, header))
        if self._info.get_subscription_count():
            self._info.publish(images.camera_info_message(picture.camera, header))
        if picture.depth is not None and self._depth.get_subscription_count():
            self._depth.publish(images.image_message(picture.depth, header))
        self._video.publish(picture.rgb, header)
