# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The launch file. What needs `launch` is skipped where it is not installed (it is not on PyPI)."""

import ast
import importlib.util
from types import ModuleType
from typing import Any

import pytest
from helpers import REPOSITORY

LAUNCH_FILE = REPOSITORY / 'launch/telepresence.launch.py'
#: arguments of the launch file -> options of the executable, where they do not read the same
OTHER_NAMES = {'view_size': '--size', 'viewer': '--no-viewer'}
#: only one of the two has these
ONLY_LAUNCH = {'composed', 'tracker', 'source', 'source_topic'}
ONLY_EXECUTABLE = {'--port', '--help'}


def table(name: str) -> Any:
    """A constant of the launch file, read without importing it."""
    for statement in ast.parse(LAUNCH_FILE.read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return ast.literal_eval(statement.value)
    raise KeyError(name)


def option(argument: str) -> str:
    return OTHER_NAMES.get(argument, f'--{argument.replace("_", "-")}')


def executable_options() -> dict[str, Any]:
    """Option -> default of `telepresence`, from its source."""
    source = (REPOSITORY / 'avatar_ros/nodes/telepresence.py').read_text()
    options = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == 'add' and node.args:
            keywords = {k.arg: k.value for k in node.keywords}
            default = keywords.get('default')
            options[ast.literal_eval(node.args[0])] = default and ast.literal_eval(default)
    return options


def test_arguments_are_those_of_the_executable():
    arguments = {option(name) for name, _, _ in table('ARGUMENTS') if name not in ONLY_LAUNCH}
    assert arguments == set(executable_options()) - ONLY_EXECUTABLE


def test_defaults_are_those_of_the_executable():
    options = executable_options()
    for name, default, _ in table('ARGUMENTS'):
        other = options.get(option(name))
        if name not in ONLY_LAUNCH and other is not None:
            same = float(default) == other if isinstance(other, float) else default == other
            assert same, f'{name}: {default!r} in the launch file, {other!r} in the executable'


def test_help_of_the_executable_names_every_argument(capsys):
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    from avatar_ros.nodes import telepresence

    with pytest.raises(SystemExit):
        telepresence.arguments(['--help'])
    text = capsys.readouterr().out
    for name, _, _ in table('ARGUMENTS'):
        assert name in ONLY_LAUNCH or option(name) in text, name


# -- with launch and launch_ros --------------------------------------------------------------


@pytest.fixture
def launch_file() -> ModuleType:
    # A folder named `launch` in the repository is no package: ask for what we use.
    reason = '`launch` of ROS 2 is not installed (it is not on PyPI)'
    pytest.importorskip('launch.actions', reason=reason)
    pytest.importorskip('launch_ros.actions', reason=reason)
    spec = importlib.util.spec_from_file_location('telepresence_launch', LAUNCH_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def started(launch_file: ModuleType, **given: str) -> list[Any]:
    """The actions that `ros2 launch ... name:=value` comes to."""
    from launch import LaunchContext

    context = LaunchContext()
    values = {name: default for name, default, _ in launch_file.ARGUMENTS}
    context.launch_configurations.update({**values, **given})
    return launch_file.start(context)


def executables(actions: list[Any]) -> list[str]:
    from launch_ros.actions import Node

    return [a.node_executable for a in actions if isinstance(a, Node)]


def test_declares_the_arguments_of_its_table(launch_file):
    declared = launch_file.generate_launch_description().get_launch_arguments()
    assert [a.name for a in declared] == [name for name, _, _ in launch_file.ARGUMENTS]
    assert all(a.description for a in declared)
    assert {a.name for a in declared if a.choices} == set(launch_file.CHOICES)


def test_apart_starts_a_process_for_each_node(launch_file):
    names = ['camera', 'body_tracker', 'avatar_renderer', 'xr_server']
    assert executables(started(launch_file)) == names
    assert executables(started(launch_file, input='topic')) == names[1:]
    assert executables(started(launch_file, viewer='False')) == names[:3]
    assert executables(started(launch_file, report='r.json')) == [*names, 'reporter']


def test_another_tracker_takes_the_place_of_camera_and_body_tracker(launch_file):
    actions = started(launch_file, tracker='adapter', source='vmc', viewer='false')
    assert executables(actions) == ['pose_adapter', 'avatar_renderer']
    with pytest.raises(ValueError, match='tracker'):
        started(launch_file, tracker='adapter', composed='true')


def test_composed_starts_one_process(launch_file):
    for composed in ('true', 'True'):
        assert executables(started(launch_file, composed=composed)) == ['telepresence']


def test_composed_passes_what_the_executable_understands(launch_file, tmp_path):
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    from avatar_ros.nodes import telepresence

    parameters = tmp_path / 'p.yaml'
    parameters.write_text('{}')
    given = {
        'input': 'face',
        'namespace': 'robot1',
        'view_size': '320x240',
        'use_sim_time': 'true',
        'viewer': 'false',
        'image_transport': 'compressed',
        'duration': '2.5',
        'max_people': '3',
        'report': 'r.json',
        'params_file': str(parameters),
    }
    (node,) = started(launch_file, composed='true', **given)
    words = [str(word) for word in node._Node__arguments]
    options = telepresence.arguments(words)
    assert (options.width, options.height) == (320, 240)
    assert options.use_sim_time
    assert options.no_viewer
    for name in ('input', 'namespace', 'image_transport', 'report', 'params_file'):
        assert getattr(options, name) == given[name]
    assert options.duration == 2.5
    assert options.max_people == 3


@pytest.mark.parametrize(
    'given',
    [
        {'view_size': 'large'},
        {'view_size': '-5x5'},
        {'view_size': '640x480x3'},
        {'duration': 'long'},
        {'duration': '-1'},
        {'max_people': 'crowd'},
        {'max_people': '0'},
        {'params_file': '/does/not/exist.yaml'},
    ],
)
@pytest.mark.parametrize('composed', ['false', 'true'])
def test_wrong_value_is_refused_by_name(launch_file, given, composed):
    (name,) = given
    with pytest.raises(ValueError, match=name):
        started(launch_file, composed=composed, **given)


@pytest.mark.parametrize('own', [None, '/mine.xml'])
def test_sets_our_transport_profile_unless_the_user_has_one(launch_file, monkeypatch, own):
    from launch.actions import SetEnvironmentVariable

    from launch import LaunchContext

    variable = launch_file.profile_variable()
    monkeypatch.delenv(variable, raising=False)
    if own is not None:
        monkeypatch.setenv(variable, own)
    monkeypatch.setattr(launch_file, 'CONFIG', 'config')
    context = LaunchContext()
    for action in launch_file.generate_launch_description().entities:
        if isinstance(action, SetEnvironmentVariable):
            action.execute(context)
    assert context.environment[variable] == (own or 'config/fastdds_shm.xml')


def test_nodes_with_an_avatar_are_activated_by_themselves_only_the_first_time(launch_file):
    from launch.actions import RegisterEventHandler
    from launch_ros.event_handlers import OnStateTransition

    handlers = [
        action.event_handler
        for action in started(launch_file)
        if isinstance(action, RegisterEventHandler)
    ]
    transitions = [h for h in handlers if isinstance(h, OnStateTransition)]
    assert len(transitions) == 2
    assert all(transition.handle_once for transition in transitions)
