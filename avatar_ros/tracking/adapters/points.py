# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Named points of people, as sources without usable rotations give them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from avatar_ros.body.skeletons import BLAZEPOSE_INDEX, SMPLX
from avatar_ros.tracking.adapters.retarget import checked_position
from avatar_ros.tracking.rest_landmarks import RestLandmarks
from avatar_ros.types import FloatArray

#: Joints that points can turn; fingers, jaw and eyes are carried along.
BODY_JOINTS = SMPLX.joints[:22]
_TRUNK_M = (0.15, 1.2)  # from the middle of the hips to that of the shoulders
_REACH_M = 2.5  # no part of a person is further from his hips


@dataclass(frozen=True)
class NamedPoints:
    """One person at one instant, in any right-handed frame in metres."""

    points: Mapping[str, FloatArray]
    """SMPL-X joint or BlazePose landmark -> position (3,) metres."""
    confidence: Mapping[str, float] = field(default_factory=dict)
    """By the same names, 0..1; 1 where it is missing."""
    stamp_ns: int = 0
    frame_id: str = ''
    person_id: str = ''
    source: str = ''

    def weight(self, name: str) -> float:
        """Confidence of a point; 0 if it has no finite position."""
        point = self.points.get(name)
        if point is None or not np.isfinite(point).all():
            return 0.0
        confidence = self.confidence.get(name, 1.0)
        return float(np.clip(confidence, 0.0, 1.0)) if np.isfinite(confidence) else 0.0


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


def check_person(seen: NamedPoints) -> None:
    """Refuse what cannot be a person in metres and right-handed axes.

    :raises ValueError: if hips or shoulders are missing, if the trunk is of no human length, or if
        nose and feet point to the person's back, as they do in a mirrored frame.
    """
    missing = [n for n in _TRUNK_CORNERS if not seen.weight(n)]
    if missing:
        raise ValueError(
            f'{seen.source} person {seen.person_id!r}: {", ".join(missing)} not seen; expected '
            'hips and shoulders, because nothing else can be placed without them.'
        )
    left_hip, right_hip, left_shoulder, right_shoulder = (seen.points[n] for n in _TRUNK_CORNERS)
    with np.errstate(over='ignore', invalid='ignore'):
        up = (left_shoulder + right_shoulder - left_hip - right_hip) / 2
        trunk = float(np.linalg.norm(up))
    if not _TRUNK_M[0] <= trunk <= _TRUNK_M[1]:
        raise ValueError(
            f'{seen.source} person {seen.person_id!r}: the trunk is {trunk:.3g} long; expected '
            f'{_TRUNK_M[0]:g} to {_TRUNK_M[1]:g} m. If the source sends other units, set "scale" '
            '(0.001 for millimetres).'
        )
    checked_position('the left hip', left_hip)
    for name, point in seen.points.items():
        if seen.weight(name) and not np.abs(point - left_hip).max() <= _REACH_M:
            raise ValueError(
                f'{seen.source} person {seen.person_id!r}: {name} is more than {_REACH_M:g} m from '
                'the hips; expected the points of one person in metres.'
            )
    across = left_hip - right_hip + left_shoulder - right_shoulder
    forward = np.cross(across, up)
    forward = forward / max(float(np.linalg.norm(forward)), 1e-9)
    looks = [
        float((seen.points[front] - seen.points[behind]) @ forward)
        for front, behind in _FORWARD
        if seen.weight(front) and seen.weight(behind)
    ]
    if looks and max(looks) < -0.02:
        raise ValueError(
            f'{seen.source} person {seen.person_id!r}: nose and feet point to the back; expected '
            'a right-handed frame with the left side on the left. Undo the mirroring of the image, '
            'or negate one axis of the source.'
        )


_TRUNK_CORNERS = ('left_hip', 'right_hip', 'left_shoulder', 'right_shoulder')
_FORWARD = (
    ('nose', 'left_ear'),
    ('nose', 'right_ear'),
    ('nose', 'head'),
    ('left_foot', 'left_ankle'),
    ('right_foot', 'right_ankle'),
    ('left_foot_index', 'left_heel'),
    ('right_foot_index', 'right_heel'),
)
