# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Gaussians that follow a skeleton and a face: pose and expression basis, then skinning.

Two engines with the same results: numba in place for live use on a CPU, torch for CUDA and as
the twin that tests compare with.
"""

import copy
import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from avatar_ros.avatars.bundle import Bundle
from avatar_ros.avatars.head.placing import ground_height_of
from avatar_ros.avatars.joints import BundleJoints
from avatar_ros.avatars.skinning_kernels import add_actions, canonical_view, skin
from avatar_ros.body import FLAME, BodyPose, FaceExpression
from avatar_ros.body.lbs import skin_points_torch
from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.spherical_harmonics import evaluate_sh, evaluate_sh_into, rgb_from_sh0
from avatar_ros.geometry import torch_rotations
from avatar_ros.types import Array, FloatArray


class SkinnedAvatar:
    """A bundle that can be posed.

    Joint rotations are taken as they come: whoever filters a pose decides what an unseen joint
    does. Joints are mapped by name; those that the pose lacks stay at rest. `betas` are ignored:
    a bundle is one person.
    """

    def __init__(self, bundle: Bundle, device: torch.device | str = 'cpu') -> None:
        self.bundle, self.joints = bundle, BundleJoints(bundle)
        self.device = torch.device(device)
        g = bundle.gaussians
        self._rest_means = _float32(g.means)
        self._rest_quats = _float32(g.quats)
        face = bundle.expression
        self._index = np.zeros(0, np.int32) if face is None else face.index
        # One row per action, so that the loop over Gaussians is a stream of bytes.
        self._basis = (
            np.zeros((0, 0), np.int8)
            if face is None
            else np.ascontiguousarray(face.values.reshape(len(face.names), -1))
        )
        self._skin_joints = np.ascontiguousarray(bundle.skin_joints)
        self._skin_weights = np.ascontiguousarray(bundle.skin_weights, dtype=np.float32)
        basis = bundle.pose_basis
        self._pose_rows = bundle.skeleton.rows(() if basis is None else basis.joints)
        self._rest_log_scales = np.log(_float32(g.scales).clip(1e-9))
        self._rest_colors = _float32(rgb_from_sh0(g.colors[:, 0]))
        self._make_buffers()

    def _make_buffers(self) -> None:
        """Everything that a pose writes to."""
        g, n = self.bundle.gaussians, len(self)
        face, basis = self.bundle.expression, self.bundle.pose_basis
        self._means = np.empty((n, 3), np.float32)
        self._quats = np.empty((n, 4), np.float32)
        self._turns = np.empty((n, 4), np.float32)
        self._offset = np.zeros((0 if face is None else len(face.index), 3), np.float32)
        self._change = np.zeros((4, 0 if basis is None else n, 3), np.float32)
        self._posed = torch.from_numpy(self._means), torch.from_numpy(self._turns)
        #: Of the last pose from the nearest training pose, in radians; NaN if that is unknown.
        self.pose_distance = math.nan
        self._result = Gaussians(
            means=torch.from_numpy(self._means),
            quats=torch.from_numpy(self._quats),
            scales=g.scales.float().clone(),
            opacities=g.opacities.float().contiguous(),
            colors=torch.from_numpy(self._rest_colors.clip(0, 1)),
        )

    def twin(self) -> 'SkinnedAvatar':
        """The same avatar for another person, who is in another pose at the same time.

        What a pose does not change is shared.
        """
        other = copy.copy(self)
        other._make_buffers()
        return other

    @property
    def name(self) -> str:
        return self.bundle.name

    def __len__(self) -> int:
        return len(self.bundle)

    #: The colours are RGB: no network looks at the picture.
    refine = None

    def deform(self, pose: BodyPose, expression: FaceExpression | None = None) -> Gaussians:
        """The Gaussians in the frame of the pose, with plain RGB colours.

        On a CPU they lie in buffers that the next call overwrites: render before, or clone. A
        bundle with view-dependent colours shows their mean; `colors_for` gives the rest.

        :raises ValueError: if the pose has the wrong number of joints or is not finite.
        """
        if self.device.type != 'cpu':
            return self.deform_torch(pose, expression)
        A, turns = self.joints.motion(pose, expression)
        self._change_by_pose(pose)
        weights = self.expression_weights(expression)
        used = np.flatnonzero(weights)
        self._offset[:] = 0
        if used.size:
            assert self.bundle.expression is not None
            steps = (weights * self.bundle.expression.scale).astype(np.float32)
            add_actions(self._basis, used, steps, self._offset.reshape(-1))
        skin(
            self._rest_means,
            self._rest_quats,
            self._index,
            self._offset,
            self._change,
            self._skin_joints,
            self._skin_weights,
            A.astype(np.float32),
            turns.astype(np.float32),
            self._means,
            self._quats,
            self._turns,
        )
        self._posed = self._result.means, torch.from_numpy(self._turns)
        return self._result

    def _change_by_pose(self, pose: BodyPose) -> None:
        """Fill the pose basis's change, and the scales and colours that follow from it."""
        basis = self.bundle.pose_basis
        if basis is None:
            return
        quats = self.joints.rotations(pose)[self._pose_rows]
        self.pose_distance = basis.distance(quats)
        basis.add_into(quats, self._change)
        scales, colors = self._result.scales.numpy(), self._result.colors.numpy()
        np.exp(self._rest_log_scales + self._change[1], out=scales)
        np.add(self._rest_colors, self._change[3], out=colors)
        np.clip(colors, 0, 1, out=colors)

    def deform_torch(self, pose: BodyPose, expression: FaceExpression | None = None) -> Gaussians:
        """The same by torch on `device`, into new tensors."""
        A, turns = (
            torch.as_tensor(x, dtype=torch.float32, device=self.device)
            for x in self.joints.motion(pose, expression)
        )
        means, quats, joints, weights, scales, opacities, shown = self._on_device
        means = self._moved_by_face(means, expression)
        if self.bundle.pose_basis is not None:
            change = self._change_torch(pose)
            means, scales = means + change[0], scales * torch.exp(change[1])
            turn = torch.cat([torch.ones_like(change[2, :, :1]), change[2] / 2], dim=1)
            quats = torch_rotations.quat_multiply(turn, quats)
            shown = shown + change[3]
            self._color_change = change[3]
        posed, _ = skin_points_torch(means, joints, weights, A)
        turn = turns[joints.long()]
        sign = torch.where((turn * turn[:, :1]).sum(-1, keepdim=True) < 0, -1.0, 1.0)
        turn = torch.nn.functional.normalize((weights[..., None] * sign * turn).sum(1), dim=-1)
        self._posed = posed, turn
        quats = torch_rotations.quat_multiply(turn, quats)
        return Gaussians(posed, quats, scales, opacities, shown.clamp(0, 1))

    def _moved_by_face(self, means: Tensor, expression: FaceExpression | None) -> Tensor:
        """Points (N, 3) on `device` plus what the expression adds in the canonical pose."""
        amount = torch.as_tensor(
            self.expression_weights(expression), dtype=torch.float32, device=self.device
        )
        index, basis, scale = self._face_on_device
        return means.index_add(0, index, torch.einsum('k,kmc->mc', amount * scale, basis.float()))

    def _change_torch(self, pose: BodyPose) -> Tensor:
        """(4, N, 3) by the pose basis, on `device`."""
        basis = self.bundle.pose_basis
        assert basis is not None
        quats = self.joints.rotations(pose)[self._pose_rows]
        self.pose_distance = basis.distance(quats)
        values, scale = self._basis_on_device
        amount = torch.from_numpy(basis.coefficients(quats)).to(self.device)
        steps = (amount[:, None] * scale).T
        return torch.einsum('gk,gknc->gnc', steps, values.float())

    @cached_property
    def _basis_on_device(self) -> tuple[Tensor, Tensor]:
        basis = self.bundle.pose_basis
        assert basis is not None
        values, scale = torch.from_numpy(basis.values), torch.from_numpy(basis.scale)
        return values.to(self.device), scale.to(self.device)

    @property
    def view_dependent(self) -> bool:
        return bool(self.bundle.gaussians.sh_degree)

    @property
    def turns(self) -> Tensor:
        """How each Gaussian is turned from the T-pose in the last pose: (N, 4) wxyz."""
        return self._posed[1]

    def colors_for(self, camera_positions: Sequence[FloatArray] | FloatArray) -> Tensor:
        """RGB (C, N, 3) of the last pose as seen from C points in its frame.

        The direction of view is turned back into the T-pose, so that highlights move with the
        body. Only bundles with `sh_degree` above 0 need it.
        """
        means, turns = self._posed
        eyes = torch.as_tensor(np.atleast_2d(camera_positions)).to(means)
        if self.device.type == 'cpu':
            return self._colors_numba(eyes.numpy().astype(np.float32))
        coefficients = self.bundle.gaussians.colors.to(means)
        back = torch_rotations.quat_conjugate(turns)
        seen = [
            evaluate_sh(coefficients, torch_rotations.quat_rotate(back, means - eye))
            for eye in eyes
        ]
        colors = torch.stack(seen)
        if self.bundle.pose_basis is not None:
            colors = (colors + self._color_change).clamp_min(0)
        return colors

    def _colors_numba(self, eyes: Array) -> Tensor:
        means, turns = (t.numpy() for t in self._posed)
        colors = np.empty((len(eyes), len(means), 3), np.float32)
        away = np.empty_like(means)
        origin = np.zeros(3, np.float32)
        for eye, out in zip(eyes, colors, strict=True):
            canonical_view(means, turns, eye, away)
            evaluate_sh_into(self._coefficients, away, origin, out)
            if self.bundle.pose_basis is not None:
                np.add(out, self._change[3], out=out)
                np.maximum(out, 0, out=out)
        return torch.from_numpy(colors)

    @cached_property
    def _coefficients(self) -> Array:
        return _float32(self.bundle.gaussians.colors)

    def expression_weights(self, expression: FaceExpression | None) -> FloatArray:
        """Weights (K,) of the bundle's basis; zeros for a face that is not seen."""
        face = self.bundle.expression
        return np.zeros(0) if face is None else face.weights_of(expression)

    def pose_coefficients(self, pose: BodyPose) -> Array:
        """Weights (K,) float32 of the pose basis; none without one."""
        basis = self.bundle.pose_basis
        if basis is None:
            return np.zeros(0, np.float32)
        return basis.coefficients(self.joints.rotations(pose)[self._pose_rows])

    def sole_points(self, pose: BodyPose) -> FloatArray:
        """Points (S, 3) under the feet in the frame of the pose."""
        A, _ = self.joints.motion(pose, None)
        A = A[self.bundle.sole_joints]
        turned = np.einsum('sab,sb->sa', A[:, :, :3], self.bundle.sole_points)
        return np.asarray(turned + A[:, :, 3])

    def joint_positions(self, pose: BodyPose) -> FloatArray:
        """Joints (J, 3) of the bundle's skeleton in the frame of the pose."""
        return np.asarray(self.joints.transforms(pose, None)[:, :3, 3])

    def ground_height(self, pose: BodyPose, up: FloatArray | None = None) -> float:
        """Height along `up` (default y) of the lowest point of the feet, in metres."""
        if self.bundle.skeleton is FLAME:
            return ground_height_of(pose, self.joints.rest, up)
        points = self.sole_points(pose)
        if not len(points):
            raise ValueError(f'avatar {self.name!r} has no sole points; its floor is unknown.')
        return float((points @ (np.array([0.0, 1.0, 0.0]) if up is None else up)).min())

    @cached_property
    def _on_device(self) -> tuple[Tensor, ...]:
        g = self.bundle.gaussians
        tensors = (
            g.means.float(),
            g.quats.float(),
            torch.from_numpy(self._skin_joints),
            torch.from_numpy(self._skin_weights),
            g.scales.float(),
            g.opacities.float(),
            torch.from_numpy(self._rest_colors),
        )
        return tuple(tensor.to(self.device) for tensor in tensors)

    @cached_property
    def _face_on_device(self) -> tuple[Tensor, ...]:
        face = self.bundle.expression
        values = np.zeros((0, 0, 3), np.int8) if face is None else face.values
        scale = np.zeros(0, np.float32) if face is None else face.scale
        return tuple(torch.from_numpy(x).to(self.device) for x in (self._index, values, scale))


def _float32(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float32)
