# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Axis conventions of the frames we meet, as rotation matrices.

=========  =======================================  =====================
frame      axes                                     source
=========  =======================================  =====================
ROS        x forward, y left, z up                  REP-103
optical    x right, y down, z forward               REP-103, OpenCV
SMPL       x to the person's left, y up, z forward  SMPL, SMPL-X, FLAME
=========  =======================================  =====================
"""

import numpy as np

#: Maps vectors in ROS body axes to camera optical axes.
R_OPTICAL_ROS = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
R_ROS_OPTICAL = R_OPTICAL_ROS.T

#: Maps vectors in SMPL body axes to ROS body axes of the same person.
R_ROS_SMPL = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

#: A person in SMPL axes who looks straight into a camera, in that camera's optical axes.
R_OPTICAL_SMPL = np.diag([1.0, -1.0, -1.0])
