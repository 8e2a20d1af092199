# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Named points of people, as sources without usable rotations give them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from avatar_ros.body.skeletons import BLAZEPOSE_INDEX, SMPLX
from avatar_ros.tracking.rest_landmarks import RestLandmarks
from avatar_ros.types import FloatArray

#: Joints that points can turn; fingers, jaw and eyes are carried along.
BODY_JOINTS = SMPLX.joints[:22]


@dataclass(frozen=True)
class SeenPoints:
    """Points of one person at one instant."""

    points: Mapping[str, FloatArray]
    """Name -> place."""
    confidence: Mapping[str, float] = field(default_factory=dict)
    """By the same names, 0..1; 1 where it is missing."""
    stamp_ns: int = 0
    frame_id: str = ''
    person_id: str = ''
    source: str = ''

    def weight(self, name: str) -> float:
        """Confidence of a point; 0 if it has no finite place."""
        point = self.points.get(name)
        if point is None or not np.isfinite(point).all():
            return 0.0
        confidence = self.confidence.get(name, 1.0)
        return float(np.clip(confidence, 0.0, 1.0)) if np.isfinite(confidence) else 0.0


@dataclass(frozen=True)
class NamedPoints(SeenPoints):
    """SMPL-X joints or BlazePose landmarks at (3,), metres in any right-handed frame."""

    skeleton: RestLandmarks | None = None
    """Whose joints these are, in the T-pose; None if they are those of our own body."""


@dataclass(frozen=True)
class ImagePoints(SeenPoints):
    """BlazePose landmarks at (2,), x/z and y/z of their rays in a camera's optical axes."""


@dataclass(frozen=True)
class Attachment:
    """A point of the rest body and the joint that carries it."""

    carrier: int
    """Row of `BODY_JOINTS`."""
    rest: FloatArray
    """(3,) metres, SMPL axes."""


def stamp_and_frame(header: Any) -> tuple[int, str]:
    """Nanoseconds and frame of a std_msgs/Header."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec), str(header.frame_id)


def xyz(message: Any) -> FloatArray:
    """geometry_msgs Point or Vector3 -> (3,)."""
    return np.array([message.x, message.y, message.z], dtype=float)


def attachment(name: str, rest: RestLandmarks) -> Attachment:
    """Where a SMPL-X joint or a BlazePose landmark of the head or foot lies.

    :raises ValueError: for a name that is neither.
    """
    if name in SMPLX.index:
        row = SMPLX.index[name]
        point = rest.joints[row]
    elif name in BLAZEPOSE_INDEX:
        row = int(rest.carrier[BLAZEPOSE_INDEX[name]])
        point = rest.points[BLAZEPOSE_INDEX[name]]
    else:
        raise ValueError(
            f'no point {name!r}; expected a SMPL-X joint such as left_elbow, or a landmark such '
            'as nose, left_ear, left_heel, left_foot_index.'
        )
    while row >= len(BODY_JOINTS):
        row = SMPLX.parents[row]
    return Attachment(row, np.asarray(point, dtype=float))
