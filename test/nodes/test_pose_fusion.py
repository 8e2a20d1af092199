# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The node that fuses trackers, on real topics."""

import time
from dataclasses import replace

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from helpers import wait_for
from nodes.test_graph import standing

from avatar_ros.body import SMPLX, neutral_face
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.msg import FaceExpression as FaceExpressionMsg
from avatar_ros.nodes import messages, qos
from avatar_ros.nodes.pose_fusion import PoseFusionNode


def fusion(ros, *parameters, subscribe=True):
    args = ['--ros-args', *(a for p in parameters for a in ('-p', p))]
    return ros.add(PoseFusionNode(cli_args=args, subscribe=subscribe))


def pose_with(bend, person_id='p', stamp_ns=0):
    pose = standing(stamp_ns or time.time_ns())
    quats = pose.rotations.copy()
    for joint, rotvec in bend.items():
        quats[SMPLX.index[joint]] = quat_from_rotvec(rotvec)
    return replace(pose, rotations=quats, person_id=person_id)


def test_body_fingers_and_face_of_three_topics_become_one_person(ros):
    node = fusion(ros, "sources:=['cam', 'glove', 'phone']", "hands:=['glove']", "face:=['phone']")
    probe = ros.node()
    send = {
        name: probe.create_publisher(BodyPoseMsg, f'{name}/body_pose', qos.POSE)
        for name in ('cam', 'glove')
    }
    face = probe.create_publisher(FaceExpressionMsg, 'phone/face_expression', qos.POSE)
    poses = ros.collect(probe, BodyPoseMsg, 'body_pose')
    faces = ros.collect(probe, FaceExpressionMsg, 'face_expression')
    smile = replace(neutral_face(), weights=neutral_face().weights + 0.5, confidence=1.0)

    def sent():
        now = time.time_ns()
        face.publish(messages.face_expression_message(replace(smile, stamp_ns=now)))
        bent = {'left_index1': (0, 0, 0.7), 'left_elbow': (0, 0.3, 0)}
        send['glove'].publish(messages.body_pose_message(pose_with(bent, 'hand')))
        bent = {'left_elbow': (0, -0.8, 0)}
        send['cam'].publish(messages.body_pose_message(pose_with(bent, 'body')))
        time.sleep(0.03)
        return len(poses) > 60 and len(faces) > 20

    assert wait_for(sent, 30), node.statistics.error
    pose = messages.parse_body_pose(poses[-1])
    assert pose.person_id == faces[-1].person_id == 'fused'
    assert pose.frame_id == 'camera_optical_frame'
    assert abs(pose.rotation('left_elbow') @ quat_from_rotvec([0, -0.8, 0])) > 0.9999
    assert abs(pose.rotation('left_index1') @ quat_from_rotvec([0, 0, 0.7])) > 0.9999
    assert messages.ns_from_stamp(faces[-1].header.stamp) == messages.ns_from_stamp(
        poses[-1].header.stamp
    )
    assert faces[-1].weight[0] == pytest.approx(0.5, abs=0.01)
    assert wait_for(lambda: 'glove 30' in node.statistics.info.get('joints', ''))


def test_one_person_a_source_and_the_next_one_when_they_are_gone(ros):
    node = fusion(ros, "sources:=['cam']", 'timeout_s:=0.2', subscribe=False)
    for _ in range(5):
        node.accept_pose('cam', pose_with({}, 'first'))
        node.accept_pose('cam', pose_with({}, 'second'))
    counts = node.statistics.counts
    assert (counts['poses'], counts['others_passed_over']) == (5, 5)
    time.sleep(0.5)
    node.accept_pose('cam', pose_with({}, 'second'))
    assert counts['poses'] == 6


def test_the_person_that_is_asked_for(ros):
    node = fusion(ros, "sources:=['cam']", 'person_id:=zed_7', subscribe=False)
    for who in ('zed_1', 'zed_7', 'zed_8'):
        node.accept_pose('cam', pose_with({}, who))
    assert node.statistics.counts['poses'] == 1


@pytest.mark.parametrize('parameter', ["sources:=['']", "sources:=['a', 'a']", "body:=['nobody']"])
def test_bad_parameters_are_told_by_name(ros, parameter):
    with pytest.raises(ValueError, match='expected'):
        fusion(ros, parameter, subscribe=False)
