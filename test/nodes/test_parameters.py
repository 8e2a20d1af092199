# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

from dataclasses import dataclass, fields

import pytest
import yaml

pytest.importorskip('rclpy', reason='rclpy is not installed')
from helpers import REPOSITORY
from rclpy.node import Node
from rclpy.parameter import Parameter

from avatar_ros.nodes.avatar_renderer import RendererParameters
from avatar_ros.nodes.body_tracker import TrackerParameters
from avatar_ros.nodes.camera import CameraParameters
from avatar_ros.nodes.parameters import declare, describe, parameter, ros_name
from avatar_ros.nodes.pose_adapter import AdapterParameters
from avatar_ros.nodes.reporter import ReporterParameters
from avatar_ros.nodes.xr_server import XrServerParameters

ALL = {
    'camera': CameraParameters,
    'body_tracker': TrackerParameters,
    'pose_adapter': AdapterParameters,
    'avatar_renderer': RendererParameters,
    'xr_server': XrServerParameters,
    'reporter': ReporterParameters,
}


@dataclass(frozen=True)
class Example:
    speed: float = parameter(1.0, 'how fast', low=0.0, high=10.0, dynamic=True)
    kind: str = parameter('a', 'which', choices=('a', 'b'), dynamic=True)
    group__size: int = parameter(3, 'how many', low=1, high=5)


def node(*args: str) -> Node:
    return Node('probe', cli_args=['--ros-args', *args])


def test_values_come_from_the_command_line_and_defaults(ros):
    probe = ros.add(node('-p', 'speed:=2.5', '-p', 'group.size:=4'))
    assert declare(probe, Example) == Example(speed=2.5, kind='a', group__size=4)


@pytest.mark.parametrize(
    ('argument', 'name'), [('speed:=99.0', 'speed'), ('kind:=z', 'kind'), ('group.size:=9', 'size')]
)
def test_value_out_of_bounds_is_refused_by_name(ros, argument, name):
    probe = ros.add(node('-p', argument))
    with pytest.raises(ValueError, match=name):
        declare(probe, Example)


def test_dynamic_parameter_changes_and_read_only_does_not(ros):
    probe = ros.add(node())
    changed = []
    declare(probe, Example, changed.append)
    assert probe.set_parameters([Parameter('speed', value=3.0)])[0].successful
    assert changed[-1].speed == 3.0
    assert not probe.set_parameters([Parameter('speed', value=11.0)])[0].successful
    refused = probe.set_parameters([Parameter('kind', value='z')])[0]
    assert not refused.successful
    assert 'one of a, b' in refused.reason
    assert not probe.set_parameters([Parameter('group.size', value=2)])[0].successful
    assert changed[-1] == Example(speed=3.0)


@pytest.mark.parametrize('name', ALL)
def test_every_parameter_is_described(name):
    for field in fields(ALL[name]):
        assert len(describe(field).description) > 5, field.name


def test_shipped_parameter_file_names_real_parameters_with_values_of_their_type():
    content = yaml.safe_load((REPOSITORY / 'config/telepresence.yaml').read_text())
    for key, section in content.items():
        declared = {ros_name(f): f for f in fields(ALL[key.rsplit('/', 1)[-1]])}
        for name, value in section['ros__parameters'].items():
            assert name in declared, f'{key} {name}'
            assert type(value).__name__ in str(declared[name].type), f'{key} {name}'


@pytest.mark.parametrize('name', ALL)
def test_every_parameter_is_in_the_documentation(name):
    page = (REPOSITORY / 'docs/nodes.md').read_text()
    section = page.split(f'## {name}\n')[1].split('\n## ')[0]
    for field in fields(ALL[name]):
        assert f'| `{ros_name(field)}` |' in section, f'{field.name}: run `make docs`'


def test_the_documentation_of_the_nodes_is_what_they_say_of_themselves(ros, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / 'tools')
    import document_nodes

    assert (REPOSITORY / 'docs/nodes.md').read_text() == document_nodes.text(), 'run `make docs`'
