# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Where the BlazePose landmarks lie on a body at rest, and which joint carries each.

Body landmarks are joint centres; those of the face and the feet are points of the skin, found on
the mesh by what they are (the tip of the nose is the foremost point of the middle of the head), so
that no vertex number of one topology is typed in.
"""

import functools
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from avatar_ros.body.skeletons import BLAZEPOSE_33, SIDES, SMPLX
from avatar_ros.geometry import transform_points
from avatar_ros.types import Array, FloatArray

#: Landmark -> joint at whose centre it lies, or nearly so.
_JOINT_OF = {
    'shoulder': 'shoulder',
    'elbow': 'elbow',
    'wrist': 'wrist',
    'pinky': 'pinky1',
    'index': 'index1',
    'thumb': 'thumb2',
    'hip': 'hip',
    'knee': 'knee',
    'ankle': 'ankle',
}
#: What BlazePose marks, from that joint (from the widest part of the head for the ear), on the
#: left side in metres: hips low and close together, ears in front of what is widest. Fitted to
#: renders with known joints (``tracking.renders.offset_left`` is what remains); without it the
#: pelvis leans back by 15 degrees. The fit has hips 60 mm in front; with more
#: than a third of that the root gets worse, for the depths that BlazePose gives do not show it.
_OFFSET = {
    'shoulder': (-0.020, 0.015, 0.005),
    'hip': (-0.020, -0.050, 0.020),
    'ear': (-0.040, -0.010, 0.045),
}
#: The trunk carries what lies beside a shoulder or a hip, not the limb that turns in it.
_CARRIER = {'shoulder': 'collar', 'hip': 'pelvis'}


@dataclass(frozen=True)
class RestLandmarks:
    """BlazePose landmarks of a body in the T-pose."""

    joints: FloatArray
    """SMPL-X rest joints (55, 3), metres, SMPL axes."""
    points: FloatArray
    """(33, 3) in the same frame."""
    carrier: Array
    """(33,) SMPL-X joint that carries each landmark."""

    def posed(self, T_frame_joint: Array) -> FloatArray:
        """Landmarks (33, 3) of the body whose joints have these global transforms (55, 4, 4)."""
        local = self.points - self.joints[self.carrier]
        moved = transform_points(T_frame_joint[self.carrier], local[:, None])
        return np.asarray(moved[:, 0])

    def __getitem__(self, landmark: str) -> FloatArray:
        return np.asarray(self.points[BLAZEPOSE_33.index(landmark)])


@functools.cache
def free_rest_landmarks() -> RestLandmarks:
    """Those of the free SMPL-X-format body that comes with the package."""
    path = files('avatar_ros') / 'data' / 'bodies' / 'smplx_neutral.npz'
    with path.open('rb') as file, np.load(file) as body:
        template = body['v_template'].astype(float)
        return rest_landmarks(body['J_regressor'] @ template, template, body['weights'])


def _side_joint(side: str, joint: str) -> str:
    return joint if joint in SMPLX.index else f'{side}_{joint}'


def rest_landmarks(joints: Array, vertices: Array, weights: Array) -> RestLandmarks:
    """Landmarks of a SMPL-X body: rest joints (55, 3), vertices (V, 3), weights (V, 55)."""
    index = SMPLX.index
    owner = np.argmax(weights, axis=1)
    head_joints = SMPLX.rows(('head', 'jaw', 'left_eye_smplhf', 'right_eye_smplhf'))
    head = vertices[np.isin(owner, head_joints)]
    eyes = {side: joints[index[f'{side}_eye_smplhf']] for side in SIDES}
    eye_height = float(np.mean([eye[1] for eye in eyes.values()]))
    points: dict[str, FloatArray] = {}

    middle = head[np.abs(head[:, 0]) < 0.01]
    below_eyes = middle[middle[:, 1] < eye_height - 0.01]
    nose = below_eyes[np.argmax(below_eyes[:, 2])]
    points['nose'] = nose
    for side, sign in (('left', 1.0), ('right', -1.0)):
        eye = eyes[side]
        points[f'{side}_eye'] = eye + np.array([0, 0, 0.012])
        points[f'{side}_eye_inner'] = eye + np.array([-0.014 * sign, 0, 0.010])
        points[f'{side}_eye_outer'] = eye + np.array([0.016 * sign, 0, 0.002])
        # The ears are the widest part of the head near the height of eyes and nose.
        level = head[(head[:, 1] > nose[1] - 0.02) & (head[:, 1] < eye_height + 0.02)]
        points[f'{side}_ear'] = level[np.argmax(sign * level[:, 0])]
        points[f'mouth_{side}'] = nose + np.array([0.025 * sign, -0.042, -0.028])
        foot = vertices[np.isin(owner, SMPLX.rows((f'{side}_ankle', f'{side}_foot')))]
        sole = foot[foot[:, 1] < foot[:, 1].min() + 0.03]
        points[f'{side}_heel'] = sole[np.argmin(sole[:, 2])]
        points[f'{side}_foot_index'] = sole[np.argmax(sole[:, 2])]
    carriers = {name: 'head' for name in points}
    for side in SIDES:
        carriers[f'{side}_heel'] = carriers[f'{side}_foot_index'] = f'{side}_ankle'
        for landmark, joint in _JOINT_OF.items():
            points[f'{side}_{landmark}'] = joints[index[f'{side}_{joint}']]
            carriers[f'{side}_{landmark}'] = _side_joint(side, _CARRIER.get(landmark, joint))
        for landmark, offset in _OFFSET.items():
            mirror = (1.0 if side == 'left' else -1.0, 1.0, 1.0)
            points[f'{side}_{landmark}'] = points[f'{side}_{landmark}'] + np.multiply(
                offset, mirror
            )
    return RestLandmarks(
        np.asarray(joints, dtype=float),
        np.stack([points[name] for name in BLAZEPOSE_33]),
        SMPLX.rows([carriers[name] for name in BLAZEPOSE_33]),
    )
