# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""OSC, VMC, IsaacTeleop and maps: what is right is read whole, what is wrong is a ValueError."""

import struct

import encoders as enc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from truth import Truth, bent

from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.tracking.adapters import mapped, openxr, osc, vmc
from avatar_ros.tracking.adapters.transforms import TransformCollector


@given(st.binary(max_size=64))
def test_random_bytes_are_read_or_a_value_error(payload):
    for read in (openxr.isaac_full_body, osc.messages):
        try:
            read(payload)
        except ValueError as error:
            assert str(error).startswith(('full_body', 'OSC'))  # noqa: PT017


@pytest.mark.parametrize(
    'payload',
    [b'\xdd\xff\xff\xff\xff', b'\xdf\xff\xff\xff\xff', b'\xc6\xff\xff\xff\xff', b'\x91' * 5000],
)
def test_a_payload_that_promises_too_much_is_refused_at_once(payload):
    with pytest.raises(ValueError, match='not msgpack'):
        openxr.isaac_full_body(payload)


def test_osc_reads_bundles_in_bundles_in_order():
    inner = enc.osc_bundle(enc.osc('/b', 'text', 1.5), enc.osc('/c'))
    found = osc.messages(enc.osc_bundle(enc.osc('/a', 2.0), inner))
    assert [(m.address, m.arguments) for m in found] == [
        ('/a', (2.0,)),
        ('/b', ('text', 1.5)),
        ('/c', ()),
    ]


def test_endless_bundles_are_refused():
    packet = enc.osc('/a')
    for _ in range(9):
        packet = enc.osc_bundle(packet)
    with pytest.raises(ValueError, match='nested deeper'):
        osc.messages(packet)


def test_vmc_keeps_bones_of_earlier_packets():
    receiver = vmc.VmcReceiver()
    receiver.read(enc.vmc(Truth()))
    lifted = bent(left_shoulder=(0, 0, -0.8))
    quat = enc._unity(lifted.local('left_shoulder'))
    packet = enc.osc('/VMC/Ext/Bone/Pos', 'LeftUpperArm', 0.0, 0.0, 0.0, *quat)
    (pose,) = receiver.read(packet, 7)
    assert pose.stamp_ns == 7
    np.testing.assert_allclose(
        np.abs(pose.rotation('left_shoulder') @ lifted.quats[16]), 1.0, atol=1e-6
    )


def test_vmc_expressions_come_with_apply_only():
    receiver = vmc.VmcReceiver()
    assert not receiver.read(enc.osc('/VMC/Ext/Blend/Val', 'Blink_L', 0.5))
    assert not receiver.read(enc.osc('/VMC/Ext/Blend/Val', 'JawOpen', 0.25))
    (face,) = receiver.read(enc.osc('/VMC/Ext/Blend/Apply'))
    assert isinstance(face, FaceExpression)
    weights = {n: v for n, v in zip(face.names, face.weights, strict=True) if v}
    assert weights == {'eyeBlinkLeft': 0.5, 'jawOpen': 0.25}


def test_vmc_pose_and_face_of_one_packet_both_come():
    kinds = [type(r) for r in vmc.VmcReceiver().read(enc.vmc(Truth(), [('Joy', 1.0)]))]
    assert kinds == [BodyPose, FaceExpression]


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_vmc_refuses_what_is_not_finite(value):
    packet = enc.osc('/VMC/Ext/Bone/Pos', 'Hips', value, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match='finite'):
        vmc.VmcReceiver().read(packet)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (None, 'joints'),
        ({'joints': {'A': 'left_tail'}}, 'left_tail'),
        ({'joints': {'A': 'pelvis', 'B': 'pelvis'}}, 'two names'),
        ({'joints': {'A': 'pelvis'}, 'scale': -1}, 'scale'),
        ({'joints': {'A': 'pelvis'}, 'rest': {'A': [0, 0, 0, 5]}}, 'quaternion'),
        ({'joints': {'A': 'pelvis'}, 'colour': 1}, 'colour'),
    ],
)
def test_a_bad_map_is_refused_by_entry(content, words):
    with pytest.raises(ValueError, match=words):
        mapped.parse_map(content)


def test_a_map_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r'none\.yaml'):
        mapped.load_map(tmp_path / 'none.yaml')


def test_rest_axes_of_the_map_are_taken_off():
    turn = [0.5, 0.5, 0.5, 0.5]
    source_map = mapped.parse_map(
        {'joints': {'H': 'pelvis'}, 'order': ['H'], 'rotations': True, 'rest': {'H': turn}}
    )
    message = enc.pose_array(Truth(), {'H': 'pelvis'}, axes=np.eye(3))
    o = message.poses[0].orientation
    o.x, o.y, o.z, o.w = turn
    pose = mapped.from_pose_array(message, source_map)
    np.testing.assert_allclose(pose.T_frame_root[:3, :3], np.eye(3), atol=1e-12)


def test_frames_that_go_round_in_a_circle_are_refused():
    collector = TransformCollector(mapped.parse_map({'joints': {'a': 'pelvis'}}), 'world')
    message = enc.transforms(Truth(), {'a': ('pelvis', None)})
    message.transforms[0].header.frame_id = 'a'
    with pytest.raises(ValueError, match='circle'):
        collector.read(message)


def test_numbers_of_osc_that_are_cut_off_are_refused():
    packet = enc.osc('/a', 1.0)
    with pytest.raises(ValueError, match='cut off'):
        osc.messages(packet[:-4])
    assert struct.unpack('>f', packet[-4:]) == (1.0,)
