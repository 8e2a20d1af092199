# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The node `body_tracker` with real topics: stamps, people, and what it survives."""

import array
import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from helpers import wait_for
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs.msg import Image as ImageMsg

from avatar_ros.body.pose import TrackingState
from avatar_ros.geometry import R_OPTICAL_SMPL, Camera
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.msg import FaceExpression as FaceExpressionMsg
from avatar_ros.nodes import images, messages, qos
from avatar_ros.nodes.body_tracker import BodyTrackerNode
from avatar_ros.tracking import BodyLandmarks, Landmarks
from avatar_ros.tracking.people_tracker import SeenPeople
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks


class Replayed:
    """An estimator that sees the same standing person in every picture that is not black."""

    name = 'replayed'

    def __init__(self, **options):
        rest = free_rest_landmarks()
        world = rest.points @ R_OPTICAL_SMPL.T
        hips = world[23:25].mean(0)
        self.world = world - hips

    def estimate(self, rgb, camera: Camera):
        if rgb.max() < 10:
            return Landmarks()
        pixels = camera.at(np.eye(4)).project(self.world + [0, 0, 3.0])
        return Landmarks(BodyLandmarks(pixels, self.world, np.ones(33)))

    def reset(self):
        pass

    def close(self):
        pass


@pytest.fixture
def tracker(ros, monkeypatch):
    monkeypatch.setattr(
        'avatar_ros.nodes.body_tracker.create_estimator', lambda name, **options: Replayed()
    )
    return ros.add(BodyTrackerNode())


class TrackerProbe:
    def __init__(self, ros, camera=None):
        self.node = ros.node()
        self.images = self.node.create_publisher(ImageMsg, 'image', qos.SENSOR)
        self.infos = self.node.create_publisher(CameraInfo, 'camera_info', qos.SENSOR)
        self.poses = ros.collect(self.node, BodyPoseMsg, 'body_pose')
        self.faces = ros.collect(self.node, FaceExpressionMsg, 'face_expression')
        assert wait_for(lambda: self.images.get_subscription_count())
        assert wait_for(lambda: self.node.count_publishers('body_pose'))
        time.sleep(0.3)
        self.camera = camera or Camera.from_fov(64, 96, 60)
        self.rgb = np.full((96, 64, 3), 128, np.uint8)

    def calibrate(self):
        self.infos.publish(
            images.camera_info_message(self.camera, messages.header(1, 'camera_optical_frame'))
        )
        time.sleep(0.2)

    def send(self, stamp_ns, rgb=None):
        header = messages.header(stamp_ns, 'camera_optical_frame')
        self.images.publish(images.image_message(self.rgb if rgb is None else rgb, header))


def test_pose_keeps_the_stamp_and_frame_of_the_image_and_stands_where_the_person_does(ros, tracker):
    probe = TrackerProbe(ros)
    probe.calibrate()
    probe.send(5_000_000_000)
    assert wait_for(lambda: probe.poses and probe.faces)
    pose = messages.parse_body_pose(probe.poses[0])
    assert pose.stamp_ns == 5_000_000_000
    assert pose.frame_id == 'camera_optical_frame'
    assert pose.state == TrackingState.TRACKED
    assert pose.T_frame_root[2, 3] == pytest.approx(3.0, abs=0.1)
    assert messages.parse_face_expression(probe.faces[0]).stamp_ns == 5_000_000_000


class ReplayedPeople(Replayed):
    """Two of them, half a metre to the left and to the right."""

    def estimate_people(self, rgb, camera, known):
        project = camera.at(np.eye(4)).project
        bodies = [
            BodyLandmarks(project(self.world + [x, 0, 3.0]), self.world, np.ones(33))
            for x in (-0.5, 0.5)
        ]
        return SeenPeople(bodies[::-1] if len(known) % 2 else bodies)


def test_two_people_in_one_image_are_two_poses_of_one_stamp(ros, monkeypatch):
    monkeypatch.setattr(
        'avatar_ros.nodes.body_tracker.create_people_estimator',
        lambda name, **options: ReplayedPeople(),
    )
    node = ros.add(BodyTrackerNode(cli_args=['--ros-args', '-p', 'max_people:=2']))
    probe = TrackerProbe(ros)
    probe.calibrate()
    for k in range(20):
        probe.send(1_000_000_000 + k * 33_000_000)
        time.sleep(0.03)
    assert wait_for(lambda: {p.person_id for p in probe.poses} == {'person_1', 'person_2'})
    by_stamp = {}
    for message in probe.poses:
        pose = messages.parse_body_pose(message)
        by_stamp.setdefault(pose.stamp_ns, {})[pose.person_id] = pose.T_frame_root[0, 3]
    last = [people for people in by_stamp.values() if len(people) == 2][-1]
    assert last['person_1'] * last['person_2'] < 0
    assert node.statistics.info['people'] == '2'


def test_jump_back_in_time_resets_the_tracker(ros, tracker):
    probe = TrackerProbe(ros)
    probe.calibrate()
    for stamp in (10, 10.03, 1.0):
        probe.send(int(stamp * 1e9))
        time.sleep(0.1)
    assert wait_for(lambda: tracker.statistics.counts['resets'] == 1)


def test_person_lost_is_a_warning_in_diagnostics(ros, tracker):
    probe = TrackerProbe(ros)
    diagnostics = ros.collect(probe.node, DiagnosticArray, '/diagnostics', qos=qos.COMMAND)
    probe.calibrate()
    probe.send(1_000_000_000)
    assert wait_for(lambda: probe.poses)
    for k in range(1, 30):
        probe.send(1_000_000_000 + k * 100_000_000, np.zeros((96, 64, 3), np.uint8))
        time.sleep(0.03)
    assert wait_for(lambda: probe.poses[-1].state == BodyPoseMsg.STATE_LOST)
    assert wait_for(
        lambda: any(
            s.level == DiagnosticStatus.WARN and 'lost' in s.message
            for d in diagnostics
            for s in d.status
            if s.name == 'body_tracker'
        )
    )


def test_uncalibrated_camera_bad_images_are_counted_and_survived(ros, tracker):
    probe = TrackerProbe(ros)
    zero = images.camera_info_message(probe.camera, messages.header(1, 'c'))
    zero.k = np.zeros(9)
    probe.infos.publish(zero)
    assert wait_for(lambda: tracker.statistics.counts['camera_info_refused'] == 1)
    assert 'camera_calibration' in tracker.statistics.error
    empty = images.image_message(probe.rgb, messages.header(1, 'c'))
    empty.data = array.array('B')
    wrong = images.image_message(probe.rgb, messages.header(1, 'c'))
    wrong.encoding = 'smell8'
    for count, message in enumerate((empty, wrong), start=1):
        probe.images.publish(message)
        assert wait_for(lambda n=count: tracker.statistics.counts['images_refused'] == n)
    probe.send(3_000_000_000)
    assert wait_for(lambda: probe.poses, 5)


def test_truncated_jpeg_is_counted_and_survived(ros, monkeypatch):
    monkeypatch.setattr(
        'avatar_ros.nodes.body_tracker.create_estimator', lambda name, **options: Replayed()
    )
    args = ['--ros-args', '-p', 'image_transport:=compressed']
    tracker = ros.add(BodyTrackerNode(cli_args=args))
    node = ros.node()
    publisher = node.create_publisher(CompressedImage, 'image/compressed', qos.SENSOR)
    assert wait_for(publisher.get_subscription_count)
    time.sleep(0.2)
    whole = images.compressed_image_message(
        np.full((96, 64, 3), 128, np.uint8), messages.header(9, 'c'), 90
    )
    cut = CompressedImage(header=whole.header, format='jpeg')
    cut.data = array.array('B', bytes(whole.data)[:300])
    publisher.publish(cut)
    assert wait_for(lambda: tracker.statistics.counts['images_refused'] == 1)
    assert 'truncated' in tracker.statistics.error
    publisher.publish(whole)
    assert wait_for(lambda: tracker.statistics.counts['poses'] == 1)
