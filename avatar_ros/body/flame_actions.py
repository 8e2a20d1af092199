# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The 52 ARKit actions as FLAME coefficients and jaw rotations.

FLAME's expression coefficients have no names. The free head has the actions by name: it is laid
over the FLAME head, its displacements are carried over to the nearest FLAME vertices, and least
squares finds the coefficients and the jaw rotation that come nearest to each.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from avatar_ros.body.flame import PARTS, free_head
from avatar_ros.body.lbs import forward_kinematics, skinning_transforms
from avatar_ros.body.model import BodyModel
from avatar_ros.body.skeletons import ARKIT_52, FLAME
from avatar_ros.geometry import quat_from_rotvec
from avatar_ros.types import Array, FloatArray

_JAW_STEP_RAD = 0.05
#: Square metres a vertex that a coefficient of 1 costs: keeps unseen directions at rest.
_RIDGE = (2e-5) ** 2
_ICP_ROUNDS = 30
#: The heads lie over each other when a round moves no vertex further.
_ICP_DONE_M = 1e-5


@dataclass(frozen=True)
class ActionTable:
    """What each action is on a FLAME model."""

    table: Array
    """(52, E + 3) float32: coefficients, then the jaw's rotation vector."""
    error_mm: Array
    """(52,) root mean square over the vertices that the action moves."""
    size_mm: Array
    """(52,) of the action itself, over the same vertices."""


def actions_of(model: BodyModel) -> ActionTable:
    """Fit every ARKit action.

    :raises ValueError: if the model is no FLAME head.
    """
    if model.skeleton is not FLAME:
        raise ValueError(f'a {model.kind} model has no jaw of FLAME; give a FLAME file.')
    wanted = _carried_over(model)
    basis = np.concatenate([model.expression_dirs, _jaw_directions(model)], axis=2)
    A = basis.reshape(-1, basis.shape[2])
    system = A.T @ A + np.eye(A.shape[1]) * (_RIDGE * len(model.template))
    table = np.linalg.solve(system, A.T @ wanted.reshape(len(ARKIT_52), -1).T).T
    fitted = (table @ A.T).reshape(wanted.shape)
    moving = np.linalg.norm(wanted, axis=2) > 2e-4

    def rms(values: FloatArray) -> FloatArray:
        squared = (values**2).sum(2) * moving
        return np.asarray(1e3 * np.sqrt(squared.sum(1) / np.maximum(moving.sum(1), 1)))

    return ActionTable(table.astype(np.float32), rms(fitted - wanted), rms(wanted))


def _jaw_directions(model: BodyModel) -> FloatArray:
    """(V, 3, 3): metres a radian that the jaw turns about each axis, at rest."""
    joints = model.rest_joints()
    columns = []
    for axis in range(3):
        rotvecs = np.zeros((len(FLAME), 3))
        rotvecs[FLAME.index['jaw'], axis] = _JAW_STEP_RAD
        T = forward_kinematics(FLAME, joints, quat_from_rotvec(rotvecs))
        A = skinning_transforms(T, joints)
        blended = np.einsum('vj,jab->vab', model.weights, A)
        moved = np.einsum('vab,vb->va', blended[:, :, :3], model.template) + blended[:, :, 3]
        still = skinning_transforms(
            forward_kinematics(FLAME, joints, quat_from_rotvec(np.zeros_like(rotvecs))), joints
        )
        rest = np.einsum('vj,jab->vab', model.weights, still)
        home = np.einsum('vab,vb->va', rest[:, :, :3], model.template) + rest[:, :, 3]
        columns.append((moved - home) / _JAW_STEP_RAD)
    return np.stack(columns, axis=2)


def _carried_over(model: BodyModel) -> FloatArray:
    """(52, V, 3): the free head's actions on the vertices of another head."""
    free = free_head()
    skin = np.isin(free.part, [PARTS.index('teeth')], invert=True)
    rows = np.unique(free.model.faces[skin])
    source = free.model.template[rows]
    dirs = free.model.expression_dirs[rows]
    scale, R, t = _similarity(free.model.rest_joints()[1:], model.rest_joints()[1:])
    for _ in range(_ICP_ROUNDS):
        placed = scale * source @ R.T + t
        distance, nearest = cKDTree(model.template).query(placed)
        close = distance < np.quantile(distance, 0.8)
        before, (scale, R, t) = placed, _similarity(source[close], model.template[nearest[close]])
        if np.abs(scale * source @ R.T + t - before).max() < _ICP_DONE_M:
            break
    placed = scale * source @ R.T + t
    distance, nearest = cKDTree(placed).query(model.template, k=3)
    weights = 1 / (distance + 1e-6)
    weights /= weights.sum(1, keepdims=True)
    order = [free.model.expression_names.index(name) for name in ARKIT_52]
    moved = np.einsum('vk,vkca->avc', weights, dirs[nearest][..., order])
    return np.asarray(scale * moved @ R.T)


def _similarity(a: FloatArray, b: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Scale, rotation and translation that take points a to points b (Umeyama 1991)."""
    ca, cb = a.mean(0), b.mean(0)
    U, s, Vt = np.linalg.svd((b - cb).T @ (a - ca))
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))])
    R = U @ sign @ Vt
    scale = float((s * np.diag(sign)).sum() / ((a - ca) ** 2).sum())
    return scale, R, cb - scale * ca @ R.T
