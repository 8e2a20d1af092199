# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The node `avatar_renderer` with real topics: frames, stamps, views, and what it survives."""

import array
import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Quaternion
from helpers import wait_for
from sensor_msgs.msg import CameraInfo
from sensor_msgs.msg import Image as ImageMsg

from avatar_ros.avatars.player import orbit_camera
from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.body.pose import TrackingState
from avatar_ros.geometry import R_OPTICAL_SMPL, rigid
from avatar_ros.msg import AvatarStatus, ViewRequest
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.nodes import images, messages, qos
from avatar_ros.nodes.avatar_renderer import AvatarRendererNode


def standing(stamp_ns: int) -> BodyPose:
    joints = len(SMPLX)
    return BodyPose(
        SMPLX,
        rigid(R_OPTICAL_SMPL, [0, 0, 3.0]),
        np.tile([1.0, 0, 0, 0], (joints, 1)),
        np.ones(joints),
        stamp_ns,
        'camera_optical_frame',
        'person_1',
        state=TrackingState.TRACKED,
    )


@pytest.fixture
def renderer(ros):
    args = ['--ros-args', '-p', 'width:=96', '-p', 'height:=64']
    node = AvatarRendererNode(cli_args=args)
    assert node.trigger_configure().name == 'SUCCESS', node.statistics.error
    node.trigger_activate()
    return ros.add(node)


class Probe:
    """Publishes poses to a renderer and collects what it sends."""

    def __init__(self, ros, **topics):
        self.node = ros.node()
        self.poses = self.node.create_publisher(BodyPoseMsg, 'body_pose', qos.SENSOR)
        self.views = self.node.create_publisher(ViewRequest, 'view_request', qos.COMMAND)
        self.received = {
            name: ros.collect(self.node, kind, topic, qos=qos.VIEW)
            for name, (kind, topic) in topics.items()
        }
        assert wait_for(lambda: self.poses.get_subscription_count())
        for name, (_, topic) in topics.items():
            assert wait_for(lambda t=topic: self.node.count_publishers(t)), name
        time.sleep(0.3)

    def send(self, stamp_ns):
        self.poses.publish(messages.body_pose_message(standing(stamp_ns)))


VIEW = {
    'image': (ImageMsg, 'avatar_renderer/image'),
    'info': (CameraInfo, 'avatar_renderer/camera_info'),
    'depth': (ImageMsg, 'avatar_renderer/depth'),
    'status': (AvatarStatus, 'avatar_renderer/status'),
}


def test_frame_keeps_the_stamp_of_the_pose_and_shows_the_avatar(ros, renderer):
    probe = Probe(ros, **VIEW)
    stamp = 123_456_789_012
    probe.send(stamp)
    assert wait_for(lambda: all(probe.received.values()))
    for name, received in probe.received.items():
        assert messages.ns_from_stamp(received[0].header.stamp) == stamp, name
    rgb = images.parse_image(probe.received['image'][0])
    assert rgb.shape == (64, 96, 3)
    background = rgb[2, 2]
    changed = np.abs(rgb.astype(int) - background).sum(2) > 40
    assert 0.02 < changed.mean() < 0.5
    depth = np.frombuffer(probe.received['depth'][0].data, np.float32).reshape(64, 96)
    seen = np.isfinite(depth)
    assert 2.0 < np.median(depth[seen]) < 4.0
    assert np.mean(seen == changed) > 0.95
    status = probe.received['status'][0]
    assert status.engine == 'numba'
    assert status.gaussians > 10_000
    assert list(status.stage) == ['deform', 'raster', 'convert', 'publish']
    camera = images.parse_camera_info(probe.received['info'][0])
    assert (camera.width, camera.height) == (96, 64)


def test_nothing_is_rendered_when_nobody_listens(ros, renderer):
    probe = Probe(ros)
    for k in range(5):
        probe.send(k + 1)
        time.sleep(0.02)
    assert wait_for(lambda: renderer.statistics.counts['frames_skipped'])
    assert renderer.statistics.counts['frames'] == 0


def test_view_request_changes_the_view_even_of_a_still_avatar(ros, renderer):
    probe = Probe(ros, image=VIEW['image'], status=VIEW['status'])
    probe.send(1)
    assert wait_for(lambda: probe.received['image'])
    time.sleep(0.2)
    camera = orbit_camera(80, 120, azimuth_deg=90, distance_m=2.5)
    probe.views.publish(
        messages.view_request_message((camera,), client_id='me', frame_id='avatar', stamp_ns=0)
    )
    assert wait_for(lambda: len(probe.received['image']) > 1)
    assert (probe.received['image'][-1].width, probe.received['image'][-1].height) == (80, 120)
    assert wait_for(lambda: probe.received['status'][-1].client_id == 'me')
    assert probe.received['status'][-1].repeated


def test_stereo_request_gives_two_different_eyes(ros, renderer):
    topics = {eye: (ImageMsg, f'avatar_renderer/{eye}/image') for eye in ('left', 'right')}
    probe = Probe(ros, **topics)
    cameras = [orbit_camera(64, 64, azimuth_deg=a, distance_m=2) for a in (-2, 2)]
    probe.views.publish(
        messages.view_request_message(cameras, client_id='x', frame_id='avatar', stamp_ns=0)
    )
    time.sleep(0.3)
    probe.send(5)
    assert wait_for(lambda: all(probe.received.values()))
    left, right = (images.parse_image(probe.received[eye][0]) for eye in ('left', 'right'))
    assert np.abs(left.astype(int) - right).max() > 20


def broken(**changes):
    message = messages.body_pose_message(standing(1))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_bad_messages_are_counted_reported_and_survived(ros, renderer):
    probe = Probe(ros, image=VIEW['image'])
    diagnostics = ros.collect(probe.node, DiagnosticArray, '/diagnostics', qos=qos.COMMAND)
    nan = messages.body_pose_message(standing(1))
    nan.root.position.x = float('nan')
    bad = [
        nan,
        broken(skeleton='octopus'),
        broken(rotation=[Quaternion()] * 2),
        broken(rotation=[Quaternion(x=0.0, y=0.0, z=0.0, w=0.0)] * 54),
        broken(confidence=array.array('f', [1.0])),
    ]
    for count, message in enumerate(bad, start=1):
        probe.poses.publish(message)
        assert wait_for(lambda n=count: renderer.statistics.counts['messages_refused'] == n)
    probe.views.publish(ViewRequest())
    assert wait_for(lambda: renderer.statistics.counts['messages_refused'] == len(bad) + 1)
    probe.send(7)
    assert wait_for(lambda: probe.received['image'])

    def refused():
        statuses = [s for d in diagnostics for s in d.status if s.name == 'avatar_renderer']
        values = [{v.key: v.value for v in s.values} for s in statuses]
        return any(v.get('messages_refused_count') == str(len(bad) + 1) for v in values) and any(
            s.level == DiagnosticStatus.ERROR and 'expected' in s.message for s in statuses
        )

    assert wait_for(refused)


def test_lifecycle_stops_and_starts_the_rendering_and_keeps_the_avatar(ros, renderer):
    probe = Probe(ros, image=VIEW['image'])
    probe.send(1)
    assert wait_for(lambda: probe.received['image'])
    renderer.trigger_deactivate()
    count = len(probe.received['image'])
    probe.send(2)
    time.sleep(0.3)
    assert len(probe.received['image']) == count
    renderer.trigger_activate()
    assert wait_for(lambda: probe.poses.get_subscription_count())

    def again():
        probe.send(3)
        time.sleep(0.05)
        return len(probe.received['image']) > count

    assert wait_for(again)
    renderer.trigger_deactivate()
    assert renderer.trigger_cleanup().name == 'SUCCESS'


@pytest.mark.parametrize(
    ('arguments', 'text'),
    [
        (['avatar:=/nowhere.zip'], 'nowhere'),
        (['engine:=gsplat'], 'CUDA'),
        (['background:=[2.0, 0.0, 0.0]'], 'background'),
    ],
)
def test_renderer_that_cannot_be_configured_says_why(ros, arguments, text):
    import torch

    if 'gsplat' in arguments[0] and torch.cuda.is_available():
        pytest.skip('this machine has CUDA')
    args = ['--ros-args', *(x for a in arguments for x in ('-p', a))]
    node = ros.add(AvatarRendererNode(cli_args=args))
    assert node.trigger_configure().name == 'FAILURE'
    assert text in node.statistics.error


def test_bad_parameter_value_is_refused_by_name(ros):
    with pytest.raises(ValueError, match=r"engine.*'crayon'"):
        AvatarRendererNode(cli_args=['--ros-args', '-p', 'engine:=crayon'])


def test_absurd_position_is_refused_like_nan():
    message = messages.body_pose_message(standing(1))
    for x in (1e6, 1e30, -2000.0):
        message.root.position.x = x
        with pytest.raises(messages.MessageError, match=r'position'):
            messages.parse_body_pose(message)


def test_view_of_too_many_pixels_is_refused():
    cameras = [orbit_camera(8192, 8192)] * 2
    message = messages.view_request_message(cameras, client_id='x', frame_id='avatar', stamp_ns=0)
    with pytest.raises(messages.MessageError, match='in all'):
        messages.parse_view_request(message)


def test_view_does_not_push_out_a_pose_that_waits():
    from avatar_ros.nodes.worker import Latest

    box: Latest[str] = Latest()
    box.put('new pose')
    assert not box.put_if_empty('old pose, new view')
    assert box.take() == 'new pose'
    assert box.put_if_empty('old pose, new view')
