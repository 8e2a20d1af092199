# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Image -> landmarks -> filters -> inverse kinematics -> SMPL-X pose and ARKit expression."""

from avatar_ros.tracking.body_ik import BodyIK
from avatar_ros.tracking.hand_ik import HandIK
from avatar_ros.tracking.holding import HoldConfig
from avatar_ros.tracking.landmarks import (
    BodyLandmarks,
    Estimator,
    FaceLandmarks,
    HandLandmarks,
    Landmarks,
    create_estimator,
)
from avatar_ros.tracking.one_euro import OneEuroConfig, OneEuroFilter
from avatar_ros.tracking.people_tracker import (
    PeopleEstimator,
    PeopleTracker,
    create_people_estimator,
)
from avatar_ros.tracking.rest_landmarks import RestLandmarks, rest_landmarks
from avatar_ros.tracking.root import solve_translation
from avatar_ros.tracking.tracker import BodyTracker, TrackerConfig, TrackerResult

__all__ = [
    'BodyIK',
    'BodyLandmarks',
    'BodyTracker',
    'Estimator',
    'FaceLandmarks',
    'HandIK',
    'HandLandmarks',
    'HoldConfig',
    'Landmarks',
    'OneEuroConfig',
    'OneEuroFilter',
    'PeopleEstimator',
    'PeopleTracker',
    'RestLandmarks',
    'TrackerConfig',
    'TrackerResult',
    'create_estimator',
    'create_people_estimator',
    'rest_landmarks',
    'solve_translation',
]
