# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Camera, tracker, avatar renderer and XR server: one process a node, or composed in one.

    ros2 launch avatar_ros telepresence.launch.py
    ros2 launch avatar_ros telepresence.launch.py input:=0 view_size:=768x768
    ros2 launch avatar_ros telepresence.launch.py input:=topic image_topic:=/zed/rgb/image \
        camera_info_topic:=/zed/rgb/camera_info
    ros2 launch avatar_ros telepresence.launch.py tracker:=adapter source:=zed \
        source_topic:=/zed/zed_node/body_trk/skeletons
    ros2 launch avatar_ros telepresence.launch.py composed:=true duration:=20 report:=report.json
"""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

PACKAGE = 'avatar_ros'
CONFIG = PathJoinSubstitution([FindPackageShare(PACKAGE), 'config'])
#: name, default, description
ARGUMENTS = (
    ('input', 'demo', 'webcam number, file, rtsp://..., demo, face, or topic (an image topic)'),
    ('image_topic', 'camera/image', 'image to track; with input:=topic your own'),
    ('camera_info_topic', 'camera/camera_info', 'its calibration'),
    ('image_transport', 'raw', 'how images come'),
    ('max_people', '1', 'tracked in one image'),
    ('tracker', 'camera', 'camera (and body_tracker), adapter (pose_adapter), none (a bag)'),
    ('source', 'zed', 'with tracker:=adapter whose messages or packets: docs/trackers.md'),
    ('source_topic', '', 'topic of the source; empty = the usual one'),
    ('avatar', 'demo', 'bundle (.zip or directory) or a shipped avatar'),
    ('engine', 'auto', 'gsplat (CUDA), numba (CPU), or auto'),
    ('view_size', '512x512', 'avatar view in pixels, WxH'),
    ('namespace', '', 'namespace of all nodes'),
    ('use_sim_time', 'false', 'take time from /clock'),
    ('params_file', '', 'parameters; default: config/telepresence.yaml of the package'),
    ('log_level', 'info', 'least severity to log'),
    ('viewer', 'true', 'serve the page for browsers and headsets'),
    ('host', '127.0.0.1', 'address of the page; 0.0.0.0 lets headsets in'),
    ('composed', 'false', 'all nodes in one process: less copying, one start'),
    ('duration', '0', 'seconds until everything ends; 0 = never'),
    ('report', '', 'write a JSON report to this file at the end'),
)
BOOLEAN = ('true', 'false', 'True', 'False')
CHOICES = {
    'image_transport': ('raw', 'compressed'),
    'tracker': ('camera', 'adapter', 'none'),
    'engine': ('auto', 'gsplat', 'numba'),
    'use_sim_time': BOOLEAN,
    'log_level': ('debug', 'info', 'warn', 'error'),
    'viewer': BOOLEAN,
    'composed': BOOLEAN,
}


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    profile = PathJoinSubstitution([CONFIG, 'fastdds_shm.xml'])
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    name, default_value=default, description=text, choices=CHOICES.get(name)
                )
                for name, default, text in ARGUMENTS
            ),
            # Raw images do not fit the middleware's default shared memory. A profile of the
            # user's own stays.
            SetEnvironmentVariable(
                profile_variable(), EnvironmentVariable(profile_variable(), default_value=profile)
            ),
            OpaqueFunction(function=start),
        ]
    )


def profile_variable() -> str:
    """The name under which this ROS distribution's Fast DDS looks for its profile."""
    from avatar_ros.nodes.runtime import fastdds_profile_variable

    return fastdds_profile_variable()


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The actions, once the arguments are known."""
    value = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    for name, choices in CHOICES.items():
        if choices == BOOLEAN:
            value[name] = value[name].lower()
    width, _, height = value['view_size'].partition('x')
    if not (width.isdigit() and (height or width).isdigit()):
        raise ValueError(f'view_size is {value["view_size"]!r}; expected pixels such as 512x512')
    if not value['duration'].replace('.', '', 1).isdigit():
        raise ValueError(f'duration is {value["duration"]!r}; expected seconds, 0 for no end')
    params_file = value['params_file'] or PathJoinSubstitution([CONFIG, 'telepresence.yaml'])
    if not (value['max_people'].isdigit() and 1 <= int(value['max_people']) <= 16):
        raise ValueError(f'max_people is {value["max_people"]!r}; expected 1..16')
    if value['tracker'] != 'camera' and value['composed'] == 'true':
        raise ValueError(
            f'tracker:={value["tracker"]} needs composed:=false; the one process has a camera'
        )
    if value['params_file'] and not Path(value['params_file']).is_file():
        raise ValueError(f'params_file {value["params_file"]} does not exist')
    if value['composed'] == 'true':
        return composed(value, params_file)
    return apart(value, params_file, int(width), int(height or width))


def composed(value: dict[str, str], params_file: object) -> list[LaunchDescriptionEntity]:
    """The executable that holds all nodes; the same arguments."""
    arguments: list[object] = []
    for name in ('input', 'avatar', 'engine', 'namespace', 'duration', 'report', 'host'):
        if value[name]:
            arguments += [f'--{name}', value[name]]
    arguments += ['--max-people', value['max_people']]
    arguments += ['--image-topic', value['image_topic']]
    arguments += ['--camera-info-topic', value['camera_info_topic']]
    arguments += ['--image-transport', value['image_transport']]
    arguments += ['--size', value['view_size'], '--log-level', value['log_level']]
    arguments += ['--params-file', params_file]
    if value['use_sim_time'] == 'true':
        arguments.append('--use-sim-time')
    if value['viewer'] != 'true':
        arguments.append('--no-viewer')
    return [
        Node(
            package=PACKAGE,
            executable='telepresence',
            arguments=arguments,
            output='screen',
            on_exit=Shutdown(reason='telepresence has ended'),
        )
    ]


def apart(
    value: dict[str, str], params_file: object, width: int, height: int
) -> list[LaunchDescriptionEntity]:
    """One process a node."""
    from avatar_ros.assets import DEMOS

    sim_time = {'use_sim_time': value['use_sim_time'] == 'true'}

    def options(executable: str, remappings: dict[str, str], **parameters: object) -> dict:
        return {
            'package': PACKAGE,
            'executable': executable,
            'name': executable,
            'namespace': value['namespace'],
            'parameters': [params_file, {**sim_time, **parameters}],
            'remappings': list(remappings.items()),
            'arguments': ['--ros-args', '--log-level', value['log_level']],
            'output': 'screen',
        }

    nodes: list[LaunchDescriptionEntity] = []
    clip = DEMOS.get(value['input']) if value['tracker'] == 'camera' else None
    shown_people = max(4, int(value['max_people']))

    def suited(node: str) -> dict[str, object]:
        return clip.parameters(node) if clip else {}

    if value['tracker'] == 'adapter':
        camera_info = {'camera_info': value['camera_info_topic']}
        adapter = options('pose_adapter', camera_info, source=value['source'])
        if value['source_topic']:
            adapter['arguments'] += ['-p', f'topic:={value["source_topic"]}']
        nodes.append(Node(**adapter))
    elif value['tracker'] == 'camera':
        if value['input'] != 'topic':
            camera = options('camera', {}, **suited('camera'))
            # Always a string, also when it reads like a number (webcam 0).
            camera['arguments'] += ['-p', f"input:='{value['input']}'"]
            nodes.append(Node(**camera))
        image = {'image': value['image_topic'], 'camera_info': value['camera_info_topic']}
        image['image/compressed'] = f'{value["image_topic"]}/compressed'
        tracker = options(
            'body_tracker',
            image,
            image_transport=value['image_transport'],
            max_people=int(value['max_people']),
        )
        nodes.append(Node(**tracker))
    renderer = LifecycleNode(
        **options(
            'avatar_renderer',
            {},
            avatar=value['avatar'],
            engine=value['engine'],
            width=width,
            height=height,
            max_people=shown_people,
            **suited('avatar_renderer'),
        )
    )
    nodes += [renderer, *activation(renderer)]
    shown = 'avatar_renderer'
    if value['viewer'] == 'true':
        shown = 'xr_server'
        page = LifecycleNode(
            **options(
                'xr_server',
                {'overlay': 'body_tracker/overlay'},
                avatar=value['avatar'],
                engine=value['engine'],
                host=value['host'],
                max_people=shown_people,
                **suited('xr_server'),
            )
        )
        nodes += [page, *activation(page)]
    duration = float(value['duration'])
    if value['report']:
        status = {'status': f'{shown}/status'}
        reporter = options('reporter', status, input=value['input'])
        reporter['arguments'] += ['-p', f"report:='{value['report']}'"]
        nodes.append(Node(**reporter))
    if duration > 0:
        nodes.append(TimerAction(period=duration, actions=[Shutdown(reason='duration is over')]))
    return nodes


def activation(node: LifecycleNode) -> list[LaunchDescriptionEntity]:
    """Configure the node when it runs, activate it when it is configured for the first time."""

    def change(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
        )

    return [
        RegisterEventHandler(
            OnProcessStart(target_action=node, on_start=[change(Transition.TRANSITION_CONFIGURE)])
        ),
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node,
                start_state='configuring',  # so that a later deactivate is not undone
                goal_state='inactive',
                handle_once=True,  # who configures it again, activates it himself
                entities=[
                    LogInfo(msg='the avatar is loaded; activating'),
                    change(Transition.TRANSITION_ACTIVATE),
                ],
            )
        ),
    ]
