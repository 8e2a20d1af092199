# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Joint rotations of another skeleton -> parent-relative rotations of SMPL-X, through rest poses.

A tracker's joint axes at its T-pose are its own choice. What counts is how far a joint has turned
from there, and that is the same for every skeleton of a person. So the caller multiplies each
global rotation with the inverse of the joint's rest axes and hands over what is left: for every
joint the rotation from SMPL axes to the frame, the same for all joints at the T-pose.
"""

from collections.abc import Mapping

import numpy as np

from avatar_ros.body import SMPLX, BodyPose
from avatar_ros.body.pose import IDENTITY_QUAT, TrackingState
from avatar_ros.geometry import quat_from_rotvec, rigid, rotvec_from_matrix
from avatar_ros.tracking.adapters.plausible import check_bones, checked_position
from avatar_ros.types import FloatArray

#: Joints that bend together: a source that lacks one of them bends the rest for it.
_SHARING = frozenset(('spine1', 'spine2', 'spine3', 'neck', 'head'))


def pose_from_global_rotations(
    R_frame_joint: Mapping[str, FloatArray],
    positions: Mapping[str, FloatArray],
    confidence: Mapping[str, float] | None = None,
) -> BodyPose:
    """Pose from rotations (3, 3) and positions (3,) metres of SMPL-X joints by name.

    Of the positions, only that of the pelvis is taken; the others must agree with the rotations.

    A joint that is not there rests on its parent; of spine, neck and head the ones that are missing
    take an equal share of the bend across them. `confidence` (1 where not given) is by the same
    names; joints that are not there have none.

    :raises ValueError: without a pelvis, or if this is no person (see `check_bones`).
    """
    if 'pelvis' not in R_frame_joint:
        raise ValueError(
            'the pelvis has no valid rotation; expected one, because all others hang on it. '
            'Wait until the whole body is tracked.'
        )
    pelvis = checked_position('pelvis', positions.get('pelvis', np.full(3, np.nan)))
    check_bones(positions, R_frame_joint)
    quats = np.tile(IDENTITY_QUAT, (len(SMPLX), 1))
    given = np.zeros(len(SMPLX))
    known: dict[str, FloatArray] = {}
    for row, joint in enumerate(SMPLX.joints):
        if row == 0:
            known[joint] = R_frame_joint[joint]
        elif joint in R_frame_joint:
            chain = _missing_above(row, R_frame_joint)
            anchor = SMPLX.joints[SMPLX.parents[chain[0]]]
            bend = rotvec_from_matrix(known[anchor].T @ R_frame_joint[joint]) / len(chain)
            quats[chain] = quat_from_rotvec(bend)
            known[joint] = R_frame_joint[joint]
            given[chain] = 1.0 if confidence is None else confidence.get(joint, 1.0)
        else:  # rests on its parent
            known[joint] = known[SMPLX.joints[SMPLX.parents[row]]]
    given[0] = 1.0 if confidence is None else confidence.get('pelvis', 1.0)
    return BodyPose(
        SMPLX,
        rigid(R_frame_joint['pelvis'], pelvis),
        quats,
        np.clip(given, 0.0, 1.0),
        state=TrackingState.TRACKED,
    )


def _missing_above(row: int, R_frame_joint: Mapping[str, FloatArray]) -> list[int]:
    """Rows from the first joint that shares this joint's bend down to the joint itself."""
    chain = [row]
    if SMPLX.joints[row] in _SHARING:
        parent = SMPLX.parents[row]
        while SMPLX.joints[parent] in _SHARING and SMPLX.joints[parent] not in R_frame_joint:
            chain.insert(0, parent)
            parent = SMPLX.parents[parent]
    return chain


def pose_from_local_rotations(
    quats: Mapping[str, FloatArray], T_frame_root: FloatArray, confidence: float = 1.0
) -> BodyPose:
    """Pose from parent-relative quaternions (4,) wxyz in SMPL axes, by SMPL-X joint name."""
    rotations = np.tile(IDENTITY_QUAT, (len(SMPLX), 1))
    given = np.zeros(len(SMPLX))
    for joint, quat in quats.items():
        row = SMPLX.index[joint]
        if row:
            rotations[row] = quat
        given[row] = confidence
    return BodyPose(SMPLX, T_frame_root, rotations, given, state=TrackingState.TRACKED)


def checked_quats(name: str, quats: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit quaternions (N, 4) wxyz and which of them (N,) stood for a rotation at all.

    A length far from one is no rounding but another meaning of the field, so it does not count.
    """
    quats = np.asarray(quats, dtype=float)
    if quats.ndim != 2 or quats.shape[1] != 4:
        raise ValueError(f'{name} have shape {quats.shape}; expected (N, 4) quaternions.')
    with np.errstate(over='ignore', invalid='ignore'):
        length = np.linalg.norm(quats, axis=1)
    good = (length > 0.9) & (length < 1.1)
    safe = np.where(good[:, None], quats, IDENTITY_QUAT)
    return safe / np.linalg.norm(safe, axis=1, keepdims=True), good
