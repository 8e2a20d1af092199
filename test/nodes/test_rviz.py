# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The RViz file shows topics that there are, with a QoS that fits, in the frame of the stage."""

from pathlib import Path

import yaml

from avatar_ros.nodes.avatar_node import AvatarParameters

ROOT = Path(__file__).resolve().parents[2]


def test_its_topics_and_frame_are_those_of_our_nodes() -> None:
    content = yaml.safe_load((ROOT / 'config' / 'telepresence.rviz').read_text())
    manager = content['Visualization Manager']
    assert manager['Global Options']['Fixed Frame'] == AvatarParameters().stage_frame
    displays = [d for d in manager['Displays'] if 'Topic' in d]
    topics = [d['Topic'] for d in displays]
    assert len(topics) == 3
    nodes = (ROOT / 'docs' / 'nodes.md').read_text()
    kinds = {'Image': 'sensor_msgs/msg/Image', 'MarkerArray': 'visualization_msgs/msg/MarkerArray'}
    for display, topic in zip(displays, topics, strict=True):
        kind = kinds[display['Class'].split('/')[1]]
        assert f'- `{topic["Value"]}` ({kind})' in nodes, topic['Value']
        # A reliable subscriber would get nothing from a sensor-data publisher.
        assert topic['Reliability Policy'] == 'Best Effort'
