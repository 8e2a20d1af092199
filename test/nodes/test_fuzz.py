# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Thousands of spoiled messages: no node dies, bounds hold, everything is counted."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from helpers import wait_for
from nodes.stand_ins import plain, spoiled
from nodes.test_graph import standing

from avatar_ros.body import neutral_face
from avatar_ros.nodes import messages
from avatar_ros.nodes.avatar_renderer import AvatarRendererNode
from avatar_ros.nodes.pose_fusion import PoseFusionNode
from avatar_ros.nodes.ros4hri_bridge import Ros4HriBridgeNode

pytestmark = pytest.mark.slow
FUZZED = 10_000
POSE = messages.body_pose_message(standing(1_000_000_000))
FACE = messages.face_expression_message(replace(neutral_face(), person_id='person_1'))


def watch(node, unexpected):
    """Errors that are no plain refusals of a value."""
    fail = node.statistics.fail

    def noted(name, error):
        if any(word in str(error) for word in ('TypeError', 'IndexError', 'KeyError', 'ufunc')):
            unexpected.append(error)
        fail(name, error)

    node.statistics.fail = noted


def stamped(message, k):
    """An absurd stamp now and then."""
    sec = (0, 2**31 - 1, -(2**31), k)[k % 4]
    message.header.stamp = SimpleNamespace(sec=sec, nanosec=k % 1_000_000_000)
    return message


def test_the_renderer(ros):
    args = [
        '--ros-args',
        *(a for p in ('width:=32', 'height:=32', 'render_unwatched:=true') for a in ('-p', p)),
    ]
    node = ros.add(AvatarRendererNode(cli_args=args))
    assert node.trigger_configure().name == 'SUCCESS'
    node.trigger_activate()
    unexpected = []
    watch(node, unexpected)
    for k, (pose, face) in enumerate(
        zip(spoiled(POSE, FUZZED), spoiled(FACE, FUZZED), strict=True)
    ):
        node._on_pose(stamped(pose, k))
        node._on_face(stamped(face, k))
        assert len(node.cast) <= node.parameters.max_people
    counts = node.statistics.counts
    assert counts['messages_refused'] > FUZZED / 10
    assert counts['poses'] + counts['messages_refused'] >= FUZZED
    assert not unexpected, unexpected[:3]
    before = counts['frames']

    def sent():
        node._on_pose(POSE)
        return counts['frames'] > before

    assert wait_for(sent)
    assert counts['frames_failed'] == 0, node.statistics.error


def test_the_bridge(ros):
    node = ros.add(
        Ros4HriBridgeNode(subscribe=False, cli_args=['--ros-args', '-p', 'max_people:=3'])
    )
    unexpected = []
    watch(node, unexpected)
    for k, (pose, face) in enumerate(
        zip(spoiled(POSE, FUZZED), spoiled(FACE, FUZZED), strict=True)
    ):
        node._on_pose(stamped(pose, k))
        node._on_face(stamped(face, k))
        assert len(node.bodies) <= 3
        for body in node.bodies.values():
            assert np.isfinite(list(body.angles.values())).all()
    counts = node.statistics.counts
    assert counts['messages'] == 2 * FUZZED
    assert counts['messages_refused'] > FUZZED / 10
    assert not unexpected, unexpected[:3]
    for k in range(1000):
        message = plain(POSE)
        message.person_id = f'person {k}'
        node._on_pose(message)
    assert len(node.bodies) <= 3
    assert counts['messages'] == 2 * FUZZED + 1000


def test_the_fusion(ros):
    args = ['--ros-args', '-p', "sources:=['a', 'b']"]
    node = ros.add(PoseFusionNode(subscribe=False, cli_args=args))
    unexpected, published = [], []
    watch(node, unexpected)
    node._publish = lambda pose, face: published.append((pose, face))
    for k, (pose, face) in enumerate(
        zip(spoiled(POSE, FUZZED), spoiled(FACE, FUZZED), strict=True)
    ):
        source = 'ab'[k % 2]
        node.take(source, stamped(pose, k), messages.parse_body_pose, node.accept_pose)
        node.take(source, stamped(face, k), messages.parse_face_expression, node.accept_face)
        if k % 200 == 0:
            node._watch()
    counts = node.statistics.counts
    assert counts['messages'] == 2 * FUZZED
    assert counts['messages_refused'] > FUZZED / 10
    assert not unexpected, unexpected[:3]
    assert published
    for pose, face in published:
        assert np.isfinite(pose.rotations).all()
        assert np.isfinite(pose.T_frame_root).all()
        assert face is None or np.isfinite(face.weights).all()
    stamps = [pose.stamp_ns for pose, _ in published]
    assert (np.diff(stamps) > 0).all()
