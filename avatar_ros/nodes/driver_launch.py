# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The launch description of a camera driver with the avatar behind it: one for all drivers."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from avatar_ros.nodes.camera_drivers import DRIVERS, driver_launch_file
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

TELEPRESENCE = 'telepresence.launch.py'


def driver_description(name: str, launch_folder: Path) -> LaunchDescription:
    """The driver `name` of `DRIVERS`, then telepresence.launch.py on its topics.

    Every argument of telepresence.launch.py is taken too; one that is given wins over ours.

    :param launch_folder: where telepresence.launch.py lies.
    """
    driver = DRIVERS[name]

    def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
        path = driver_launch_file(driver, get_package_share_directory)
        values = dict(driver.arguments)
        for asked in driver.asked:
            values[asked] = LaunchConfiguration(asked).perform(context)
        # In a group: arguments of the driver with our names (log_level) stay its own.
        source = PythonLaunchDescriptionSource(path)
        include = IncludeLaunchDescription(source, launch_arguments=values.items())
        return [GroupAction([include], forwarding=False)]

    telepresence = PythonLaunchDescriptionSource(str(launch_folder / TELEPRESENCE))
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(asked, default_value=default, description=text)
                for asked, (default, text) in driver.asked.items()
            ),
            *(
                DeclareLaunchArgument(ours, default_value=value)
                for ours, value in driver.telepresence.items()
            ),
            OpaqueFunction(function=start),
            IncludeLaunchDescription(telepresence),
        ]
    )
