# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Several people on the topics of the renderer and the page."""

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from helpers import wait_for
from nodes.test_graph import VIEW, Probe, standing

from avatar_ros.geometry import rigid
from avatar_ros.nodes import images, messages
from avatar_ros.nodes.avatar_renderer import AvatarRendererNode


def renderer(ros, *parameters):
    args = ['--ros-args', *(a for p in ('width:=96', 'height:=64', *parameters) for a in ('-p', p))]
    node = AvatarRendererNode(cli_args=args)
    if node.trigger_configure().name == 'SUCCESS':
        node.trigger_activate()
    return ros.add(node)


def person(person_id, x, stamp_ns):
    pose = standing(stamp_ns)
    T = rigid(pose.T_frame_root[:3, :3], [x, 0, 3.0])
    return replace(pose, person_id=person_id, T_frame_root=T)


def send(probe, *people):
    for one in people:
        probe.poses.publish(messages.body_pose_message(one))


def test_two_people_are_in_one_picture_with_one_stamp_and_are_counted(ros):
    renderer(ros, 'distance_m:=5.0')
    probe = Probe(ros, **VIEW)
    stamps = itertools.count(33_000_000, 33_000_000)
    statuses = probe.received['status']

    def shown_for_a_while():
        stamp_ns = next(stamps)
        send(probe, *(person(name, x, stamp_ns) for name, x in (('a', -1.0), ('b', 1.0))))
        time.sleep(0.05)
        return len(statuses) > 15 and statuses[-1].people == 2

    assert wait_for(shown_for_a_while, 30)
    rgb = images.parse_image(probe.received['image'][-1]).astype(int)
    trunks = (np.abs(rgb - rgb[0, 0]).sum(2) > 40)[34:40].any(0)  # below stretched arms
    assert np.count_nonzero(np.diff(trunks.astype(int)) == 1) == 2, 'two bodies apart'
    status = statuses[-1]
    alone = [s.gaussians for s in statuses if s.people == 1]
    assert not alone or status.gaussians == 2 * alone[0]
    assert messages.ns_from_stamp(status.header.stamp) < next(stamps)


def test_a_thousand_ids_are_bounded_and_counted_and_the_first_stays(ros):
    node = renderer(ros, 'max_people:=2', 'render_unwatched:=true')
    for k in range(1000):
        node.accept_pose(person(f'p{k}', 0.0, k + 1))
    assert node.statistics.counts['people_refused'] == 998
    assert 'max_people' in node.statistics.error
    assert wait_for(lambda: node.statistics.info.get('people') == '2')


@pytest.mark.parametrize('entry', ['nonsense', '=demo', 'a=', 'a=/nowhere.zip'])
def test_a_bad_mapping_of_avatars_is_told(ros, entry):
    node = renderer(ros, f"avatars:=['{entry}']")
    assert node.trigger_configure().name == 'FAILURE'
    assert 'avatar' in node.statistics.error


def test_a_known_person_gets_the_avatar_that_is_theirs(ros):
    node = renderer(ros, "avatars:=['b=dressed', 'c=dressed']", 'avatar:=demo')
    for name in ('a', 'b', 'c'):
        node.accept_pose(person(name, 0.0, 1))
    shown = {s.pose.person_id: s.avatar for s in node.cast.frame(0.0)}
    assert shown['b'].name == shown['c'].name != ''
    assert shown['b'] is not shown['c']
    assert len({id(a) for a in shown.values()}) == 3
