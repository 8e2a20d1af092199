# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Stage, avatar and the camera that draws it on /tf, below the frame in which poses come."""

from rclpy.node import Node

from avatar_ros.avatars.stage import Stage
from avatar_ros.geometry import Camera, invert_rigid
from avatar_ros.nodes import messages

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # the wheels of PyPI have no geometry2; a ROS installation always does
    TFMessage = None


class StageFrame:
    """Publishes while somebody listens.

    The stage is a child, so that the frame of the poses keeps whatever parent it has.
    """

    def __init__(self, node: Node, stage: str, avatar: str, camera: str) -> None:
        self._node, self._names = node, (stage, avatar, camera)
        self._tf = node.create_publisher(TFMessage, '/tf', 10) if TFMessage is not None else None

    def destroy(self) -> None:
        """Take it off the graph."""
        if self._tf is not None:
            self._node.destroy_publisher(self._tf)
            self._tf = None

    def listened(self) -> bool:
        """Somebody looks at frames."""
        return self._tf is not None and bool(self._tf.get_subscription_count())

    def publish(
        self, stage: Stage, stamp_ns: int, camera: Camera | None = None, *, follows: bool = False
    ) -> None:
        """Where they are.

        `camera` drew the picture of that instant; it `follows` the avatar, in whose frame it is
        given then, or stands on the stage.
        """
        if self._tf is None or not self.listened():
            return
        name, avatar, drawn_by = self._names
        found = [(stage.T_stage_avatar, name, avatar)]
        if stage.frame_id not in ('', name):
            found.append((invert_rigid(stage.T_stage_frame), stage.frame_id, name))
        if camera is not None:
            parent = avatar if follows else name
            found.append((invert_rigid(camera.T_camera_world), parent, drawn_by))
        transforms = [messages.transform_message(*entry, stamp_ns) for entry in found]
        self._tf.publish(TFMessage(transforms=transforms))
