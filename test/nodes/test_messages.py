# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import array

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from geometry_msgs.msg import Quaternion
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage

from avatar_ros import msg
from avatar_ros.avatars.player import orbit_camera
from avatar_ros.body import ARKIT_52, SMPL, SMPLX, BodyPose, FaceExpression
from avatar_ros.body.pose import TrackingState
from avatar_ros.geometry import Camera, matrix_from_rotvec, quat_from_rotvec, rigid
from avatar_ros.nodes import images, messages
from avatar_ros.nodes.messages import MessageError

RNG = np.random.default_rng(0)
STAMP = 12_345_678_901_234


def body_pose(skeleton=SMPLX) -> BodyPose:
    quats = quat_from_rotvec(RNG.normal(0, 0.7, (len(skeleton), 3)))
    quats[0] = [1, 0, 0, 0]
    confidence = RNG.uniform(0, 1, len(skeleton)).astype(np.float32).astype(float)
    confidence[0] = 0
    return BodyPose(
        skeleton,
        rigid(matrix_from_rotvec([0.1, 2.9, 0.3]), [0.4, 0.5, 2.5]),
        quats,
        confidence,
        STAMP,
        'camera_optical_frame',
        'person_1',
        np.array([0.5, -1.0]),
        'test',
        TrackingState.TRACKED,
    )


def face() -> FaceExpression:
    quats = quat_from_rotvec(RNG.normal(0, 0.3, (4, 3)))
    return FaceExpression(
        'arkit52', ARKIT_52, RNG.uniform(0, 1, 52), *quats, 0.75, STAMP, 'cam', 'person_1'
    )


def through_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


@pytest.mark.parametrize('skeleton', [SMPL, SMPLX], ids=lambda s: s.name)
def test_body_pose_survives_the_wire(skeleton):
    pose = body_pose(skeleton)
    back = messages.parse_body_pose(through_the_wire(messages.body_pose_message(pose)))
    np.testing.assert_allclose(back.T_frame_root, pose.T_frame_root, atol=1e-12)
    np.testing.assert_allclose(np.abs((back.rotations * pose.rotations).sum(1)), 1.0, atol=1e-12)
    np.testing.assert_array_equal(back.confidence, pose.confidence)
    np.testing.assert_array_equal(back.betas, pose.betas)
    for name in ('skeleton', 'stamp_ns', 'frame_id', 'person_id', 'source', 'state'):
        assert getattr(back, name) == getattr(pose, name)


def test_face_expression_survives_the_wire():
    expression = face()
    back = messages.parse_face_expression(
        through_the_wire(messages.face_expression_message(expression))
    )
    np.testing.assert_allclose(back.weights, expression.weights, atol=1e-7)
    for name in ('head', 'jaw', 'left_eye', 'right_eye'):
        np.testing.assert_allclose(
            abs(getattr(back, name) @ getattr(expression, name)), 1.0, atol=1e-12
        )
    assert back.names == expression.names
    assert back.stamp_ns == STAMP


@pytest.mark.parametrize('eyes', [1, 2])
def test_view_request_gives_the_cameras_back(eyes):
    cameras = [orbit_camera(320, 240, azimuth_deg=20 + k, distance_m=2) for k in range(eyes)]
    message = messages.view_request_message(
        cameras, client_id='me', frame_id='avatar', stamp_ns=STAMP
    )
    view = messages.parse_view_request(through_the_wire(message))
    assert (view.client_id, view.frame_id, len(view.cameras)) == ('me', 'avatar', eyes)
    points = RNG.normal((0, 0, 1), 0.4, (20, 3))
    for camera, back in zip(cameras, view.cameras, strict=True):
        np.testing.assert_allclose(back.project(points), camera.project(points), atol=1e-3)


def test_camera_info_gives_the_camera_back():
    camera = Camera(
        np.array([[600.0, 0, 321], [0, 605, 240], [0, 0, 1]]),
        640,
        480,
        distortion=np.array([0.1, -0.2, 0, 0, 0.01]),
    )
    message = through_the_wire(images.camera_info_message(camera, messages.header(STAMP, 'cam')))
    back = images.parse_camera_info(message)
    np.testing.assert_allclose(back.K, camera.K)
    np.testing.assert_allclose(back.distortion, camera.distortion)
    assert back.frame_id == 'cam'


@pytest.mark.parametrize('shape', [(48, 64, 3), (47, 63, 3)])
def test_image_survives_the_wire(shape):
    rgb = RNG.integers(0, 256, shape, dtype=np.uint8)
    message = images.image_message(rgb, messages.header(STAMP, 'cam'))
    np.testing.assert_array_equal(images.parse_image(through_the_wire(message)), rgb)
    assert messages.ns_from_stamp(message.header.stamp) == STAMP


def test_other_encodings_are_read_with_their_channels_in_place():
    rgb = np.zeros((8, 8, 3), np.uint8)
    rgb[..., 0] = 200  # red
    message = images.image_message(rgb, messages.header(0, 'cam'))
    message.encoding = 'bgr8'
    np.testing.assert_array_equal(images.parse_image(message)[0, 0], [0, 0, 200])
    grey = images.image_message(rgb, messages.header(0, 'cam'))
    grey.encoding, grey.step, grey.data = 'mono8', 8, array.array('B', bytes([90]) * 64)
    np.testing.assert_array_equal(images.parse_image(grey)[0, 0], [90, 90, 90])


def test_depth_keeps_nan():
    depth = np.full((4, 5), np.nan, np.float32)
    depth[0, 0] = 1.5
    message = images.image_message(depth, messages.header(0, 'cam'))
    assert message.encoding == '32FC1'
    back = np.frombuffer(message.data, np.float32).reshape(4, 5)
    np.testing.assert_array_equal(back, depth)


def broken_body_pose(**changes):
    message = messages.body_pose_message(body_pose())
    for name, value in changes.items():
        if name == 'root_x':
            message.root.position.x = value
        else:
            setattr(message, name, value)
    return message


NO_LENGTH = Quaternion(x=0.0, y=0.0, z=0.0, w=0.0)
NAN_QUAT = Quaternion(x=float('nan'), y=0.0, z=0.0, w=1.0)


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'root_x': float('nan')}, 'root.position'),
        ({'root_x': float('inf')}, 'root.position'),
        ({'skeleton': 'octopus'}, r"'octopus'.*smpl"),
        ({'joint_name': ['left_hip', 'tail'], 'rotation': [Quaternion()] * 2}, "'tail'"),
        ({'rotation': [Quaternion()] * 3}, r'rotation has 3 entries, joint_name has 54'),
        ({'confidence': array.array('f', [1.0])}, 'confidence has 1'),
        ({'rotation': [NO_LENGTH] * 54}, 'length 0'),
        ({'rotation': [NAN_QUAT] * 54}, 'NaN'),
        ({'betas': array.array('f', [float('nan')])}, 'betas'),
        ({'state': 77}, 'state is 77'),
    ],
)
def test_broken_body_pose_is_refused_by_the_name_of_the_field(changes, text):
    with pytest.raises(MessageError, match=text):
        messages.parse_body_pose(broken_body_pose(**changes))


def test_broken_face_expression_is_refused():
    message = messages.face_expression_message(face())
    message.basis = 'klingon'
    with pytest.raises(MessageError, match='arkit52 or flame'):
        messages.parse_face_expression(message)
    message = messages.face_expression_message(face())
    message.weight = message.weight[:10]
    with pytest.raises(MessageError, match='weight has 10'):
        messages.parse_face_expression(message)


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'width': 0}, 'pixels'),
        ({'width': 100_000}, 'pixels'),
        ({'eye': []}, 'mono'),
        ({'tangent': array.array('f', [1.0])}, 'tangent has 1'),
        ({'tangent': array.array('f', [1.0, -1.0, -1.0, 1.0])}, 'left < right'),
    ],
)
def test_broken_view_request_is_refused(changes, text):
    message = messages.view_request_message(
        [orbit_camera(64, 64)], client_id='me', frame_id='avatar', stamp_ns=0
    )
    for name, value in changes.items():
        setattr(message, name, value)
    with pytest.raises(MessageError, match=text):
        messages.parse_view_request(message)


def test_camera_info_of_an_uncalibrated_camera_is_refused_with_the_remedy():
    message = images.camera_info_message(Camera.from_fov(64, 48, 50), messages.header(0, 'c'))
    message.k = np.zeros(9)
    with pytest.raises(MessageError, match=r'fx = 0.*camera_calibration'):
        images.parse_camera_info(message)


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'encoding': 'smell8'}, "'smell8'.*rgb8"),
        ({'height': 0}, 'empty'),
        ({'data': array.array('B')}, 'empty'),
        ({'height': 9}, 'need'),
    ],
)
def test_broken_image_is_refused(changes, text):
    message = images.image_message(np.zeros((8, 8, 3), np.uint8), messages.header(0, 'c'))
    for name, value in changes.items():
        setattr(message, name, value)
    with pytest.raises(MessageError, match=text):
        images.parse_image(message)


def test_truncated_jpeg_is_refused_and_a_whole_one_is_read():
    rgb = cv2.GaussianBlur(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), (0, 0), 3)
    whole = images.compressed_image_message(rgb, messages.header(0, 'c'), 95)
    assert np.abs(images.parse_compressed_image(whole).astype(int) - rgb).mean() < 3
    for size in (0, 1, 100, len(whole.data) // 2, len(whole.data) - 2):
        cut = CompressedImage(format='jpeg', data=array.array('B', bytes(whole.data)[:size]))
        with pytest.raises(MessageError, match=r'truncated|empty|no image'):
            images.parse_compressed_image(cut)


def test_status_has_parallel_stages():
    status = messages.status_message({'a': 1.0, 'b': 2.5}, engine='numba')
    back = through_the_wire(status)
    assert list(back.stage) == ['a', 'b']
    assert list(back.stage_ms) == [1.0, 2.5]
    assert isinstance(back, msg.AvatarStatus)


def test_small_file_that_unpacks_to_a_huge_picture_is_refused_before_it_is_unpacked():
    ok, png = cv2.imencode('.png', np.zeros((9000, 9000), np.uint8))
    assert ok
    message = CompressedImage(format='png', data=array.array('B', png.tobytes()))
    with pytest.raises(MessageError, match='9000x9000'):
        images.parse_compressed_image(message)
