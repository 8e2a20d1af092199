# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""What cannot be a person in metres and right-handed axes is refused, with what to set instead."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from avatar_ros.body import SMPLX
from avatar_ros.tracking.rest_landmarks import free_rest_landmarks
from avatar_ros.types import FloatArray

if TYPE_CHECKING:
    from avatar_ros.tracking.adapters.points import NamedPoints

MAX_METRES = 1000.0
_TRUNK_M = (0.15, 1.2)  # from the middle of the hips to that of the shoulders
_REACH_M = 2.5  # no part of a person is further from his hips
_FLAT_M = 0.02  # a nose no further in front of the ears says nothing about front and back
_SIZES = (0.3, 2.5)  # bones of children and of giants, of the free body's
_AWAY = 0.2  # cosine to where a bone should point; trackers place joints differently
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
#: Bones of the body, as their two ends; a hand or a foot ends at its first joint.
_BONES = tuple((SMPLX.joints[SMPLX.parents[row]], SMPLX.joints[row]) for row in range(1, 22))


def checked_position(name: str, position: FloatArray) -> FloatArray:
    """The position (3,) itself.

    :raises ValueError: if it is not finite, or too far away to be metres.
    """
    position = np.asarray(position, dtype=float)
    if position.shape != (3,) or not (np.abs(position) <= MAX_METRES).all():
        raise ValueError(
            f'{name} is at {np.array2string(position, threshold=6)}; expected three finite '
            f'coordinates within {MAX_METRES:g} m. If the source sends other units, set "scale".'
        )
    return position


def check_bones(
    positions: Mapping[str, FloatArray], R_frame_joint: Mapping[str, FloatArray]
) -> None:
    """Refuse joints whose positions (3,) and rotations (3, 3) do not belong together.

    In the axes of a joint its child always lies in the same direction, however the person moves.
    Mirrored axes, swapped sides and rotations that are not counted from the T-pose break that.
    Bones of which an end or the rotation is missing are not judged.

    :raises ValueError: if bones are of no human length, or two or more point somewhere else.
    """
    rest = free_rest_landmarks().joints
    away: list[str] = []
    sizes: list[float] = []
    for joint, child in _BONES:
        if joint not in R_frame_joint or joint not in positions or child not in positions:
            continue
        expected = rest[SMPLX.index[child]] - rest[SMPLX.index[joint]]
        with np.errstate(over='ignore', invalid='ignore'):
            found = R_frame_joint[joint].T @ (positions[child] - positions[joint])
            length = float(np.linalg.norm(found))
        if not np.isfinite(length):
            continue
        size = length / float(np.linalg.norm(expected))
        sizes.append(size)
        if found @ expected < _AWAY * size * (expected @ expected):
            away.append(f'{joint} to {child}')
    if sizes and not _SIZES[0] <= np.median(sizes) <= _SIZES[1]:
        raise ValueError(
            f"bones are {np.median(sizes):.3g} times as long as a person's; expected positions in "
            'metres. If the source sends other units, set "scale" (0.001 for millimetres).'
        )
    if len(away) > 1:
        raise ValueError(
            f'{", ".join(away[:3])}: {len(away)} bones point away from where the rotations of '
            'their joints put them; expected right-handed axes and rotations that are none at the '
            'T-pose. Undo the mirroring, give each name its own side, or set "rest" in the map.'
        )


def check_person(seen: 'NamedPoints') -> None:
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
    looks = [depth for depth in looks if abs(depth) > _FLAT_M]
    if looks and max(looks) < 0:
        raise ValueError(
            f'{seen.source} person {seen.person_id!r}: nose and feet point to the back; expected '
            'a right-handed frame with the left side on the left. Undo the mirroring of the image, '
            'or negate one axis of the source.'
        )
