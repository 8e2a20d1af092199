# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""From what an adapter read to poses: whoever is known by points gets inverse kinematics."""

from collections import OrderedDict

from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.tracking.adapters.image_ik import ImageIK
from avatar_ros.tracking.adapters.points import ImagePoints, NamedPoints
from avatar_ros.tracking.adapters.position_ik import PositionIK
from avatar_ros.tracking.rest_landmarks import RestLandmarks

_MAX_PEOPLE = 8  # the one not seen for longest goes first
Reading = NamedPoints | ImagePoints | BodyPose | FaceExpression


class PeopleIK:
    """Solves points into poses, person by person."""

    def __init__(self, rest: RestLandmarks) -> None:
        self._rest = rest
        self._people: OrderedDict[str, PositionIK | ImageIK] = OrderedDict()
        self._stamp_ns = 0
        self.error_m = 0.0
        """Mean distance between points and pose at the last person solved."""

    def solve(self, reading: Reading) -> BodyPose | FaceExpression:
        """The reading itself, or the pose of its points. A jump back in time forgets everybody.

        :raises ValueError: if points are no person.
        """
        if not isinstance(reading, NamedPoints | ImagePoints):
            return reading
        if reading.stamp_ns < self._stamp_ns:
            self._people.clear()
        self._stamp_ns = reading.stamp_ns
        ik = self._people.get(reading.person_id)
        if isinstance(reading, ImagePoints):
            if not isinstance(ik, ImageIK):
                ik = self._people[reading.person_id] = ImageIK(self._rest)
            pose = ik(reading)
        else:
            if not isinstance(ik, PositionIK) or ik.skeleton is not reading.skeleton:
                ik = self._people[reading.person_id] = PositionIK(self._rest, reading.skeleton)
            pose = ik(reading)
        self._people.move_to_end(reading.person_id)
        while len(self._people) > _MAX_PEOPLE:
            self._people.popitem(last=False)
        self.error_m = ik.error_m
        return pose
