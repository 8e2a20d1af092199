# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Axis conventions of the frames we meet, as rotation matrices.

=========  =======================================  =====================
frame      axes                                     source
=========  =======================================  =====================
ROS        x forward, y left, z up                  REP-103
optical    x right, y down, z forward               REP-103, OpenCV
SMPL       x to the person's left, y up, z forward  SMPL, SMPL-X, FLAME
stage      x right, y up, z back                    OpenXR, WebXR
Unity      x right, y up, z forward (left-handed)   Unity, VMC
=========  =======================================  =====================
"""

import numpy as np
from numpy.typing import ArrayLike

from avatar_ros.types import FloatArray

#: Maps vectors in ROS body axes to camera optical axes.
R_OPTICAL_ROS = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
R_ROS_OPTICAL = R_OPTICAL_ROS.T

#: Maps vectors in SMPL body axes to ROS body axes of the same person.
R_ROS_SMPL = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

#: A person in SMPL axes who looks straight into a camera, in that camera's optical axes.
R_OPTICAL_SMPL = np.diag([1.0, -1.0, -1.0])

#: Maps vectors in OpenXR stage axes to ROS axes of whoever looks along the stage's -z.
R_ROS_STAGE = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

#: Unity -> SMPL axes of the same person: a reflection, for Unity's axes are left-handed.
M_SMPL_UNITY = np.diag([-1.0, 1.0, 1.0])


def quat_smpl_from_unity(quat: ArrayLike) -> FloatArray:
    """Quaternions (..., 4) wxyz in Unity's left-handed axes -> the same rotation in SMPL axes.

    Under a reflection across x the axis of a rotation keeps its x and turns its y and z around.
    """
    return np.asarray(quat, dtype=float) * np.array([1.0, 1.0, -1.0, -1.0])
