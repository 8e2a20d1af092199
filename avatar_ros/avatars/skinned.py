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

import numba
import numpy as np
import torch
from torch import Tensor

from avatar_ros.avatars.bundle import Bundle
from avatar_ros.avatars.head.placing import ground_height_of, neck_of
from avatar_ros.body import FLAME, BodyPose, FaceExpression
from avatar_ros.body.lbs import forward_kinematics, skin_points_torch, skinning_transforms
from avatar_ros.body.pose import IDENTITY_QUAT
from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.spherical_harmonics import evaluate_sh, evaluate_sh_into, rgb_from_sh0
from avatar_ros.geometry import (
    matrix_from_quat,
    quat_from_matrix,
    quat_from_rotvec,
    quat_multiply,
    rigid,
    torch_rotations,
)
from avatar_ros.types import Array, FloatArray

#: How far an eye turns at a full ``eyeLook`` weight, in radians; the free body's eyes turn so.
EYE_LOOK_RAD = {'In': 0.49, 'Out': 0.49, 'Up': 0.24, 'Down': 0.40}
_JAW = {'smplx': 'jaw', 'flame': 'jaw'}
_EYES = {
    'smplx': {'left': 'left_eye_smplhf', 'right': 'right_eye_smplhf'},
    'flame': {'left': 'left_eye', 'right': 'right_eye'},
}


class SkinnedAvatar:
    """A bundle that can be posed.

    Joint rotations are taken as they come: whoever filters a pose decides what an unseen joint
    does. Joints are mapped by name; those that the pose lacks stay at rest. `betas` are ignored:
    a bundle is one person.
    """

    def __init__(self, bundle: Bundle, device: torch.device | str = 'cpu') -> None:
        self.bundle = bundle
        self.device = torch.device(device)
        g = bundle.gaussians
        self._rest_means = _float32(g.means)
        self._rest_quats = _float32(g.quats)
        self._rest_joints = bundle.rest_joints.astype(float)
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
        self._from_canonical = _from_canonical(bundle)
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
        A, turns = self.joint_motion(pose, expression)
        self._change_by_pose(pose)
        weights = self.expression_weights(expression)
        used = np.flatnonzero(weights)
        self._offset[:] = 0
        if used.size:
            assert self.bundle.expression is not None
            steps = (weights * self.bundle.expression.scale).astype(np.float32)
            _add_actions(self._basis, used, steps, self._offset.reshape(-1))
        _skin(
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
        quats = self._rotations(pose)[self._pose_rows]
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
            for x in self.joint_motion(pose, expression)
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
        quats = self._rotations(pose)[self._pose_rows]
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
            _canonical_view(means, turns, eye, away)
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
        if face is None:
            return np.zeros(0)
        if not _drives(expression, face.basis):
            return np.zeros(len(face.names))
        assert expression is not None
        weights = expression.weights_for(face.names)
        if not np.isfinite(weights).all():
            bad = face.names[int(np.flatnonzero(~np.isfinite(weights))[0])]
            raise ValueError(f'expression weight {bad!r} is not finite; expected 0..1.')
        return weights

    def sole_points(self, pose: BodyPose) -> FloatArray:
        """Points (S, 3) under the feet in the frame of the pose."""
        A, _ = self.joint_motion(pose, None)
        A = A[self.bundle.sole_joints]
        turned = np.einsum('sab,sb->sa', A[:, :, :3], self.bundle.sole_points)
        return np.asarray(turned + A[:, :, 3])

    def joint_positions(self, pose: BodyPose) -> FloatArray:
        """Joints (J, 3) of the bundle's skeleton in the frame of the pose."""
        return np.asarray(self._joint_transforms(pose, None)[:, :3, 3])

    def ground_height(self, pose: BodyPose, up: FloatArray | None = None) -> float:
        """Height along `up` (default y) of the lowest point of the feet, in metres."""
        if self.bundle.skeleton is FLAME:
            return ground_height_of(pose, self._rest_joints, up)
        points = self.sole_points(pose)
        if not len(points):
            raise ValueError(f'avatar {self.name!r} has no sole points; its floor is unknown.')
        return float((points @ (np.array([0.0, 1.0, 0.0]) if up is None else up)).min())

    def joint_motion(
        self, pose: BodyPose, expression: FaceExpression | None
    ) -> tuple[FloatArray, FloatArray]:
        """How joints carry canonical points (J, 3, 4), and how they turn them (J, 4) wxyz."""
        T = self._joint_transforms(pose, expression)
        A, turns = skinning_transforms(T, self._rest_joints), quat_from_matrix(T[:, :3, :3])
        if self._from_canonical is None:
            return A, turns
        back, back_turns = self._from_canonical
        A[:, :, 3] += np.einsum('jab,jb->ja', A[:, :, :3], back[:, :, 3])
        A[:, :, :3] = A[:, :, :3] @ back[:, :, :3]
        return A, quat_multiply(turns, back_turns)

    # -- for those who pose it elsewhere -----------------------------------------------------

    def posed_rotations(self, pose: BodyPose, expression: FaceExpression | None) -> FloatArray:
        """Parent-relative quaternions (J, 4) of the bundle's skeleton, jaw and eyes by the face."""
        rotations = self._rotations(pose)
        self._pose_face(rotations, expression)
        return rotations

    def pose_coefficients(self, pose: BodyPose) -> Array:
        """Weights (K,) float32 of the pose basis; none without one."""
        basis = self.bundle.pose_basis
        if basis is None:
            return np.zeros(0, np.float32)
        return basis.coefficients(self._rotations(pose)[self._pose_rows])

    def inverse_bind(self) -> tuple[FloatArray, FloatArray]:
        """From canonical points to each joint's axes: quaternions (J, 4), then moves (J, 3)."""
        if self._from_canonical is None:
            return np.tile(IDENTITY_QUAT, (len(self._rest_joints), 1)), -self._rest_joints
        back, turns = self._from_canonical
        return turns, back[:, :, 3] - self._rest_joints

    def reach(self) -> FloatArray:
        """Metres from each joint (J,) to the farthest that it and the joints beyond it carry."""
        turns, moves = self.inverse_bind()
        main = self._skin_joints[np.arange(len(self)), self._skin_weights.argmax(1)]
        means = self._rest_means.astype(float)
        local = np.einsum('nab,nb->na', matrix_from_quat(turns)[main], means) + moves[main]
        reach = np.zeros(len(moves))
        np.maximum.at(reach, main, np.linalg.norm(local, axis=1))
        parents = self.bundle.skeleton.parent_array
        for joint in range(len(reach) - 1, 0, -1):
            parent = parents[joint]
            bone = np.linalg.norm(self._rest_joints[joint] - self._rest_joints[parent])
            reach[parent] = max(reach[parent], bone + reach[joint])
        return reach

    def _joint_transforms(self, pose: BodyPose, expression: FaceExpression | None) -> FloatArray:
        """Joints (J, 4, 4) in the frame of the pose."""
        rotations = self.posed_rotations(pose, expression)
        if not (np.isfinite(rotations).all() and np.isfinite(pose.T_frame_root).all()):
            raise ValueError('pose is not finite; drop the sample that it comes from.')
        root = np.asarray(pose.T_frame_root, float)
        if self.bundle.skeleton is FLAME:
            # A head hangs where the pose's neck is, whatever that pose has below.
            base, head, place = neck_of(pose, self._rest_joints)
            neck = FLAME.index['neck']
            rotations[neck] = quat_from_matrix(base.T @ head)
            shift = self._rest_joints[neck] - self._rest_joints[0]
            root = rigid(base, place - base @ shift)
        return forward_kinematics(self.bundle.skeleton, self._rest_joints, rotations, root)

    def _rotations(self, pose: BodyPose) -> FloatArray:
        """Quaternions (J, 4) of the bundle's skeleton; joints that the pose lacks are at rest."""
        if len(pose.rotations) != len(pose.skeleton):
            raise ValueError(
                f'pose has {len(pose.rotations)} rotations; skeleton {pose.skeleton.name!r} '
                f'needs {len(pose.skeleton)}.'
            )
        rotations = np.tile(IDENTITY_QUAT, (len(self.bundle.skeleton), 1))
        mine, theirs = self._map_from(pose)
        rotations[mine] = np.asarray(pose.rotations, dtype=float)[theirs]
        return rotations

    def _map_from(self, pose: BodyPose) -> tuple[Array, Array]:
        skeleton = self.bundle.skeleton
        if pose.skeleton is skeleton:
            rows = np.arange(1, len(skeleton))
            return rows, rows
        shared = [j for j in skeleton.joints[1:] if j in pose.skeleton.index]
        return skeleton.rows(shared), pose.skeleton.rows(shared)

    def _pose_face(self, rotations: FloatArray, expression: FaceExpression | None) -> None:
        """Replace jaw and eye rotations by those of a face that is seen."""
        if expression is None or expression.confidence <= 0:
            return
        skeleton, face = self.bundle.skeleton, self.bundle.expression
        jaw = _JAW.get(skeleton.name)
        if jaw:
            by_basis = face is not None and face.drives_jaw and _drives(expression, face.basis)
            rotations[skeleton.index[jaw]] = IDENTITY_QUAT if by_basis else expression.jaw
        for side, joint in _EYES.get(skeleton.name, {}).items():
            rotations[skeleton.index[joint]] = eye_rotation(expression, side)

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


def eye_rotation(expression: FaceExpression, side: str) -> FloatArray:
    """Rotation (4,) of the ``left`` or ``right`` eye relative to the head.

    Trackers without an eye rotation leave it at the identity; then the ARKit ``eyeLook``
    weights say where the eye looks.
    """
    given = expression.left_eye if side == 'left' else expression.right_eye
    if not np.allclose(given, IDENTITY_QUAT, atol=1e-6) or expression.basis != 'arkit52':
        return np.asarray(given, dtype=float)
    names = tuple(f'eyeLook{way}{side.capitalize()}' for way in EYE_LOOK_RAD)
    inward, outward, upward, downward = expression.weights_for(names) * list(EYE_LOOK_RAD.values())
    to_the_left = outward - inward if side == 'left' else inward - outward
    yaw, pitch = quat_from_rotvec([0, to_the_left, 0]), quat_from_rotvec([downward - upward, 0, 0])
    return quat_multiply(yaw, pitch)


def _from_canonical(bundle: Bundle) -> tuple[FloatArray, FloatArray] | None:
    """What carries points of the canonical pose back to the T-pose, as `joint_motion` gives it."""
    if bundle.canonical is None:
        return None
    rest = bundle.rest_joints.astype(float)
    T = forward_kinematics(bundle.skeleton, rest, bundle.canonical.astype(float))
    A = np.tile(np.eye(4), (len(rest), 1, 1))
    A[:, :3] = skinning_transforms(T, rest)
    inverse = np.asarray(np.linalg.inv(A)[:, :3], dtype=np.float64)
    return inverse, quat_from_matrix(inverse[:, :, :3])


def _drives(expression: FaceExpression | None, basis: str) -> bool:
    return expression is not None and expression.confidence > 0 and expression.basis == basis


def _float32(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float32)


@numba.njit(fastmath=True, nogil=True, cache=True, error_model='numpy')
def _add_actions(basis: Array, used: Array, steps: Array, out: Array) -> None:
    """out (3M,) += steps[k] * basis[k] for the used rows; blocks stay in the first cache."""
    block = 4096
    for start in range(0, out.shape[0], block):
        end = min(start + block, out.shape[0])
        for k in used:
            step = steps[k]
            row = basis[k, start:end]
            part = out[start:end]
            for i in range(end - start):
                part[i] += step * np.float32(row[i])


@numba.njit(fastmath=True, nogil=True, cache=True, error_model='numpy')
def _canonical_view(means: Array, turns: Array, eye: Array, away: Array) -> None:
    """Fill `away` (N, 3): from the eye to each mean, turned back into the canonical pose."""
    for i in range(means.shape[0]):
        x, y, z = means[i, 0] - eye[0], means[i, 1] - eye[1], means[i, 2] - eye[2]
        w, a, b, c = turns[i, 0], -turns[i, 1], -turns[i, 2], -turns[i, 3]
        two = np.float32(2)
        p, q, r = two * (b * z - c * y), two * (c * x - a * z), two * (a * y - b * x)
        away[i, 0] = x + w * p + b * r - c * q
        away[i, 1] = y + w * q + c * p - a * r
        away[i, 2] = z + w * r + a * q - b * p


@numba.njit(fastmath=True, nogil=True, cache=True, error_model='numpy')
def _skin(
    rest_means: Array,
    rest_quats: Array,
    index: Array,
    offset: Array,
    change: Array,
    joints: Array,
    weights: Array,
    A: Array,
    turns: Array,
    means: Array,
    quats: Array,
    blended: Array,
) -> None:
    """Fill means (N, 3), quats (N, 4) and the blended rotations (N, 4)."""
    m = 0
    for i in range(rest_means.shape[0]):
        x = rest_means[i, 0]
        y = rest_means[i, 1]
        z = rest_means[i, 2]
        if m < index.shape[0] and index[m] == i:
            x += offset[m, 0]
            y += offset[m, 1]
            z += offset[m, 2]
            m += 1
        if change.shape[1]:
            x += change[0, i, 0]
            y += change[0, i, 1]
            z += change[0, i, 2]
        ox = oy = oz = np.float32(0)
        w = a = b = c = np.float32(0)
        first = turns[joints[i, 0]]
        for k in range(joints.shape[1]):
            s = weights[i, k]
            if s == np.float32(0):
                continue
            T = A[joints[i, k]]
            ox += s * (T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3])
            oy += s * (T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3])
            oz += s * (T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3])
            q = turns[joints[i, k]]
            # q and -q are the same rotation: blend on one half of the sphere.
            if q[0] * first[0] + q[1] * first[1] + q[2] * first[2] + q[3] * first[3] < 0:
                s = -s
            w += s * q[0]
            a += s * q[1]
            b += s * q[2]
            c += s * q[3]
        scale = np.float32(1) / np.sqrt(w * w + a * a + b * b + c * c)
        w *= scale
        a *= scale
        b *= scale
        c *= scale
        means[i, 0] = ox
        means[i, 1] = oy
        means[i, 2] = oz
        blended[i, 0] = w
        blended[i, 1] = a
        blended[i, 2] = b
        blended[i, 3] = c
        rw = rest_quats[i, 0]
        ra = rest_quats[i, 1]
        rb = rest_quats[i, 2]
        rc = rest_quats[i, 3]
        if change.shape[1]:
            # Not of unit length: rasterizers normalise.
            ha = np.float32(0.5) * change[2, i, 0]
            hb = np.float32(0.5) * change[2, i, 1]
            hc = np.float32(0.5) * change[2, i, 2]
            tw = rw - ha * ra - hb * rb - hc * rc
            ta = ra + ha * rw + hb * rc - hc * rb
            tb = rb - ha * rc + hb * rw + hc * ra
            rc = rc + ha * rb - hb * ra + hc * rw
            rw, ra, rb = tw, ta, tb
        quats[i, 0] = w * rw - a * ra - b * rb - c * rc
        quats[i, 1] = w * ra + a * rw + b * rc - c * rb
        quats[i, 2] = w * rb - a * rc + b * rw + c * ra
        quats[i, 3] = w * rc + a * rb - b * ra + c * rw
