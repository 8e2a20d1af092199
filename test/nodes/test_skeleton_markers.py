# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Markers of people for RViz: where their joints are, one list of lines each, for listeners."""

import time
from dataclasses import replace

import numpy as np
import pytest
from helpers import wait_for
from transforms3d.euler import euler2quat

pytest.importorskip('rclpy', reason='rclpy is not installed')

from visualization_msgs.msg import Marker, MarkerArray

from avatar_ros.body import rest_pose
from avatar_ros.body.skeletons import SMPLX, skeleton_by_name
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.nodes import messages, qos
from avatar_ros.nodes.avatar_renderer import AvatarRendererNode
from avatar_ros.nodes.skeleton_markers import joint_positions, skeleton_markers
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks


def ends(marker):
    """(bones, 2, 3)"""
    return np.array([(p.x, p.y, p.z) for p in marker.points]).reshape(-1, 2, 3)


def bent():
    pose = rest_pose()
    rotations = pose.rotations.copy()
    rotations[SMPLX.index['left_elbow']] = euler2quat(0, 0, 1.0)
    return replace(pose, rotations=rotations)


def test_each_bone_of_each_person_keeps_its_length_however_they_move():
    joints = free_rest_landmarks().joints
    parents = SMPLX.parent_array
    lengths = np.linalg.norm(joints[1:] - joints[parents[1:]], axis=1)
    T = np.eye(4)
    T[:3, 3] = 1, 2, 3
    there = replace(bent(), T_frame_root=T, person_id='person_2')
    erase, *people = skeleton_markers([bent(), there], 5_000_000_007, 'stage').markers
    assert erase.action == Marker.DELETEALL
    assert len({(m.ns, m.id) for m in people}) == 2
    for marker in people:
        assert (marker.header.frame_id, marker.header.stamp.nanosec) == ('stage', 7)
        found = ends(marker)
        np.testing.assert_allclose(np.linalg.norm(found[:, 1] - found[:, 0], axis=1), lengths)
    np.testing.assert_allclose(
        ends(people[1]) - ends(people[0]), np.broadcast_to(T[:3, 3], (54, 2, 3))
    )


@pytest.mark.parametrize('name', ['smpl', 'smplx'])
def test_a_bent_elbow_moves_the_hand_and_nothing_above_it(name):
    skeleton = skeleton_by_name(name)
    still = rest_pose(skeleton)
    rotations = still.rotations.copy()
    rotations[skeleton.index['left_elbow']] = euler2quat(0, 0, 1.0)
    moved = joint_positions(replace(still, rotations=rotations)) - joint_positions(still)
    distance = np.linalg.norm(moved, axis=1)
    assert distance[skeleton.index['left_wrist']] > 0.2
    assert np.all(distance[skeleton.rows(['left_elbow', 'head', 'right_wrist', 'left_foot'])] == 0)


def test_a_listener_to_skeletons_alone_gets_everybody_and_without_him_nothing_is_drawn(ros):
    node = AvatarRendererNode(cli_args=['--ros-args', '-p', 'width:=64', '-p', 'height:=64'])
    assert node.trigger_configure().name == 'SUCCESS', node.statistics.error
    node.trigger_activate()
    ros.add(node)
    probe = ros.node()
    poses = probe.create_publisher(BodyPoseMsg, 'body_pose', qos.SENSOR)

    def sent(done):
        for person in ('person_1', 'person_2'):
            poses.publish(messages.body_pose_message(replace(rest_pose(), person_id=person)))
        time.sleep(0.05)
        return done()

    assert wait_for(lambda: sent(lambda: node.statistics.counts['frames_skipped']))
    assert not node.statistics.counts['frames']
    received = ros.collect(probe, MarkerArray, 'avatar_renderer/skeletons')
    assert wait_for(lambda: sent(lambda: received and len(received[-1].markers) == 3))
    assert {m.ns for m in received[-1].markers[1:]} == {'person_1', 'person_2'}
    assert received[-1].markers[1].header.frame_id == node.parameters.stage_frame
    assert not node.statistics.counts['frames']  # bones need no picture
