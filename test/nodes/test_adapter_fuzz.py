# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Ten thousand spoiled messages for every source: all are counted, none kills the node."""

import itertools
import random
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from helpers import wait_for
from nodes.stand_ins import spoil
from nodes.test_pose_adapter import (
    JOINT_NAMES,
    MARKER_NAMES,
    Truth,
    adapter,
    camera_info,
    enc,
    pose_array,
    written_maps,
)

from avatar_ros.body import BodyPose
from avatar_ros.nodes.pose_sources import SOURCES, UdpSource

FUZZED = 10_000


def spoiled_bytes(good, rng):
    """Cut, flipped, lengthened or invented bytes."""
    kind = rng.randrange(4)
    if kind == 0:
        return good[: rng.randrange(len(good))]
    if kind == 1:
        data = bytearray(good)
        for _ in range(rng.randint(1, 11)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)
    if kind == 2:
        return good + rng.randbytes(rng.randint(1, 39))
    return rng.randbytes(rng.randrange(600))


def good_messages(source):
    """One of each kind that the source may send."""
    person = Truth()
    units = SimpleNamespace(header=enc.header('face'), intensity=[0.5] * 99, confidence=[1.0] * 99)
    messages = {
        'zed': lambda: [enc.zed(person, count) for count in (18, 34, 38)],
        'azure_kinect': lambda: enc.kinect(person),
        'isaac_full_body': lambda: enc.isaac_full_body(person),
        'openxr': lambda: [
            pose_array(enc.xr_joints(person, kind)) for kind in ('BD', 'FB', 'META')
        ],
        'rep155': lambda: enc.rep155(person),
        'skeleton2d': lambda: enc.skeleton2d(person),
        'rep155_face': lambda: units,
        'arkit': lambda: enc.joint_state({'jawOpen': 0.5, 'eyeBlinkLeft': 0.2}),
        'mocap4r2_markers': lambda: enc.markers(person, MARKER_NAMES),
        'mocap4r2_rigid_bodies': lambda: enc.rigid_bodies(person, JOINT_NAMES),
        'pose_array': lambda: enc.pose_array(person, JOINT_NAMES),
        'tf': lambda: enc.transforms(
            person, {'body_pelvis': ('pelvis', None), 'body_spine1': ('spine1', 'pelvis')}
        ),
        'live_link_face': lambda: enc.live_link_face({'jawOpen': 0.5}),
        'vmc': lambda: enc.vmc(person, [('Joy', 0.5)]),
    }[source]()
    return messages if isinstance(messages, list) else [messages]


@pytest.mark.slow
@pytest.mark.parametrize('source', SOURCES)
def test_all_spoiled_messages_are_counted_and_none_kills_the_node(ros, tmp_path, source):
    maps = written_maps(tmp_path)
    name = 'markers' if source.endswith('markers') else 'bodies'
    node = adapter(ros, source, f'map:={maps / name}.yaml', subscribe=False)
    node.accept_info(camera_info())
    unexpected = []
    failed = node._failed

    def note(error, what='messages_refused'):
        if not isinstance(error, ValueError):
            unexpected.append(error)
        failed(error, what)

    node._failed = note
    complete = node._complete

    def checked(result):
        result = complete(result)
        numbers = (
            [result.T_frame_root, result.rotations, result.confidence]
            if isinstance(result, BodyPose)
            else [result.weights, result.head]
        )
        if not all(np.isfinite(n).all() for n in numbers):
            unexpected.append(result)
        return result

    node._complete = checked
    rng, kinds = random.Random(3), itertools.cycle(good_messages(source))
    for k, good in zip(range(FUZZED), kinds):  # noqa: B905 (one of them never ends)
        share = 0.002 if k % 20 == 0 else rng.uniform(0.01, 0.5)
        if isinstance(good, bytes):
            spoiled = spoiled_bytes(good, rng)
            if source == 'isaac_full_body':
                spoiled = SimpleNamespace(data=spoiled)
        else:
            spoiled = spoil(good, rng, share)
        if isinstance(SOURCES[source], UdpSource):
            node.accept_packet(spoiled)
            continue
        # Past the mailbox, which would keep the newest only.
        node._count()
        try:
            node._process(spoiled)
        except Exception as error:
            node._failed(error)
    counts = node.statistics.counts
    assert counts['messages'] == FUZZED
    assert not unexpected, unexpected[:3]
    assert counts['messages_refused'] + counts['people_refused'] > FUZZED / 10
    for whole in good_messages(source):  # and it still works
        before = counts['poses'] + counts['faces']
        if isinstance(SOURCES[source], UdpSource):
            node.accept_packet(whole)
        else:
            node.accept(SimpleNamespace(data=whole) if isinstance(whole, bytes) else whole)
        assert wait_for(lambda n=before: counts['poses'] + counts['faces'] > n)
