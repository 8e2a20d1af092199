# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The node `camera` with a file: stamps, calibration, and an input that disappears."""

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from helpers import wait_for
from sensor_msgs.msg import CameraInfo
from sensor_msgs.msg import Image as ImageMsg

from avatar_ros.nodes import images, messages
from avatar_ros.nodes.camera import CameraNode


def write_video(path, frames=20, size=(64, 48)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 30, size)
    for k in range(frames):
        writer.write(np.full((size[1], size[0], 3), 10 * (k % 20), np.uint8))
    writer.release()


def test_camera_plays_a_file_with_honest_stamps_and_calibration(ros, tmp_path):
    write_video(tmp_path / 'a.avi')
    args = ['--ros-args', '-p', f'input:={tmp_path / "a.avi"}', '-p', 'frame_id:=lens']
    camera = CameraNode(cli_args=args)
    node = ros.node()
    pictures = ros.collect(node, ImageMsg, 'camera/image')
    infos = ros.collect(node, CameraInfo, 'camera/camera_info')
    ros.add(camera)
    wait_for(lambda: node.count_publishers('camera/image'))
    before = node.get_clock().now().nanoseconds
    camera.start()
    assert wait_for(lambda: len(pictures) > 10 and len(infos) > 10)
    stamps = [messages.ns_from_stamp(m.header.stamp) for m in pictures]
    assert stamps == sorted(stamps)
    assert before <= stamps[0] <= node.get_clock().now().nanoseconds
    assert np.median(np.diff(stamps)) == pytest.approx(1e9 / 30, rel=0.2)
    assert pictures[0].header.frame_id == infos[0].header.frame_id == 'lens'
    assert images.parse_camera_info(infos[0]).width == 64


def test_camera_that_disappears_is_reported_and_taken_up_again(ros, tmp_path):
    path = tmp_path / 'a.avi'
    args = ['--ros-args', '-p', f'input:={path}', '-p', 'reopen_s:=0.2']
    camera = ros.add(CameraNode(cli_args=args))
    camera.start()
    assert wait_for(lambda: camera.statistics.counts['input_lost'] >= 2)
    assert 'cannot be opened' in camera.statistics.error
    write_video(path)
    assert wait_for(lambda: camera.statistics.counts['frames'] > 3)
