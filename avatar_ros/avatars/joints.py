# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The joints of a bundle under a pose and a face, and how they carry what is skinned to them."""

import numpy as np

from avatar_ros.avatars.bundle import Bundle
from avatar_ros.avatars.head.placing import neck_of
from avatar_ros.body import FLAME, BodyPose, FaceExpression
from avatar_ros.body.lbs import forward_kinematics, skinning_transforms
from avatar_ros.body.pose import IDENTITY_QUAT
from avatar_ros.geometry import (
    matrix_from_quat,
    quat_from_matrix,
    quat_from_rotvec,
    quat_multiply,
    rigid,
)
from avatar_ros.types import Array, FloatArray

#: How far an eye turns at a full ``eyeLook`` weight, in radians; the free body's eyes turn so.
EYE_LOOK_RAD = {'In': 0.49, 'Out': 0.49, 'Up': 0.24, 'Down': 0.40}
_JAW = {'smplx': 'jaw', 'flame': 'jaw'}
_EYES = {
    'smplx': {'left': 'left_eye_smplhf', 'right': 'right_eye_smplhf'},
    'flame': {'left': 'left_eye', 'right': 'right_eye'},
}


class BundleJoints:
    """Where a pose puts the joints of one bundle, and how they carry canonical points.

    Joints are mapped by name; those that the pose lacks stay at rest.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.rest = bundle.rest_joints.astype(float)
        self._from_canonical = _from_canonical(bundle)

    def rotations(self, pose: BodyPose) -> FloatArray:
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

    def posed_rotations(self, pose: BodyPose, expression: FaceExpression | None) -> FloatArray:
        """Parent-relative quaternions (J, 4) of the bundle's skeleton, jaw and eyes by the face."""
        rotations = self.rotations(pose)
        self._pose_face(rotations, expression)
        return rotations

    def transforms(self, pose: BodyPose, expression: FaceExpression | None) -> FloatArray:
        """Joints (J, 4, 4) in the frame of the pose."""
        rotations = self.posed_rotations(pose, expression)
        if not (np.isfinite(rotations).all() and np.isfinite(pose.T_frame_root).all()):
            raise ValueError('pose is not finite; drop the sample that it comes from.')
        root = np.asarray(pose.T_frame_root, float)
        if self.bundle.skeleton is FLAME:
            # A head hangs where the pose's neck is, whatever that pose has below.
            base, head, place = neck_of(pose, self.rest)
            neck = FLAME.index['neck']
            rotations[neck] = quat_from_matrix(base.T @ head)
            shift = self.rest[neck] - self.rest[0]
            root = rigid(base, place - base @ shift)
        return forward_kinematics(self.bundle.skeleton, self.rest, rotations, root)

    def motion(
        self, pose: BodyPose, expression: FaceExpression | None
    ) -> tuple[FloatArray, FloatArray]:
        """How joints carry canonical points (J, 3, 4), and how they turn them (J, 4) wxyz."""
        T = self.transforms(pose, expression)
        A, turns = skinning_transforms(T, self.rest), quat_from_matrix(T[:, :3, :3])
        if self._from_canonical is None:
            return A, turns
        back, back_turns = self._from_canonical
        A[:, :, 3] += np.einsum('jab,jb->ja', A[:, :, :3], back[:, :, 3])
        A[:, :, :3] = A[:, :, :3] @ back[:, :, :3]
        return A, quat_multiply(turns, back_turns)

    def inverse_bind(self) -> tuple[FloatArray, FloatArray]:
        """From canonical points to each joint's axes: quaternions (J, 4), then moves (J, 3)."""
        if self._from_canonical is None:
            return np.tile(IDENTITY_QUAT, (len(self.rest), 1)), -self.rest
        back, turns = self._from_canonical
        return turns, back[:, :, 3] - self.rest

    def reach(self) -> FloatArray:
        """Metres from each joint (J,) to the farthest that it and the joints beyond it carry."""
        bundle = self.bundle
        turns, moves = self.inverse_bind()
        main = bundle.skin_joints[np.arange(len(bundle)), bundle.skin_weights.argmax(1)]
        means = bundle.gaussians.means.double().numpy()
        local = np.einsum('nab,nb->na', matrix_from_quat(turns)[main], means) + moves[main]
        reach = np.zeros(len(moves))
        np.maximum.at(reach, main, np.linalg.norm(local, axis=1))
        parents = bundle.skeleton.parent_array
        for joint in range(len(reach) - 1, 0, -1):
            parent = parents[joint]
            bone = np.linalg.norm(self.rest[joint] - self.rest[parent])
            reach[parent] = max(reach[parent], bone + reach[joint])
        return reach

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
            by_basis = face is not None and face.drives_jaw and face.driven_by(expression)
            rotations[skeleton.index[jaw]] = IDENTITY_QUAT if by_basis else expression.jaw
        for side, joint in _EYES.get(skeleton.name, {}).items():
            rotations[skeleton.index[joint]] = eye_rotation(expression, side)


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
    """What carries points of the canonical pose back to the T-pose, as `motion` gives it."""
    if bundle.canonical is None:
        return None
    rest = bundle.rest_joints.astype(float)
    T = forward_kinematics(bundle.skeleton, rest, bundle.canonical.astype(float))
    A = np.tile(np.eye(4), (len(rest), 1, 1))
    A[:, :3] = skinning_transforms(T, rest)
    inverse = np.asarray(np.linalg.inv(A)[:, :3], dtype=np.float64)
    return inverse, quat_from_matrix(inverse[:, :, :3])
