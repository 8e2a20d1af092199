# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What ROS tools do to running nodes: lifecycle transitions, listening to status, Ctrl-C."""

import signal
import time

import pytest
from helpers import wait_for

pytest.importorskip('rclpy', reason='rclpy is not installed')

from avatar_ros.body import rest_pose
from avatar_ros.msg import AvatarStatus
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.nodes import messages, qos
from avatar_ros.nodes.avatar_renderer import AvatarRendererNode


@pytest.fixture
def renderer(ros):
    node = AvatarRendererNode(cli_args=['--ros-args', '-p', 'width:=64', '-p', 'height:=64'])
    assert node.trigger_configure().name == 'SUCCESS', node.statistics.error
    node.trigger_activate()
    return ros.add(node)


def own_topics(node):
    return {
        p.topic_name
        for p in node.publishers
        if '/avatar_renderer/' in p.topic_name and 'transition' not in p.topic_name
    }


def test_cleanup_takes_the_topics_away_and_configure_brings_each_back_once(renderer):
    before = own_topics(renderer)
    assert '/avatar_renderer/image' in before
    renderer.trigger_deactivate()
    assert renderer.trigger_cleanup().name == 'SUCCESS'
    assert not own_topics(renderer)
    assert renderer.trigger_configure().name == 'SUCCESS'
    assert own_topics(renderer) == before
    # The graph hears of the end of the first one a little later.
    assert wait_for(lambda: renderer.count_publishers('/avatar_renderer/image') == 1)


def test_a_bundle_without_networks_is_not_played_by_networks(ros):
    arguments = ['--ros-args', '-p', 'playback:=network']
    node = ros.add(AvatarRendererNode(cli_args=arguments))
    assert node.trigger_configure().name == 'FAILURE'
    assert 'holds no networks' in str(node.statistics.error)


def test_a_listener_to_status_alone_gets_it(ros, renderer):
    probe = ros.node()
    poses = probe.create_publisher(BodyPoseMsg, 'body_pose', qos.SENSOR)
    received = ros.collect(probe, AvatarStatus, 'avatar_renderer/status')

    def sent():
        poses.publish(messages.body_pose_message(rest_pose()))
        time.sleep(0.05)
        return received

    assert wait_for(sent)


@pytest.mark.parametrize('times', [1, 3])
def test_ctrl_c_ends_a_node_cleanly_however_often_it_comes(ros, start, tmp_path, times):
    report = tmp_path / 'report.json'
    process = start(
        'avatar_ros.nodes.reporter', '--ros-args', '-p', f'report:={report}', '-p', 'input:=demo'
    )
    probe = ros.node()
    assert wait_for(lambda: 'reporter' in probe.get_node_names(), timeout_s=30)
    for _ in range(times):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    assert process.wait(10) == 0
    assert report.is_file()
