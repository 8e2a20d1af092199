# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Frames of the stage: one tree below the frame of the poses, in which everything meets."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from avatar_ros.avatars import load_avatar
from avatar_ros.avatars.player import orbit_camera
from avatar_ros.avatars.stage import Stage
from avatar_ros.body import rest_pose
from avatar_ros.geometry import (
    R_OPTICAL_SMPL,
    invert_rigid,
    matrix_from_quat,
    matrix_from_rotvec,
    quat_from_xyzw,
    rigid,
)
from avatar_ros.nodes import stage_frame
from avatar_ros.nodes.stage_frame import StageFrame

FRAME = 'camera_optical_frame'


class Recorder(SimpleNamespace):
    """A node and its publisher, with so many subscribers."""

    def __init__(self, subscribers=1):
        super().__init__(sent=[], subscribers=subscribers)

    def create_publisher(self, kind, topic, depth):
        assert topic == '/tf'
        return self

    def get_subscription_count(self):
        return self.subscribers

    def publish(self, message):
        self.sent.append(message)


@pytest.fixture
def frames(monkeypatch):
    monkeypatch.setattr(stage_frame, 'TFMessage', SimpleNamespace)
    node = Recorder()
    return node, StageFrame(node, 'stage', 'avatar', 'avatar_camera')


def placed_stage(frame_id=FRAME):
    """A stage on which somebody has walked, his pose, and the pose as it was placed."""
    stage, avatar = Stage(camera_pitch_deg=20.0), load_avatar('demo')
    for k in range(5):
        turn = matrix_from_rotvec([0, 0.2 * k, 0])
        T = rigid(R_OPTICAL_SMPL @ turn, [0.1 * k, 0.2, 3.0])
        pose = replace(rest_pose(T_frame_root=T), stamp_ns=k * 100_000_000, frame_id=frame_id)
        placed = stage.place(pose, avatar)
    return stage, pose, placed


def read(transform):
    t, q = transform.transform.translation, transform.transform.rotation
    R = matrix_from_quat(quat_from_xyzw([q.x, q.y, q.z, q.w]))
    return rigid(R, [t.x, t.y, t.z])


def test_a_pose_is_on_the_stage_where_the_frame_says():
    stage, pose, placed = placed_stage()
    np.testing.assert_allclose(
        stage.T_stage_frame @ pose.T_frame_root, placed.T_frame_root, atol=1e-9
    )
    assert stage.frame_id == FRAME


def test_frames_are_one_tree_below_that_of_the_poses(frames):
    node, tf = frames
    stage, _, _ = placed_stage()
    camera = orbit_camera(64, 64)
    tf.publish(stage, 123, camera, follows=True)
    (message,) = node.sent
    parents = {t.child_frame_id: t.header.frame_id for t in message.transforms}
    assert parents == {'stage': FRAME, 'avatar': 'stage', 'avatar_camera': 'avatar'}
    by_child = {t.child_frame_id: read(t) for t in message.transforms}
    np.testing.assert_allclose(by_child['stage'], invert_rigid(stage.T_stage_frame), atol=1e-6)
    np.testing.assert_allclose(by_child['avatar'], stage.T_stage_avatar, atol=1e-6)
    np.testing.assert_allclose(
        invert_rigid(by_child['avatar_camera']), camera.T_camera_world, atol=1e-6
    )
    assert {t.header.stamp.nanosec for t in message.transforms} == {123}


def test_a_camera_that_stands_on_the_stage_is_its_child(frames):
    node, tf = frames
    tf.publish(placed_stage()[0], 0, orbit_camera(64, 64))
    parents = {t.child_frame_id: t.header.frame_id for t in node.sent[0].transforms}
    assert parents['avatar_camera'] == 'stage'


@pytest.mark.parametrize('frame_id', ['', 'stage'])
def test_a_stage_that_poses_come_in_is_no_child_of_itself(frames, frame_id):
    node, tf = frames
    tf.publish(placed_stage(frame_id)[0], 0)
    assert [t.child_frame_id for t in node.sent[0].transforms] == ['avatar']


def test_nothing_is_sent_where_nobody_listens(frames):
    node, tf = frames
    node.subscribers = 0
    tf.publish(placed_stage()[0], 0)
    assert node.sent == []
