# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Launch files of camera drivers and of bags. What needs `launch` is skipped without it."""

import importlib.util
import re

import pytest
from helpers import REPOSITORY

from avatar_ros.nodes.camera_drivers import DRIVERS, driver_launch_file

LAUNCH = REPOSITORY / 'launch'


def nothing_installed(package):
    raise LookupError(package)


@pytest.mark.parametrize('name', DRIVERS)
def test_a_driver_that_is_absent_is_named_with_the_way_to_get_it(name):
    driver = DRIVERS[name]
    with pytest.raises(RuntimeError, match=driver.package) as caught:
        driver_launch_file(driver, nothing_installed)
    assert driver.install in str(caught.value)


def test_a_driver_without_its_launch_file_says_how_to_go_on(tmp_path):
    with pytest.raises(RuntimeError, match='image_topic:=/camera/camera/color/image_raw'):
        driver_launch_file(DRIVERS['realsense'], lambda package: str(tmp_path))


@pytest.mark.parametrize('name', DRIVERS)
def test_each_driver_has_a_launch_file_and_only_arguments_that_telepresence_knows(name):
    known = re.findall(r"^    \('(\w+)'", (LAUNCH / 'telepresence.launch.py').read_text(), re.M)
    assert set(DRIVERS[name].telepresence) <= set(known)
    assert f"driver_description('{name}'" in (LAUNCH / f'{name}.launch.py').read_text()


# -- with launch and launch_ros --------------------------------------------------------------


def loaded(name):
    reason = '`launch` of ROS 2 is not installed (it is not on PyPI)'
    pytest.importorskip('launch.actions', reason=reason)
    pytest.importorskip('launch_ros.actions', reason=reason)
    spec = importlib.util.spec_from_file_location(f'{name}_launch', LAUNCH / f'{name}.launch.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def processes(description, **given):
    """(package, executable) of what would start, and ('player', its words); starts nothing."""
    from launch.actions import DeclareLaunchArgument, ExecuteProcess
    from launch.utilities import perform_substitutions
    from launch_ros.actions import Node

    from launch import LaunchContext

    context, found = LaunchContext(), []
    context.launch_configurations.update(given)

    def visit(entity):
        if isinstance(entity, Node):
            found.append((entity.node_package, entity.node_executable))
        elif isinstance(entity, ExecuteProcess):
            words = [perform_substitutions(context, word) for word in entity.cmd[1:]]
            found.append(('player', ' '.join(words)))
        elif isinstance(entity, DeclareLaunchArgument) or type(entity).__name__ in (
            'OpaqueFunction', 'IncludeLaunchDescription', 'GroupAction', 'LaunchDescription',
            'PushLaunchConfigurations', 'PopLaunchConfigurations', 'SetLaunchConfiguration',
            'ResetLaunchConfigurations', 'PushEnvironment', 'PopEnvironment', 'ResetEnvironment',
        ):  # fmt: skip
            for inner in entity.visit(context) or ():
                visit(inner)
        elif type(entity).__name__ == 'TimerAction':
            for inner in entity.actions:
                visit(inner)

    visit(description)
    return found, context.launch_configurations


@pytest.mark.parametrize('name', DRIVERS)
def test_the_driver_starts_with_our_arguments_and_the_avatar_on_its_topics(
    name, tmp_path, monkeypatch
):
    module = loaded(name)
    from avatar_ros.nodes import driver_launch

    driver = DRIVERS[name]
    (tmp_path / 'launch').mkdir()
    (tmp_path / 'launch' / driver.launch_file).write_text(
        'from launch import LaunchDescription\n'
        'from launch.actions import OpaqueFunction\n'
        'from launch_ros.actions import Node\n'
        'def check(context):\n'
        f'    for name, value in {driver.arguments!r}.items():\n'
        '        assert context.launch_configurations[name] == value, name\n'
        f'    return [Node(package={driver.package!r}, executable="driver")]\n'
        'def generate_launch_description():\n'
        '    return LaunchDescription([OpaqueFunction(function=check)])\n'
    )
    monkeypatch.setattr(driver_launch, 'get_package_share_directory', lambda _: str(tmp_path))
    found, values = processes(module.generate_launch_description(), viewer='false')
    tracker = 'pose_adapter' if 'tracker' in driver.telepresence else 'body_tracker'
    assert found == [
        (driver.package, 'driver'),
        ('avatar_ros', tracker),
        ('avatar_ros', 'avatar_renderer'),
    ]
    for argument, value in driver.telepresence.items():
        assert values[argument] == value


def test_a_bag_of_poses_needs_no_tracker_and_one_of_images_does(tmp_path):
    module = loaded('replay')
    rest = [('avatar_ros', 'avatar_renderer')]
    bag = {'bag': str(tmp_path), 'viewer': 'false'}
    found, values = processes(module.generate_launch_description(), **bag)
    play = f'replay {tmp_path} --clock'
    assert found == [('player', f'{play} --topics /body_pose /face_expression'), *rest]
    found, _ = processes(module.generate_launch_description(), loop='true', **bag)
    assert found[0] == ('player', f'{play} --loop 0 --topics /body_pose /face_expression')
    assert values['use_sim_time'] == 'true'
    found, _ = processes(module.generate_launch_description(), what='images', **bag)
    images = '--topics /camera/image /camera/image/compressed /camera/camera_info'
    assert found == [('player', f'{play} {images}'), ('avatar_ros', 'body_tracker'), *rest]
    with pytest.raises(ValueError, match='does not exist'):
        processes(module.generate_launch_description(), bag='/no/bag')
