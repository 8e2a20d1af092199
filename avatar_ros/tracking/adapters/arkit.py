# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Faces: ARKit weights by name, and FACS action units (hri_msgs/FacialActionUnits).

Weights are taken by name and never by place, because lists in circulation swap left and right.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from avatar_ros.body import ARKIT_52, FaceExpression
from avatar_ros.body.foreign import ACTION_UNITS, ARKIT_OF_LOWER
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.tracking.adapters.points import stamp_and_frame
from avatar_ros.tracking.face import arkit_vector, eye_quats, jaw_quat
from avatar_ros.types import FloatArray


def expression(
    weights: Mapping[str, float],
    *,
    head: FloatArray | None = None,
    confidence: float = 1.0,
    stamp_ns: int = 0,
    frame_id: str = '',
    person_id: str = '',
) -> FaceExpression:
    """Expression from ARKit weights by exact name; jaw and eyes turn as the weights say.

    `head` is a quaternion (4,) wxyz, SMPL axes in `frame_id`.

    :raises ValueError: if a weight is not finite.
    """
    values = np.array(list(weights.values()), dtype=float)
    if not np.isfinite(values).all():
        bad = [name for name, value in zip(weights, values, strict=True) if not np.isfinite(value)]
        raise ValueError(f'weight of {", ".join(bad[:5])} is NaN or Inf; expected 0 to 1.')
    vector = arkit_vector(weights)
    by_name = dict(zip(ARKIT_52, vector, strict=True))
    eyes = eye_quats(by_name)
    return FaceExpression(
        'arkit52',
        ARKIT_52,
        vector,
        quat_from_rotvec(np.zeros(3)) if head is None else head,
        jaw_quat(by_name),
        eyes['left'],
        eyes['right'],
        confidence,
        stamp_ns,
        frame_id,
        person_id,
    )


def by_arkit_name(names: Iterable[str], values: Iterable[float]) -> dict[str, float]:
    """ARKit name -> weight for all names that are ARKit's, in any spelling of case."""
    pairs = zip(names, values, strict=True)
    return {ARKIT_OF_LOWER[n.lower()]: float(v) for n, v in pairs if n.lower() in ARKIT_OF_LOWER}


def from_joint_state(message: Any) -> FaceExpression:
    """sensor_msgs/JointState with ARKit names and weights as positions.

    :raises ValueError: if names and positions differ in number, or no name is ARKit's.
    """
    names: Sequence[str] = message.name
    if len(names) != len(message.position):
        raise ValueError(
            f'JointState has {len(names)} names and {len(message.position)} positions; these '
            'arrays are parallel and must be equally long.'
        )
    weights = by_arkit_name(names, message.position)
    if not weights:
        raise ValueError(
            f'JointState names {", ".join(names[:4]) or "nothing"}; expected ARKit blend shapes '
            'such as jawOpen.'
        )
    stamp_ns, frame_id = stamp_and_frame(message.header)
    return expression(weights, stamp_ns=stamp_ns, frame_id=frame_id)


def from_action_units(message: Any) -> FaceExpression:
    """hri_msgs/FacialActionUnits: intensities 0..1 by FACS number, with confidences.

    Where two units move one shape, the stronger wins. Units of head and gaze direction beyond 61 to
    64, and those that ARKit has no shape for (13, 23, 25, 30 and more), are not used.

    :raises ValueError: if an array is shorter than the units that we read.
    """
    highest = max(ACTION_UNITS)
    if min(len(message.intensity), len(message.confidence)) <= highest:
        raise ValueError(
            f'FacialActionUnits has {len(message.intensity)} intensities and '
            f'{len(message.confidence)} confidences; expected 99 of each.'
        )
    weights: dict[str, float] = {}
    sure = []
    for unit, shapes in ACTION_UNITS.items():
        intensity, confidence = float(message.intensity[unit]), float(message.confidence[unit])
        if not confidence > 0:  # not looked for, or NaN
            continue
        sure.append(min(confidence, 1.0))
        for shape, share in shapes.items():
            weights[shape] = max(weights.get(shape, 0.0), share * intensity)
    stamp_ns, frame_id = stamp_and_frame(message.header)
    return expression(
        weights,
        confidence=float(np.mean(sure)) if sure else 0.0,
        stamp_ns=stamp_ns,
        frame_id=frame_id,
    )
