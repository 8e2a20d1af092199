# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Foreign body and face trackers: one module a source, pure functions from message to pose.

Messages are taken as anything with the fields of the real one, so that no message package is needed
here. Everything that is wrong with a message is a ValueError with what was expected.
"""

from avatar_ros.tracking.adapters.people import PeopleIK, Reading
from avatar_ros.tracking.adapters.points import ImagePoints, NamedPoints
from avatar_ros.tracking.adapters.position_ik import PositionIK

__all__ = ['ImagePoints', 'NamedPoints', 'PeopleIK', 'PositionIK', 'Reading']
