# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Clients' eyes on the ROS graph: ViewRequest for whoever renders, TF for whoever looks."""

import time
from collections.abc import Mapping

from rclpy.node import Node

from avatar_ros.geometry import invert_rigid
from avatar_ros.msg import ViewRequest
from avatar_ros.nodes import messages, qos
from avatar_ros.streaming.xr.viewport import cameras_of_eyes
from avatar_ros.types import FloatArray

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # the wheels of PyPI have no geometry2; a ROS installation always does
    TFMessage = None

_PERIOD_S = 1 / 30
_SIDES = {1: ('eye',), 2: ('left_eye', 'right_eye')}


class ClientEyes:
    """Publishes view_request and /tf while somebody listens."""

    def __init__(self, node: Node, stage_frame: str) -> None:
        self._node, self._frame = node, stage_frame
        self._requests = qos.create(
            node.create_publisher, ViewRequest, 'view_request', profile=qos.COMMAND
        )
        self._tf = node.create_publisher(TFMessage, '/tf', 10) if TFMessage is not None else None
        self._next_s = 0.0

    def publish(self, eyes: Mapping[str, FloatArray], height: int) -> None:
        """Eyes (n, 11) in scene axes by client id."""
        now = time.monotonic()
        if now < self._next_s:
            return
        self._next_s = now + _PERIOD_S
        stamp = self._node.get_clock().now()
        transforms = []
        for client, views in eyes.items():
            cameras = cameras_of_eyes(views, height, height)
            if self._requests.get_subscription_count():
                self._requests.publish(
                    messages.view_request_message(
                        cameras,
                        client_id=client,
                        frame_id=self._frame,
                        stamp_ns=stamp.nanoseconds,
                    )
                )
            for side, camera in zip(_SIDES[len(views)], cameras, strict=True):
                T_stage_eye = invert_rigid(camera.T_camera_world)
                child = f'xr_{client}_{side}'
                transforms.append(
                    messages.transform_message(T_stage_eye, self._frame, child, stamp.nanoseconds)
                )
        if self._tf is not None and transforms and self._tf.get_subscription_count():
            self._tf.publish(TFMessage(transforms=transforms))
