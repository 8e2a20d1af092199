# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A bag drives the avatar: `avatar_ros replay` with a clock, and what follows it.

ros2 launch avatar_ros replay.launch.py bag:=session                    # poses in the bag
ros2 launch avatar_ros replay.launch.py bag:=session loop:=true view_size:=768x768
ros2 launch avatar_ros replay.launch.py bag:=session what:=images image_topic:=/camera/image
"""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    TimerAction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.substitutions import ExecutableInPackage

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

POSES = ('/body_pose', '/face_expression')
#: The bag begins once the avatar is loaded.
START_S = 6.0


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    telepresence = str(Path(__file__).parent / 'telepresence.launch.py')
    return LaunchDescription(
        [
            DeclareLaunchArgument('bag', description='folder or file that ros2 bag wrote'),
            DeclareLaunchArgument(
                'what',
                default_value='poses',
                choices=('poses', 'images'),
                description='play the poses of the bag, or its images through the tracker',
            ),
            DeclareLaunchArgument('loop', default_value='false', choices=('true', 'false')),
            DeclareLaunchArgument('start_s', default_value=str(START_S), description='wait first'),
            DeclareLaunchArgument('use_sim_time', default_value='true'),
            DeclareLaunchArgument('input', default_value='topic'),
            DeclareLaunchArgument('image_topic', default_value='/camera/image'),
            DeclareLaunchArgument('camera_info_topic', default_value='/camera/camera_info'),
            DeclareLaunchArgument('image_transport', default_value='compressed'),
            OpaqueFunction(function=start),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(telepresence),
                launch_arguments=[('tracker', LaunchConfiguration('replay_tracker'))],
            ),
        ]
    )


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The player, once the arguments are known."""
    value = {
        name: LaunchConfiguration(name).perform(context)
        for name in ('bag', 'what', 'loop', 'start_s', 'image_topic', 'camera_info_topic')
    }
    if not Path(value['bag']).exists():
        raise ValueError(
            f'bag {value["bag"]} does not exist; expected a folder or file of ros2 bag'
        )
    images = value['what'] == 'images'
    context.launch_configurations['replay_tracker'] = 'camera' if images else 'none'
    image = value['image_topic']
    topics = (image, f'{image}/compressed', value['camera_info_topic']) if images else POSES
    # The executable itself: `ros2 run` would not pass a SIGTERM on.
    executable = ExecutableInPackage(package='avatar_ros', executable='avatar_ros')
    command = [executable, 'replay', value['bag'], '--clock']
    if value['loop'] == 'true':
        command += ['--loop', '0']
    player = ExecuteProcess(cmd=[*command, '--topics', *topics], output='screen')
    return [TimerAction(period=float(value['start_s']), actions=[player])]
