# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A camera that is pulled out while it runs, and put in again."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from helpers import wait_for

from avatar_ros.nodes.camera import CameraNode
from avatar_ros.tracking.video import VideoSource


class Webcam:
    """A device as OpenCV shows it: a few pictures, then none."""

    opened = 0

    def __init__(self, pictures):
        Webcam.opened += 1
        self.left = pictures

    def read(self):
        self.left -= 1
        return (True, np.zeros((48, 64, 3), np.uint8)) if self.left >= 0 else (False, None)

    def release(self):
        pass


def test_camera_unplugged_in_mid_run_is_counted_reported_and_taken_up_again(ros, monkeypatch):
    Webcam.opened = 0
    monkeypatch.setattr(VideoSource, '_open', lambda self: Webcam(3))
    args = ['--ros-args', '-p', "input:='7'", '-p', 'reopen_s:=0.1']
    camera = ros.add(CameraNode(cli_args=args))
    camera.start()
    assert wait_for(lambda: camera.statistics.counts['frames'] >= 9)
    assert camera.statistics.counts['input_lost'] >= 2
    assert Webcam.opened >= 3
    assert 'stopped giving pictures' in camera.statistics.error
    assert 'unplugged' in camera.statistics.error
