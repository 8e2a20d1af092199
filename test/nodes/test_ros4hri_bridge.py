# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The bridge to REP-155: topics, frames, ids, and the way back through the adapter."""

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from body.test_rep155 import REST, SAME, pose_of, smpl_positions
from helpers import wait_for
from nodes.test_graph import standing
from sensor_msgs.msg import JointState
from std_msgs.msg import Header, String

from avatar_ros.body import SMPLX, neutral_face
from avatar_ros.body.foreign import REP155_JOINTS
from avatar_ros.body.pose import TrackingState
from avatar_ros.geometry import matrix_from_quat, quat_from_rotvec, quat_from_xyzw, rigid
from avatar_ros.msg import BodyPose as BodyPoseMsg
from avatar_ros.nodes import messages, qos, ros4hri_bridge
from avatar_ros.nodes.ros4hri_bridge import Ros4HriBridgeNode, body_name
from avatar_ros.tracking.adapters import rep155


def bridge(ros, *parameters, subscribe=True):
    args = ['--ros-args', *(a for p in parameters for a in ('-p', p))]
    return ros.add(Ros4HriBridgeNode(cli_args=args, subscribe=subscribe))


def person(person_id='person_1', seed=None, stamp_ns=5_000_000_000):
    pose = standing(stamp_ns)
    quats = pose.rotations if seed is None else pose_of(seed).rotations
    return replace(pose, rotations=quats, person_id=person_id)


def test_a_pose_becomes_joint_states_and_a_latched_urdf_and_comes_back_by_the_adapter(ros):
    bridge(ros)
    probe = ros.node()
    poses = probe.create_publisher(BodyPoseMsg, 'body_pose', qos.POSE)
    topic = '/humans/bodies/person1'
    states = ros.collect(probe, JointState, f'{topic}/joint_states', qos=qos.VIEW)
    truth = person(seed=4)

    def sent():
        poses.publish(messages.body_pose_message(truth))
        time.sleep(0.05)
        return states

    assert wait_for(sent)
    assert messages.ns_from_stamp(states[0].header.stamp) == truth.stamp_ns
    assert list(states[0].name) == [f'{joint}_person1' for joint in REP155_JOINTS]
    back = rep155.body_pose(states[0], REST)
    assert back.person_id == 'person1'
    head = matrix_from_quat(back.rotation('head'))
    assert np.isfinite(head).all()
    late = ros.collect(ros.node('late'), String, f'{topic}/urdf', qos=qos.LATCHED)
    assert wait_for(lambda: late)
    assert '<robot name="human_person1">' in late[0].data


def frames_of(node, pose):
    """Child frame -> (parent, T_parent_child)."""
    body = node.bodies[pose.person_id]
    frames = {}
    for t in node.transforms(body, pose):
        assert t.child_frame_id not in frames, 'a frame has one parent'
        q, at = t.transform.rotation, t.transform.translation
        R = matrix_from_quat(quat_from_xyzw([q.x, q.y, q.z, q.w]))
        frames[t.child_frame_id] = (t.header.frame_id, rigid(R, [at.x, at.y, at.z]))
        assert messages.ns_from_stamp(t.header.stamp) == pose.stamp_ns
    return frames


def placed(frames, name):
    T, steps = np.eye(4), 0
    while name in frames:
        name, T_parent = frames[name][0], frames[name][1]
        T, steps = T_parent @ T, steps + 1
        assert steps < 20
    return T, name


@pytest.mark.parametrize('links', ['true', 'false'])
def test_tf_is_one_tree_below_the_frame_of_the_sensor(ros, links):
    node = bridge(ros, f'publish_links:={links}', subscribe=False)
    everybody = {}
    for k, name in enumerate(('person_1', 'person_2')):
        pose = person(name, seed=k)
        node.accept_pose(pose)
        frames = frames_of(node, pose)
        assert not frames.keys() & everybody.keys()
        everybody |= frames
    roots = {placed(everybody, name)[1] for name in everybody}
    if links == 'true':
        assert roots == {'camera_optical_frame'}
        names = {name.rpartition('_')[0] for name in everybody}
        assert {'body', 'head', 'face', 'gaze', 'torso', 'l_wrist'} <= names
    else:  # the rest hangs on the head, which a robot_state_publisher knows
        assert roots == {'camera_optical_frame', 'head_person1', 'head_person2'}


def test_frames_lie_in_the_person_and_face_and_gaze_look_where_the_head_does(ros):
    node = bridge(ros, subscribe=False)
    pose = person()
    node.accept_pose(pose)
    frames = frames_of(node, pose)
    truth = smpl_positions(pose)
    T_frame_body, _ = placed(frames, 'body_person1')
    for link, joint in SAME.items():
        T, _ = placed(frames, f'{link}_person1')
        expected = T_frame_body @ [*truth[joint], 1.0]
        np.testing.assert_allclose(T[:3, 3], expected[:3], atol=2e-3, err_msg=link)
    # Who faces the camera looks against its optical axis; the picture's y points down.
    face, _ = placed(frames, 'face_person1')
    np.testing.assert_allclose(face[:3, :3] @ [1, 0, 0], [0, 0, -1], atol=1e-6)
    gaze, _ = placed(frames, 'gaze_person1')
    np.testing.assert_allclose(gaze[:3, :3] @ [0, 0, 1], [0, 0, -1], atol=1e-6)
    np.testing.assert_allclose(gaze[:3, :3] @ [0, 1, 0], [0, 1, 0], atol=1e-6)
    eyes = T_frame_body @ [*(truth['left_eye_smplhf'] + truth['right_eye_smplhf']) / 2, 1.0]
    assert np.linalg.norm(face[:3, 3] - eyes[:3]) < 0.03


def test_eyes_to_the_persons_left_turn_the_gaze_to_their_left(ros):
    node = bridge(ros, subscribe=False)
    pose = person()
    node.accept_pose(pose)
    left = quat_from_rotvec([0, 0.5, 0])
    face = replace(neutral_face(), left_eye=left, right_eye=left, confidence=1.0)
    node.accept_face(replace(face, person_id='person_1'))
    gaze, _ = placed(frames_of(node, pose), 'gaze_person1')
    assert (gaze[:3, :3] @ [0, 0, 1])[0] == pytest.approx(np.sin(0.5))  # image right


def test_without_hri_msgs_it_says_so_and_goes_on(ros):
    if ros4hri_bridge._ids_list() is not None:
        pytest.skip('hri_msgs is installed')
    node = bridge(ros, subscribe=False)
    assert node.statistics.info['hri_msgs'] == 'not installed'
    node.accept_pose(person())
    assert node.statistics.counts['poses'] == 1


def test_ids_are_told_when_somebody_comes_and_goes(ros):
    node = bridge(ros, subscribe=False)
    told = {'bodies': [], 'faces': []}
    node._ids_type = lambda: SimpleNamespace(header=Header(), ids=[])
    node._tracked = {
        kind: SimpleNamespace(publish=lambda m, kind=kind: told[kind].append(list(m.ids)))
        for kind in told
    }
    node.accept_pose(person('a'))
    node.accept_pose(person('b'))
    node.accept_face(replace(neutral_face(), person_id='b', confidence=1.0))
    node._tell_ids()
    node.accept_pose(replace(person('a'), state=TrackingState.LOST))
    assert told['bodies'] == [['a'], ['a', 'b'], ['b']]
    assert told['faces'][-1] == ['b']


def test_who_is_gone_takes_the_topics_along(ros):
    node = bridge(ros, 'leave_s:=0.3', subscribe=False)
    probe = ros.node()
    node.accept_pose(person())
    topic = '/humans/bodies/person1/joint_states'
    assert wait_for(lambda: probe.count_publishers(topic))
    assert wait_for(lambda: not probe.count_publishers(topic))
    assert not node.bodies


def test_a_pose_in_the_frame_of_a_body_is_refused_for_tf_would_be_no_tree(ros):
    node = bridge(ros, subscribe=False)
    node.accept_pose(person())
    for frame in ('body_other', 'head_person1', 'l_wrist_person1', 'gaze_person1'):
        with pytest.raises(ValueError, match='frame of a body'):
            node.accept_pose(replace(person(), frame_id=frame))
    node.accept_pose(replace(person('x'), frame_id=''))
    assert frames_of(node, replace(person('x'), frame_id='world'))['body_x'][0] == 'world'


@pytest.mark.parametrize(
    ('person_id', 'name'), [('person_1', 'person1'), ('7', 'b7'), ('', 'b'), ('é/…x', 'x')]
)
def test_names_are_letters_and_digits_and_begin_with_a_letter(person_id, name):
    assert body_name(person_id, set()) == name
    assert body_name(person_id, {name}) not in (name, '')


def test_the_rate_is_bounded(ros):
    node = bridge(ros, 'max_rate_hz:=1.0', subscribe=False)
    for _ in range(20):
        node.accept_pose(person())
    assert node.statistics.counts['poses'] == 1
    assert node.statistics.counts['poses_skipped'] == 19


def test_a_bad_prefix_is_told(ros):
    with pytest.raises(ValueError, match='prefix'):
        bridge(ros, "prefix:='not a name'")
    assert SMPLX.name == 'smplx'
