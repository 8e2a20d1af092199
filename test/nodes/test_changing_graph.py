# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Other ends of topics change: drivers restart, QoS differs, listeners are late, work stalls."""

import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from helpers import wait_for
from nodes.test_graph import standing
from nodes.test_pose_adapter import Truth as Person
from nodes.test_pose_adapter import adapter, enc, fill
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image as ImageMsg
from visualization_msgs.msg import MarkerArray

from avatar_ros.geometry import rigid
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.nodes import messages, qos
from avatar_ros.nodes.avatar_renderer import AvatarRendererNode

RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
OFFERED = {
    'best effort': qos.SENSOR,
    'reliable': RELIABLE,
    'latched': qos.LATCHED,
    'best effort, deep': QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT),
}


def renderer(ros, *parameters):
    args = ['-p', 'width:=64', '-p', 'height:=64', *parameters]
    node = AvatarRendererNode(cli_args=['--ros-args', *args])
    assert node.trigger_configure().name == 'SUCCESS', node.statistics.error
    node.trigger_activate()
    return ros.add(node)


def test_a_driver_is_heard_with_any_qos_and_again_after_each_restart(ros):
    node = adapter(ros, 'azure_kinect')
    poses = ros.collect(ros.node('listener'), BodyPoseMsg, 'body_pose', qos=qos.POSE)
    message = fill(MarkerArray(), enc.kinect(Person()))
    for start, (name, profile) in enumerate(OFFERED.items()):
        for marker in message.markers:  # the clock of a driver that starts again starts again
            marker.header.stamp.sec, marker.header.stamp.nanosec = 100 - start, 0
        driver = ros.node('driver')
        publisher = driver.create_publisher(MarkerArray, 'body_tracking_data', profile)
        poses.clear()

        def heard(publisher=publisher):
            publisher.publish(message)
            time.sleep(0.05)
            return poses

        assert wait_for(heard), name
        assert poses[-1].header.stamp.sec == 100 - start, name
        ros.remove(driver)
        assert wait_for(lambda: not node.count_publishers('body_tracking_data')), name
    assert node.statistics.counts['messages_refused'] == 0, node.statistics.error


@pytest.mark.parametrize('reliability', ['best_effort', 'reliable'])
def test_a_parameter_file_changes_the_qos_that_a_publisher_really_offers(
    ros, tmp_path, reliability
):
    file = tmp_path / 'qos.yaml'
    file.write_text(f"""
/**/avatar_renderer:
  ros__parameters:
    qos_overrides:
      /avatar_renderer/image:
        publisher: {{reliability: {reliability}, depth: 7}}
""")
    node = AvatarRendererNode(cli_args=['--ros-args', '--params-file', str(file)])
    assert node.trigger_configure().name == 'SUCCESS', node.statistics.error
    ros.add(node)
    probe = ros.node()
    assert wait_for(lambda: probe.get_publishers_info_by_topic('/avatar_renderer/image'))
    (info,) = probe.get_publishers_info_by_topic('/avatar_renderer/image')
    assert info.qos_profile.reliability.name == reliability.upper()
    (depth,) = probe.get_publishers_info_by_topic('/avatar_renderer/depth')
    assert depth.qos_profile.reliability.name == 'RELIABLE'  # as it was


@pytest.mark.parametrize('wrong', ['depth:=-3', 'depth:=many', 'reliability:=sometimes'])
def test_a_qos_that_there_is_not_is_refused_with_what_there_is(ros, wrong):
    def renderer_with(override):
        return ros.add(AvatarRendererNode(cli_args=['--ros-args', '-p', override]))

    node = renderer_with(f'qos_overrides./avatar_renderer/depth.publisher.{wrong}')
    assert node.trigger_configure().name == 'FAILURE'
    assert "'~/depth'" in node.statistics.error
    assert 'best_effort' in node.statistics.error
    node = renderer_with(f'qos_overrides./body_pose.subscription.{wrong}')
    assert node.trigger_configure().name == 'SUCCESS'
    assert node.trigger_activate().name == 'FAILURE'
    assert "'body_pose'" in node.statistics.error
    assert not node.active
    with pytest.raises(ValueError, match='best_effort'):
        adapter(ros, 'azure_kinect', f'qos_overrides./body_pose.publisher.{wrong}')


def test_who_comes_late_sees_the_next_frame_whatever_he_asks_for(ros):
    renderer(ros)
    probe = ros.node()
    poses = probe.create_publisher(BodyPoseMsg, 'body_pose', qos.POSE)
    assert wait_for(poses.get_subscription_count)
    for k in range(5):  # before he is there
        poses.publish(messages.body_pose_message(standing(k + 1)))
    for profile in (qos.SENSOR, RELIABLE):
        shown = ros.collect(ros.node('late'), ImageMsg, 'avatar_renderer/image', qos=profile)
        stamp = 10_000_000_000

        def seen(shown=shown, stamp=stamp):
            poses.publish(messages.body_pose_message(standing(stamp)))
            time.sleep(0.05)
            return shown and messages.ns_from_stamp(shown[-1].header.stamp) == stamp

        assert wait_for(seen)


def test_a_renderer_that_stalls_shows_the_newest_pose_next_and_counts_the_rest(ros):
    node = renderer(ros, '-p', 'render_unwatched:=true')
    assert node.player is not None
    draw, shown = node.player.render_people, []

    def stalling(people, *args, **kwargs):
        shown.append(people[0].pose.stamp_ns)
        if len(shown) == 2:
            time.sleep(0.6)
        return draw(people, *args, **kwargs)

    node.player.render_people = stalling
    node.accept_pose(standing(1))
    assert wait_for(lambda: len(shown) == 1 and node.statistics.counts['frames'])
    for k in range(2, 20):
        turned = rigid(np.eye(3), [0.01 * k, 0, 3.0])
        node.accept_pose(replace(standing(k), T_frame_root=turned))
        if k == 2:
            assert wait_for(lambda: len(shown) == 2)  # it hangs now
    assert wait_for(lambda: node.statistics.counts['frames'] == 3)
    assert shown == [1, 2, 19]
    assert node.statistics.counts['frames_dropped'] == 16
