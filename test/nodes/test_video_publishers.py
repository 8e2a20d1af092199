# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Video of a view, in stand-ins of the messages of packages that are not installed here."""

import sys
from types import ModuleType, SimpleNamespace

import av
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from avatar_ros.nodes import messages
from avatar_ros.nodes.video_publishers import KINDS, VideoPublishers

#: fields of the message definitions
FIELDS = {
    'FFMPEGPacket': {
        *('header', 'width', 'height', 'encoding', 'pts', 'flags', 'is_bigendian', 'data')
    },
    'CompressedVideo': {'timestamp', 'frame_id', 'data', 'format'},
}


class Topic:
    """A publisher whose number of listeners a test sets."""

    def __init__(self):
        self.listeners, self.sent = 0, []
        self.publish = self.sent.append

    def get_subscription_count(self):
        return self.listeners


class Node:
    """What VideoPublishers needs of a node."""

    def __init__(self):
        self.topics = {}

    def create_lifecycle_publisher(self, kind, topic, **options):
        return self.topics.setdefault(topic, Topic())

    def destroy_lifecycle_publisher(self, publisher):
        self.topics = {name: t for name, t in self.topics.items() if t is not publisher}


@pytest.fixture
def packages(monkeypatch):
    for package, message, _ in KINDS.values():
        module = ModuleType(f'{package}.msg')

        def make(message=message, **fields):
            assert fields.keys() == FIELDS[message]
            return SimpleNamespace(**fields)

        setattr(module, message, make)
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
        monkeypatch.setitem(sys.modules, f'{package}.msg', module)


def pictures(count, width=160, height=120):
    """A ramp of colour with a square that moves: smooth, as half as many colours suit it."""
    y, x = np.mgrid[:height, :width]
    ramp = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], -1)
    for k in range(count):
        rgb = ramp.astype(np.uint8)
        rgb[40:80, 10 + 4 * k : 50 + 4 * k] = 220
        yield rgb


def decoded(packets):
    decoder = av.CodecContext.create('h264', 'r')
    frames = [f for p in packets for f in decoder.decode(av.Packet(bytes(p.data)))]
    frames += decoder.decode(None)
    return [f.to_ndarray(format='rgb24', src_colorspace='ITU709') for f in frames]


def psnr_db(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def test_without_the_packages_there_are_no_topics():
    node = Node()
    video = VideoPublishers(node, '~/image')
    assert not node.topics
    assert not video.listened()
    video.publish(next(pictures(1)), messages.header(1, 'camera'))


@pytest.mark.parametrize('transport', KINDS)
def test_what_is_sent_decodes_to_the_pictures_also_for_who_comes_late(packages, transport):
    node = Node()
    video = VideoPublishers(node, '~/image')
    assert node.topics.keys() == {'~/image/ffmpeg', '~/image/foxglove'}
    topic = node.topics[f'~/image/{transport}']
    shown = list(pictures(12))
    for k, rgb in enumerate(shown):
        topic.listeners = 1 if k < 5 else 2
        assert video.listened()
        video.publish(rgb, messages.header(k, 'camera'))
    assert len(topic.sent) == len(shown)
    assert not any(t.sent for t in node.topics.values() if t is not topic)
    for first in (0, 5):  # where each of the two begins
        seen = decoded(topic.sent[first:])
        assert len(seen) == len(shown) - first
        for a, b in zip(seen, shown[first:], strict=True):
            assert psnr_db(a, b) > 30
    video.destroy(node)
    assert not node.topics


def test_messages_say_what_the_stream_is(packages):
    node = Node()
    video = VideoPublishers(node, '~/image')
    for topic in node.topics.values():
        topic.listeners = 1
    for k, rgb in enumerate(pictures(3, 161, 121)):  # an odd size loses a row and a column
        video.publish(rgb, messages.header(k, 'camera'))
    packets, videos = node.topics['~/image/ffmpeg'].sent, node.topics['~/image/foxglove'].sent
    assert [p.flags for p in packets] == [1, 0, 0]
    assert [p.pts for p in packets] == [0, 1, 2]
    assert {(p.width, p.height) for p in packets} == {(160, 120)}
    assert packets[0].encoding.split(';')[0] == videos[0].format == 'h264'
    for packet, one in zip(packets, videos, strict=True):
        assert packet.data == one.data  # encoded once
        assert bytes(one.data).startswith(b'\0\0\0\1')  # Annex B
        assert (one.timestamp, one.frame_id) == (packet.header.stamp, 'camera')


def test_nobody_listens_and_nothing_is_encoded(packages):
    node = Node()
    video = VideoPublishers(node, '~/image')
    video.publish(next(pictures(1)), messages.header(0, 'camera'))
    assert video._encoder is None
