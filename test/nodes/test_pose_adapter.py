# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The node with real topics and real sockets: what it gives, counts and survives."""

import copy
import socket
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

pytest.importorskip('rclpy', reason='rclpy is not installed')
from geometry_msgs.msg import Pose, PoseArray
from helpers import REPOSITORY, wait_for
from sensor_msgs.msg import CameraInfo, JointState
from sensor_msgs.msg import Image as ImageMsg
from std_msgs.msg import ByteMultiArray, Header
from visualization_msgs.msg import Marker, MarkerArray

sys.path.insert(0, str(REPOSITORY / 'test/tracking/adapters'))
import encoders as enc
import sources
from sources import JOINT_NAMES, MARKER_NAMES
from truth import Jittery, Truth, bent

from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.msg import FaceExpression as FaceExpressionMsg
from avatar_ros.nodes import images, messages, qos
from avatar_ros.nodes.avatar_renderer import AvatarRendererNode
from avatar_ros.nodes.pose_adapter import PoseAdapterNode


def written_maps(folder):
    bodies = {'joints': JOINT_NAMES, 'order': list(JOINT_NAMES), 'rotations': True}
    for name, content in (('bodies', bodies), ('markers', {'joints': MARKER_NAMES})):
        (folder / f'{name}.yaml').write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture
def maps(tmp_path):
    return written_maps(tmp_path)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def adapter(ros, source, *extra, subscribe=True):
    args = ['--ros-args', '-p', f'source:={source}', *(a for e in extra for a in ('-p', e))]
    return ros.add(PoseAdapterNode(cli_args=args, subscribe=subscribe))


def fill(message, stand_in):
    """A real message with the fields of a stand-in."""
    for name, value in vars(stand_in).items():
        old = getattr(message, name)
        if isinstance(value, SimpleNamespace):
            fill(old, value)
        elif name == 'poses':
            message.poses = [fill(Pose(), v) for v in value]
        elif name == 'markers':
            message.markers = [fill(Marker(), v) for v in value]
        else:
            setattr(message, name, value)
    return message


def byte_message(payload):
    return ByteMultiArray(data=[bytes((b,)) for b in payload])


def pose_array(joints):
    """An OpenXR skeleton (names, positions, quaternions xyzw, valid) as geometry_msgs/PoseArray."""
    poses = [
        SimpleNamespace(
            position=enc.vector(p),
            orientation=SimpleNamespace(**dict(zip('xyzw', map(float, q), strict=True))),
        )
        for p, q in zip(joints[1], joints[2], strict=True)
    ]
    return SimpleNamespace(header=enc.header('stage'), poses=poses)


def camera_info():
    """Of the camera that `enc.skeleton2d` writes for."""
    return images.camera_info_message(enc.CAMERA, Header(frame_id='camera_optical_frame'))


REAL = {
    'azure_kinect': (MarkerArray, lambda p: fill(MarkerArray(), enc.kinect(p))),
    'isaac_full_body': (ByteMultiArray, lambda p: byte_message(enc.isaac_full_body(p))),
    'rep155': (JointState, lambda p: fill(JointState(), enc.rep155(p))),
    'pose_array': (PoseArray, lambda p: fill(PoseArray(), enc.pose_array(p, JOINT_NAMES))),
}


@pytest.mark.parametrize('source', REAL)
def test_a_topic_becomes_a_pose(ros, source, maps):
    kind, write = REAL[source]
    node = adapter(ros, source, f'map:={maps / "bodies.yaml"}', 'topic:=in')
    probe = ros.node()
    publisher = probe.create_publisher(kind, 'in', qos.SENSOR)
    poses = ros.collect(probe, BodyPoseMsg, 'body_pose')
    person = bent(left_elbow=(0, -0.8, 0))
    assert wait_for(
        lambda: publisher.get_subscription_count() and node._pose.get_subscription_count()
    )

    def sent():
        publisher.publish(write(person))
        time.sleep(0.05)
        return poses

    assert wait_for(sent)
    pose = messages.parse_body_pose(poses[0])
    assert pose.stamp_ns == enc.STAMP_NS
    assert pose.frame_id
    cosine = abs(pose.rotation('left_elbow') @ person.quats[18])
    assert np.degrees(2 * np.arccos(min(1.0, cosine))) < 5


def test_places_in_an_image_wait_for_its_camera(ros):
    node = adapter(ros, 'skeleton2d', subscribe=False)
    node.accept(enc.skeleton2d(Truth()))
    assert wait_for(lambda: node.statistics.counts['messages_refused'] == 1)
    assert 'camera_info' in node.statistics.error
    node.accept_info(CameraInfo())
    assert node.statistics.counts['camera_info_refused'] == 1
    node.accept_info(camera_info())
    node.accept(enc.skeleton2d(Truth()))
    assert wait_for(lambda: node.statistics.counts['poses'] == 1)


def test_udp_packets_become_expressions_and_poses(ros):
    for source, packet, kind, topic in (
        (
            'live_link_face',
            enc.live_link_face({'jawOpen': 0.5}),
            FaceExpressionMsg,
            'face_expression',
        ),
        ('vmc', enc.vmc(Truth()), BodyPoseMsg, 'body_pose'),
    ):
        port = free_port()
        node = adapter(ros, source, f'port:={port}', 'frame_id:=somewhere')
        received = ros.collect(ros.node(f'probe_{source}'), kind, topic)
        assert wait_for(
            lambda n=node: n._face.get_subscription_count() + n._pose.get_subscription_count()
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:

            def sent(s=s, packet=packet, port=port, received=received):
                s.sendto(packet, ('127.0.0.1', port))
                time.sleep(0.05)
                return received

            assert wait_for(sent)
        assert received[0].header.frame_id == 'somewhere'
        now = node.get_clock().now().nanoseconds
        assert 0 <= now - messages.ns_from_stamp(received[0].header.stamp) < 10e9


def test_listeners_are_on_this_machine_only_by_default(ros):
    node = adapter(ros, 'live_link_face', f'port:={free_port()}')
    assert node._listener._socket.getsockname()[0] == '127.0.0.1'


def test_a_port_that_is_taken_is_an_error_with_a_remedy(ros):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        with pytest.raises(ValueError, match='another "port"'):
            adapter(ros, 'vmc', f'port:={s.getsockname()[1]}')


@pytest.mark.parametrize(
    ('source', 'package'), [('zed', 'zed_msgs'), ('mocap4r2_markers', 'mocap4r2_msgs')]
)
def test_a_message_package_that_is_missing_is_named_with_how_to_get_it(ros, maps, source, package):
    pytest.importorskip('std_msgs')
    with pytest.raises(ValueError, match=f'{package}.*apt install'):
        adapter(ros, source, f'map:={maps / "markers.yaml"}')


def test_a_source_that_needs_a_map_says_so(ros):
    with pytest.raises(ValueError, match='map'):
        adapter(ros, 'pose_array')


def test_only_the_wanted_person_is_published(ros):
    node = adapter(ros, 'zed', 'person_id:=zed_7', subscribe=False)
    message = enc.zed(Truth(), 38)
    other = copy.deepcopy(message.objects[0])
    other.label_id = 8
    message.objects.append(other)
    node.accept(message)
    assert wait_for(lambda: node.statistics.counts['poses'] == 1)


def test_one_bad_person_does_not_hide_the_other(ros):
    node = adapter(ros, 'zed', subscribe=False)
    message = enc.zed(Truth(), 38)
    bad = copy.deepcopy(enc.zed(Truth(), 38, unit=1000.0).objects[0])
    bad.label_id = 8
    message.objects.insert(0, bad)
    node.accept(message)
    assert wait_for(lambda: node.statistics.counts['poses'] == 1)
    assert node.statistics.counts['people_refused'] == 1
    assert 'scale' in node.statistics.error


def poses_of(node, people):
    """Poses that the node gives for people whom a ZED sees one after another."""
    shown, complete = [], node._pose.publish
    node._pose.publish = lambda message: shown.append(messages.parse_body_pose(message))
    for k, person in enumerate(people):
        message = enc.zed(person, 38)
        message.header.stamp.nanosec = 33_000_000 * k
        node._process(message)
    node._pose.publish = complete
    return shown


def elbow_spread(shown):
    quats = np.array([pose.rotation('left_elbow') for pose in shown[10:]])
    return np.linalg.norm((quats * np.sign(quats[:, :1])).std(axis=0))


@pytest.mark.parametrize('when', ['auto', 'always', 'never'])
def test_points_that_jitter_give_a_calmer_pose_unless_that_is_turned_off(ros, when):
    def people(rng):
        return [Jittery(bent(left_elbow=(0, -0.8, 0)), 0.01, rng) for _ in range(40)]

    node = adapter(ros, 'zed', f'filter.when:={when}', subscribe=False)
    shown = elbow_spread(poses_of(node, people(np.random.default_rng(0))))
    solve = sources.solver(sources.SOURCES['zed_38'])
    raw = [solve(enc.zed(person, 38))[0] for person in people(np.random.default_rng(0))]
    if when == 'never':
        assert shown == pytest.approx(elbow_spread(raw), rel=1e-3)
    else:
        assert shown < 0.8 * elbow_spread(raw)


def test_rotations_of_a_headset_pass_as_they_are(ros):
    node, shown = adapter(ros, 'isaac_full_body', subscribe=False), []
    node._pose.publish = lambda message: shown.append(messages.parse_body_pose(message))
    for angle in (0.0, 1.0):
        person = bent(left_elbow=(0, -angle, 0))
        node._process(byte_message(enc.isaac_full_body(person)))
    assert abs(shown[-1].rotation('left_elbow') @ person.quats[18]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize('source', ['openxr', 'pose_array', 'azure_kinect'])
def test_the_avatar_stands_upright_in_the_picture_whatever_tracker_drives_it(ros, maps, source):
    person = bent(left_shoulder=(0, 0, -1.4), right_shoulder=(0, 0, 1.4))
    if source == 'openxr':
        message = fill(PoseArray(), pose_array(enc.xr_joints(person, 'BD')))
    else:
        message = REAL[source][1](person)
    adapter(ros, source, f'map:={maps / "bodies.yaml"}', 'topic:=in')
    args = ['--ros-args', '-p', 'width:=96', '-p', 'height:=96']
    node = AvatarRendererNode(cli_args=args)
    assert node.trigger_configure().name == 'SUCCESS', node.statistics.error
    node.trigger_activate()
    ros.add(node)
    probe = ros.node()
    publisher = probe.create_publisher(type(message), 'in', qos.SENSOR)
    shown = ros.collect(probe, ImageMsg, 'avatar_renderer/image', qos=qos.VIEW)

    def sent():
        publisher.publish(message)
        time.sleep(0.05)
        return shown

    assert wait_for(sent)
    rgb = images.parse_image(shown[-1]).astype(int)
    rows, columns = np.nonzero(np.abs(rgb - rgb[1, 1]).sum(2) > 40)
    assert np.ptp(rows) > 2 * np.ptp(columns)  # he stands, arms at his sides
    top = columns[rows < rows.min() + 5]
    bottom = columns[rows > rows.max() - 5]
    assert np.ptp(top) < np.ptp(bottom)  # head up, two feet below
