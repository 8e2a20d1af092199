# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Bags: what is written can be read, what is replayed is the same every time."""

import errno
import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from helpers import asset_or_skip, wait_for
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader, Writer
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image as ImageMsg
from std_msgs.msg import String

from avatar_ros.geometry import Camera
from avatar_ros.msg import AvatarStatus
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.nodes import images, messages, qos
from avatar_ros.nodes.avatar_renderer import AvatarRendererNode
from avatar_ros.nodes.bag_player import BagPlayer, PlayOptions
from avatar_ros.nodes.bag_recorder import STORAGES, BagRecorder
from avatar_ros.nodes.bag_types import bag_typestore
from avatar_ros.nodes.body_tracker import BodyTrackerNode
from avatar_ros.nodes.telepresence import Telepresence, arguments

PERIOD_NS = 33_333_333


def write_bag(path: Path, rows, storage='mcap') -> None:
    """rows: (topic, message, time in ns)."""
    with Writer(path, version=9, storage_plugin=STORAGES[storage]) as writer:
        connections = {}
        for topic, message, stamp_ns in rows:
            if topic not in connections:
                kind = type(message)
                typename = f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'
                connections[topic] = writer.add_connection(
                    topic, typename, typestore=bag_typestore()
                )
            writer.write(connections[topic], stamp_ns, serialize_message(message))


def video_bag(path: Path, frames: int) -> None:
    """The first pictures of the demo video as a bag with stamps from 100 s on."""
    from avatar_ros.tracking.video import VideoSource

    asset_or_skip('body.mp4')
    source = VideoSource('demo', max_side=480, rate_hz=0, loop='once')
    rows, stamp = [], 100 * 1_000_000_000
    for k, rgb in enumerate(source._decoded(2, lambda: True)):
        if k == frames:
            break
        header = messages.header(stamp, 'camera_optical_frame')
        camera = Camera.from_fov(rgb.shape[1], rgb.shape[0], 45)
        rows.append(('/camera/camera_info', images.camera_info_message(camera, header), stamp))
        jpeg = images.compressed_image_message(rgb, header, 90)
        rows.append(('/camera/image/compressed', jpeg, stamp + 1000))
        stamp += PERIOD_NS
    source.close()
    write_bag(path, rows)


@pytest.mark.parametrize('storage', STORAGES)
def test_recorded_messages_come_back(ros, tmp_path, storage):
    node = ros.node()
    publisher = node.create_publisher(BodyPoseMsg, 'body_pose', qos.SENSOR)
    recorder = ros.add(BagRecorder(tmp_path / 'bag', ['body_pose', 'nothing'], storage))
    assert wait_for(publisher.get_subscription_count)
    assert recorder.missing() == ['/nothing']
    sent = [BodyPoseMsg(person_id=f'p{k}', skeleton='smplx') for k in range(10)]
    for k, message in enumerate(sent, start=1):
        publisher.publish(message)
        assert wait_for(lambda n=k: recorder.statistics.counts['messages'] >= n)
    recorder.close()
    with Reader(tmp_path / 'bag') as reader:
        found = [bytes(data) for _, _, data in reader.messages()]
        assert reader.connections[0].msgtype == 'avatar_ros/msg/BodyPose'
    # Padding between fields may hold anything, so the messages are compared, not the bytes.
    assert [deserialize_message(data, BodyPoseMsg) for data in found] == sent


def test_a_topic_that_has_only_listeners_is_waited_for_and_then_recorded(ros, tmp_path):
    node = ros.node()
    ros.collect(node, BodyPoseMsg, 'body_pose')
    recorder = ros.add(BagRecorder(tmp_path / 'bag', ['body_pose']))
    assert wait_for(lambda: recorder.count_subscribers('/body_pose'))
    recorder._discover()
    assert recorder.missing() == ['/body_pose']
    publisher = node.create_publisher(BodyPoseMsg, 'body_pose', qos.SENSOR)  # best effort
    assert wait_for(lambda: publisher.get_subscription_count() == 2)
    publisher.publish(BodyPoseMsg())
    assert wait_for(lambda: recorder.statistics.counts['messages'] == 1)


def test_a_bag_without_messages_is_refused(ros, tmp_path):
    with Writer(tmp_path / 'bag', version=9) as writer:
        writer.add_connection('/body_pose', 'avatar_ros/msg/BodyPose', typestore=bag_typestore())
    with pytest.raises(ValueError, match='holds no messages'):
        BagPlayer(tmp_path / 'bag', [], PlayOptions())


def test_what_is_latched_stays_so_for_a_late_recorder_and_a_late_listener(ros, tmp_path):
    node = ros.node()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = node.create_publisher(String, 'urdf', latched)
    publisher.publish(String(data='<robot/>'))
    recorder = ros.add(BagRecorder(tmp_path / 'bag', ['urdf']))
    assert wait_for(lambda: recorder.statistics.counts['messages'] == 1)
    recorder.close()
    node.destroy_publisher(publisher)
    player = ros.add(BagPlayer(tmp_path / 'bag', ['urdf'], PlayOptions()))
    assert len(list(player.play())) == 1
    heard = ros.collect(ros.node(), String, 'urdf', qos=latched)
    assert wait_for(lambda: heard)
    assert heard[0].data == '<robot/>'


def test_existing_bag_is_not_overwritten(ros, tmp_path):
    (tmp_path / 'bag').mkdir()
    with pytest.raises(ValueError, match='does not exist'):
        BagRecorder(tmp_path / 'bag', ['body_pose'])


def test_full_disk_ends_the_recording_with_a_clear_message_and_nothing_else(
    ros, tmp_path, monkeypatch
):
    node = ros.node()
    publisher = node.create_publisher(BodyPoseMsg, 'body_pose', qos.SENSOR)
    recorder = ros.add(BagRecorder(tmp_path / 'bag', ['body_pose']))
    assert wait_for(publisher.get_subscription_count)
    publisher.publish(BodyPoseMsg())
    assert wait_for(lambda: recorder.statistics.counts['messages'] == 1)

    def no_space(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(recorder._writer, 'write', no_space)
    publisher.publish(BodyPoseMsg())
    assert wait_for(lambda: recorder.failed)
    assert 'No space left' in recorder.failed
    assert 'after 1 messages' in recorder.failed
    assert recorder.statistics.counts['write_failed'] == 1
    publisher.publish(BodyPoseMsg())  # the graph lives on
    with Reader(tmp_path / 'bag') as reader:
        assert reader.message_count == 1


def test_bag_without_the_topic_names_those_it_has(ros, tmp_path):
    write_bag(tmp_path / 'bag', [('/a', BodyPoseMsg(), 1), ('/b', BodyPoseMsg(), 2)])
    with pytest.raises(ValueError, match=r'no topic /nope; it holds /a, /b'):
        BagPlayer(tmp_path / 'bag', ['nope'], PlayOptions())


def test_what_is_no_bag_is_refused(ros, tmp_path):
    (tmp_path / 'bag').mkdir()
    (tmp_path / 'bag/metadata.yaml').write_text('rosbag2_bagfile_information: 5\n')
    for path in (tmp_path / 'bag', tmp_path / 'nothing'):
        with pytest.raises(ValueError, match='no rosbag2 that can be read'):
            BagPlayer(path, [], PlayOptions())


def test_replay_keeps_the_pace_the_rate_the_start_and_the_clock(ros, tmp_path):
    rows = [
        ('/body_pose', BodyPoseMsg(person_id=str(k)), 5_000_000_000 + k * 100_000_000)
        for k in range(11)
    ]
    write_bag(tmp_path / 'bag', rows)
    node = ros.node()
    poses = ros.collect(node, BodyPoseMsg, '/body_pose')
    clocks = ros.collect(node, Clock, '/clock')
    player = ros.add(
        BagPlayer(tmp_path / 'bag', [], PlayOptions(rate=2.0, start_s=0.5, loop=3, clock=True))
    )
    assert player.wait_for_listeners()
    import time

    began = time.monotonic()
    positions = list(player.play())
    assert time.monotonic() - began == pytest.approx(3 * 0.5 / 2.0, abs=0.25)
    assert len(positions) == 18
    assert wait_for(lambda: len(poses) == 18)
    assert [p.person_id for p in poses] == [str(k) for k in range(5, 11)] * 3
    times = [messages.ns_from_stamp(c.clock) for c in clocks]
    assert min(times) >= 5_500_000_000
    assert max(times) <= 6_000_000_000


def replay_once(ros, bag: Path, out: dict) -> None:
    """Tracker and renderer in this process, fed by the bag in lockstep."""
    sim_time = ['--ros-args', '-p', 'use_sim_time:=true']
    tracker = BodyTrackerNode(
        cli_args=[
            *sim_time,
            '-p',
            'image_transport:=compressed',
            '-p',
            'hands:=false',
            '-r',
            'image/compressed:=camera/image/compressed',
            '-r',
            'camera_info:=camera/camera_info',
        ]
    )
    renderer = AvatarRendererNode(
        cli_args=[*sim_time, '-p', 'width:=96', '-p', 'height:=128', '-p', 'engine:=numba']
    )
    assert renderer.trigger_configure().name == 'SUCCESS'
    renderer.trigger_activate()
    node = ros.node('probe')
    poses = ros.collect(node, BodyPoseMsg, 'body_pose')
    pictures = ros.collect(node, ImageMsg, 'avatar_renderer/image', qos=qos.VIEW)
    nodes = [tracker, renderer, node]
    for extra in (tracker, renderer):
        ros.add(extra)
    player = ros.add(
        BagPlayer(bag, [], PlayOptions(rate=4.0, clock=True, lockstep='/camera/image/compressed'))
    )
    assert player.wait_for_listeners()
    assert wait_for(lambda: node.count_publishers('avatar_renderer/image'))
    list(player.play())
    assert player.waited_in_vain == 0
    count = player.sent // 2
    assert wait_for(lambda: len(poses) == count and len(pictures) == count)
    out['poses'] = list(poses)
    out['pictures'] = [hashlib.sha256(bytes(p.data)).hexdigest() for p in pictures]
    for old in [*nodes, player]:
        ros.executor.remove_node(old)
        if hasattr(old, 'close'):
            old.close()
        old.destroy_node()
        ros.nodes.remove(old)


def test_same_bag_three_times_gives_the_same_poses_and_the_same_frames(ros, tmp_path):
    asset_or_skip('face_landmarker.task')
    video_bag(tmp_path / 'bag', frames=25)
    runs = []
    for _ in range(3):
        out: dict = {}
        replay_once(ros, tmp_path / 'bag', out)
        runs.append(out)
    assert len(runs[0]['poses']) == 25
    assert len(set(runs[0]['pictures'])) > 20  # it does move
    assert runs[0] == runs[1] == runs[2]


def test_composed_graph_lives_from_a_video_and_leaves_nothing_behind(tmp_path, ros):
    asset_or_skip('body.mp4')
    asset_or_skip('face_landmarker.task')
    before = {t.name for t in threading.enumerate()}
    report = tmp_path / 'report.json'
    graph = Telepresence(
        arguments(['--port', '0', '--size', '128', '--report', str(report), '--log-level', 'warn'])
    )
    node = ros.node()
    statuses = ros.collect(node, AvatarStatus, 'avatar_renderer/status', qos=qos.VIEW)
    pictures = ros.collect(node, ImageMsg, 'avatar_renderer/image', qos=qos.VIEW)
    graph.start()
    # Topics are there for everybody else, although poses go by reference inside.
    assert wait_for(lambda: len(statuses) > 30 and len(pictures) > 5, 30)
    assert wait_for(lambda: len(graph.reporter._arrival_s) > 20, 20)
    graph.close()
    import json

    result = json.loads(report.read_text())
    assert result['frames_out'] > 20
    assert result['fps'] > 3
    assert result['pose_age_ms']['p50'] > 0
    assert result['gaussians'] == statuses[-1].gaussians
    assert {'body_tracker.estimate', 'avatar_renderer.raster'} <= set(result['stages_ms'])
    stamps = [messages.ns_from_stamp(s.header.stamp) for s in statuses]
    assert stamps == sorted(stamps)
    assert np.all(np.diff(stamps) > 0)
    gone = wait_for(lambda: not ({t.name for t in threading.enumerate()} - before), 5)
    assert gone, {t.name for t in threading.enumerate()} - before
