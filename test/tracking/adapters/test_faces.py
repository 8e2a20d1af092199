# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Faces: names and never places decide, and left stays left."""

import csv
import struct
from pathlib import Path
from types import SimpleNamespace as Message

import encoders as enc
import numpy as np
import pytest

from avatar_ros.body import ARKIT_52
from avatar_ros.body.foreign import ACTION_UNITS, LIVE_LINK_61, UNITY_BONES, VRM_EXPRESSIONS
from avatar_ros.body.skeletons import SMPLX
from avatar_ros.geometry import rotvec_from_quat
from avatar_ros.tracking.adapters import arkit, live_link_face

RNG = np.random.default_rng(0)


def weights_of(face):
    return dict(zip(face.names, face.weights, strict=True))


def test_a_live_link_packet_gives_every_weight_back_by_name():
    sent = dict(zip(ARKIT_52, RNG.uniform(0, 1, 52), strict=True))
    packet = enc.live_link_face(sent, name='Ada')
    assert len(packet) == 306 + len('Ada')
    face = live_link_face.face(packet, received_ns=5)
    assert (face.person_id, face.stamp_ns, face.basis) == ('Ada', 5, 'arkit52')
    for name, value in weights_of(face).items():
        assert value == pytest.approx(sent[name], abs=1e-6), name


@pytest.mark.parametrize('name', ['jawLeft', 'jawRight', 'mouthLeft', 'mouthRight', 'eyeBlinkLeft'])
def test_one_weight_is_that_weight_and_no_other(name):
    found = weights_of(live_link_face.face(enc.live_link_face({name: 0.75})))
    assert {n for n, v in found.items() if v} == {name}


def test_angles_of_the_head_are_about_the_right_axes():
    for angle, axis in (
        ((0.3, 0, 0), (0, -1, 0)),  # yaw, to the right
        ((0, 0.2, 0), (1, 0, 0)),  # pitch, down
        ((0, 0, 0.1), (0, 0, -1)),  # roll, towards the right shoulder
    ):
        turned = rotvec_from_quat(live_link_face.face(enc.live_link_face({}, angle)).head)
        np.testing.assert_allclose(turned, np.multiply(max(angle), axis), atol=1e-6)


def recorded():
    """What the app recorded: for each frame its 61 values, and what we read of them as a packet."""
    with (Path(__file__).parent / 'recorded/live_link_face.csv').open() as file:
        rows = [np.array(row[2:], float) for row in list(csv.reader(file))[1:]]
    head = enc.live_link_face({})[: -61 * 4]
    return [(row, live_link_face.face(head + struct.pack('>61f', *row))) for row in rows]


@pytest.mark.parametrize('side', ['left', 'right'])
def test_eyes_of_a_recording_look_where_its_own_angles_say(side):
    yaw, pitch = {'left': (55, 56), 'right': (58, 59)}[side]
    found, told = [], []
    for row, face in recorded():
        found.append(rotvec_from_quat(getattr(face, f'{side}_eye'))[:2])
        told.append([row[pitch], -row[yaw]])
    apart = np.degrees(np.subtract(found, told))
    assert np.abs(np.median(apart, axis=0)).max() < 6  # the app has eyes that rest a little outward
    apart = np.linalg.norm(apart - np.median(apart, axis=0), axis=1)
    assert np.degrees(np.ptp(told, axis=0)).min() > 25  # he looked around
    assert np.median(apart) < 2
    assert apart.max() < 8


def test_a_mouth_of_a_recording_that_moves_to_a_side_stretches_there():
    faces = [weights_of(face) for _, face in recorded()]
    moved = [f['mouthLeft'] - f['mouthRight'] for f in faces]
    stretched = [f['mouthStretchLeft'] - f['mouthStretchRight'] for f in faces]
    lifted = [f['mouthUpperUpLeft'] - f['mouthUpperUpRight'] for f in faces]
    jaw = [f['jawLeft'] - f['jawRight'] for f in faces]
    for other in (stretched, lifted, jaw):
        assert np.corrcoef(moved, other)[0, 1] > 0.6


def test_a_face_that_the_app_does_not_see_has_no_confidence():
    packet = enc.live_link_face({})
    packet = packet[: -61 * 4 - 1] + b'\0'
    assert live_link_face.face(packet).confidence == 0


@pytest.mark.parametrize('cut', [0, 1, 4, 20, 60, 300, 308])
def test_a_cut_packet_is_refused(cut):
    with pytest.raises(ValueError, match='Live Link Face'):
        live_link_face.face(enc.live_link_face({})[:cut])


def test_nan_is_refused():
    packet = enc.live_link_face({})[:-4] + struct.pack('>f', np.nan)
    with pytest.raises(ValueError, match='NaN'):
        live_link_face.face(packet)


def test_plain_weights_are_taken_in_any_case_and_clipped():
    face = arkit.from_joint_state(enc.joint_state({'JawOpen': 1.5, 'eyeBlinkLeft': 0.5, 'x': 9}))
    found = weights_of(face)
    assert (found['jawOpen'], found['eyeBlinkLeft'], found['eyeBlinkRight']) == (1, 0.5, 0)
    assert rotvec_from_quat(face.jaw)[0] > 0.3
    with pytest.raises(ValueError, match='jawOpen'):
        arkit.from_joint_state(enc.joint_state({'elbow': 1.0}))


def action_units(**values):
    intensity, confidence = np.zeros(99), np.ones(99)
    for name, value in values.items():
        intensity[int(name[2:])] = value
    return Message(header=enc.header('face'), intensity=intensity, confidence=confidence)


@pytest.mark.parametrize(
    ('unit', 'shapes'),
    [
        ('AU1', {'browInnerUp'}),
        ('AU4', {'browDownLeft', 'browDownRight'}),
        ('AU12', {'mouthSmileLeft', 'mouthSmileRight'}),
        ('AU45', {'eyeBlinkLeft', 'eyeBlinkRight'}),
        ('AU61', {'eyeLookOutLeft', 'eyeLookInRight'}),  # eyes to the person's left
    ],
)
def test_an_action_unit_moves_its_shapes(unit, shapes):
    face = arkit.from_action_units(action_units(**{unit: 0.8}))
    assert {n: v for n, v in weights_of(face).items() if v} == dict.fromkeys(shapes, 0.8)


def test_units_nobody_looked_for_do_not_count():
    message = action_units(AU12=0.8)
    message.confidence[:] = 0
    face = arkit.from_action_units(message)
    assert face.confidence == 0
    assert not face.weights.any()


def test_tables_name_only_what_there_is_and_are_symmetric():
    assert set(LIVE_LINK_61[:52]) == set(ARKIT_52)
    assert set(UNITY_BONES.values()) == set(SMPLX.joints)
    for shapes in (*ACTION_UNITS.values(), *VRM_EXPRESSIONS.values()):
        assert set(shapes) <= set(ARKIT_52)
    for number, shapes in ACTION_UNITS.items():
        if number not in (61, 62):  # looking aside
            mirror = {
                n.replace('Left', '?').replace('Right', 'Left').replace('?', 'Right')
                for n in shapes
            }
            assert mirror == set(shapes), number
