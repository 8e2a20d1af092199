# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Nodes with real topics: what they publish, with which stamps, and what they survive."""

import array
import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Quaternion
from helpers import wait_for
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs.msg import Image as ImageMsg

from avatar_ros.avatars.player import orbit_camera
from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.body.pose import TrackingState
from avatar_ros.geometry import R_OPTICAL_SMPL, Camera, rigid
from avatar_ros.msg import AvatarStatus, ViewRequest
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.msg import FaceExpression as FaceExpressionMsg
from avatar_ros.nodes import images, messages, qos
from avatar_ros.nodes.avatar_renderer import AvatarRendererNode
from avatar_ros.nodes.body_tracker import BodyTrackerNode
from avatar_ros.nodes.camera import CameraNode
from avatar_ros.tracking import Landmarks
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks


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


# -- tracker -----------------------------------------------------------------------------------


class Replayed:
    """An estimator that sees the same standing person in every picture that is not black."""

    name = 'replayed'

    def __init__(self, **options):
        rest = free_rest_landmarks()
        world = rest.points @ R_OPTICAL_SMPL.T
        hips = world[23:25].mean(0)
        self.world = world - hips

    def estimate(self, rgb, camera: Camera):
        from avatar_ros.tracking import BodyLandmarks

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
        from avatar_ros.tracking import BodyLandmarks
        from avatar_ros.tracking.people_tracker import SeenPeople

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


# -- camera ------------------------------------------------------------------------------------


def write_video(path, frames=20, size=(64, 48)):
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 30, size)
    for k in range(frames):
        writer.write(np.full((size[1], size[0], 3), 10 * (k % 20), np.uint8))
    writer.release()


def test_camera_plays_a_file_with_honest_stamps_and_calibration(ros, tmp_path):
    write_video(tmp_path / 'a.avi')
    args = ['--ros-args', '-p', f'input:={tmp_path / "a.avi"}', '-p', 'frame_id:=lens']
    camera = CameraNode(cli_args=args)
    node = ros.node()
    pictures = ros.collect(node, ImageMsg, 'camera/image')
    infos = ros.collect(node, CameraInfo, 'camera/camera_info')
    ros.add(camera)
    wait_for(lambda: node.count_publishers('camera/image'))
    before = node.get_clock().now().nanoseconds
    camera.start()
    assert wait_for(lambda: len(pictures) > 10 and len(infos) > 10)
    stamps = [messages.ns_from_stamp(m.header.stamp) for m in pictures]
    assert stamps == sorted(stamps)
    assert before <= stamps[0] <= node.get_clock().now().nanoseconds
    assert np.median(np.diff(stamps)) == pytest.approx(1e9 / 30, rel=0.2)
    assert pictures[0].header.frame_id == infos[0].header.frame_id == 'lens'
    assert images.parse_camera_info(infos[0]).width == 64


def test_camera_that_disappears_is_reported_and_taken_up_again(ros, tmp_path):
    path = tmp_path / 'a.avi'
    args = ['--ros-args', '-p', f'input:={path}', '-p', 'reopen_s:=0.2']
    camera = ros.add(CameraNode(cli_args=args))
    camera.start()
    assert wait_for(lambda: camera.statistics.counts['input_lost'] >= 2)
    assert 'cannot be opened' in camera.statistics.error
    write_video(path)
    assert wait_for(lambda: camera.statistics.counts['frames'] > 3)


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


def test_report_survives_foreign_diagnostics_and_counts_only_its_own_nodes(ros, tmp_path):
    from diagnostic_msgs.msg import KeyValue

    from avatar_ros.nodes.reporter import ReporterNode

    path = tmp_path / 'r.json'
    reporter = ros.add(
        ReporterNode(namespace='/us', cli_args=['--ros-args', '-p', f'report:={path}'])
    )
    for name, value in (('other/camera', '77'), ('us/camera', '5'), ('us/viewer', 'n/a')):
        status = DiagnosticStatus(name=name)
        status.values = [
            KeyValue(key='frames_count', value=value),
            KeyValue(key='x_p50_ms', value='-'),
        ]
        reporter._on_diagnostics(DiagnosticArray(status=[status]))
    assert reporter.write()['frames_in'] == 5
    assert path.exists()
