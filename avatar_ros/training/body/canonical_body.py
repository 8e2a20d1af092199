# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The body in its canonical pose: where Gaussians start, and what the networks are told of it."""

import math

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from avatar_ros.avatars.network.body_network import PoseInput
from avatar_ros.avatars.network.limbs import body_joints, shares
from avatar_ros.body.skeletons import Skeleton
from avatar_ros.body.torch_kinematics import JointMotion, joint_motion
from avatar_ros.geometry.torch_rotations import matrix_from_quat, quat_from_rotvec
from avatar_ros.training.capture import Subject
from avatar_ros.training.parts import part_of_point
from avatar_ros.types import Array, FloatArray

_HIP_DEG = 45.0
#: Of the box of the canonical body, a side (ARAH).
_PADDING = 0.1


def canonical_quats(skeleton: Skeleton) -> Tensor:
    """Rotations (J, 4) of the star pose: legs 45 degrees apart, so that they do not touch."""
    rotvecs = torch.zeros(len(skeleton), 3, dtype=torch.float64)
    rotvecs[skeleton.index['left_hip'], 2] = math.radians(_HIP_DEG)
    rotvecs[skeleton.index['right_hip'], 2] = -math.radians(_HIP_DEG)
    return quat_from_rotvec(rotvecs)


class CanonicalBody:
    """A subject's mesh in the star pose, float32 tensors on a device."""

    def __init__(self, subject: Subject, device: torch.device | str = 'cpu') -> None:
        self.subject, self.skeleton = subject, subject.skeleton
        rest = torch.from_numpy(np.asarray(subject.rest_joints, np.float64))
        quats = canonical_quats(self.skeleton)
        to_star = joint_motion(self.skeleton, rest, quats)
        weights = torch.from_numpy(np.asarray(subject.weights, np.float64))
        blended = (weights @ to_star.A.flatten(1)).unflatten(1, (3, 4))
        vertices = torch.from_numpy(np.asarray(subject.vertices, np.float64))
        vertices = (blended[:, :, :3] @ vertices[..., None])[..., 0] + blended[:, :, 3]
        turned = torch.einsum('jab,jb->ja', to_star.A[:, :, :3], rest) + to_star.A[:, :, 3]
        low, high = vertices.amin(0), vertices.amax(0)
        margin = _PADDING * (high - low)

        def ready(tensor: Tensor) -> Tensor:
            return tensor.to(device, torch.float32)

        self.quats, self.rest_joints, self.joints = map(ready, (quats, rest, turned))
        self.vertices, self.weights = ready(vertices), ready(weights)
        self.bounds = torch.stack([ready(low - margin), ready(high + margin)])
        back = to_star.inverse()
        self.from_canonical = JointMotion(ready(back.A), ready(back.turns))
        self.blended = ready(blended)
        self.parts = part_of_point(subject.weights, self.skeleton)
        self._tree = cKDTree(vertices.numpy())

    def pose_input(self, rotvecs: Tensor, translation: Tensor) -> PoseInput:
        """What the networks need of a pose of rotation vectors (J, 3) and SMPL's ``transl``."""
        quats = quat_from_rotvec(rotvecs)
        posed = joint_motion(self.skeleton, self.rest_joints, quats, translation)
        return PoseInput(matrix_from_quat(quats), self.from_canonical.then(posed))

    def sample(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Points (count, 3) spread evenly over the canonical mesh, and their weights (count, J)."""
        faces = self.subject.faces
        corners = self.vertices.cpu().numpy().astype(np.float64)[faces]
        areas = np.linalg.norm(
            np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
        )
        chosen = rng.choice(len(faces), count, p=areas / areas.sum())
        u, v = rng.random((2, count))
        over = u + v > 1
        u[over], v[over] = 1 - u[over], 1 - v[over]
        share = np.stack([1 - u - v, u, v], axis=1)
        points = np.einsum('nk,nkc->nc', share, corners[chosen])
        weights = np.einsum('nk,nkj->nj', share, self.subject.weights[faces[chosen]])
        return points, weights

    def nearest_vertex(self, points: Tensor) -> Array:
        """Rows (N,) of the mesh's vertices nearest to canonical points (N, 3)."""
        _, rows = self._tree.query(points.detach().cpu().numpy())
        return np.asarray(rows)

    def expression_dirs(self, points: Tensor) -> Tensor | None:
        """What each facial action does to canonical points: (N, 3, E), as to the nearest vertex."""
        if self.subject.expression_dirs is None:
            return None
        rows = self.nearest_vertex(points)
        dirs = torch.from_numpy(np.asarray(self.subject.expression_dirs[rows], np.float32))
        return self.blended[rows][:, :, :3] @ dirs.to(self.blended.device)

    def shares(self, points: Tensor) -> Tensor | None:
        """How the nearest vertices share out hands and head: (N, J), see `network.limbs`."""
        if len(body_joints(self.skeleton)) == len(self.skeleton):
            return None
        return shares(self.weights[self.nearest_vertex(points)], self.skeleton)
