# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A bundle played by its networks instead of the linear basis that was baked from them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from avatar_ros.avatars.bundle import Bundle
from avatar_ros.avatars.bundle_files import BundleError
from avatar_ros.avatars.network.body_network import Posed
from avatar_ros.avatars.network.cached import LiveNetwork
from avatar_ros.avatars.skinned import SkinnedAvatar
from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.body.torch_kinematics import JointMotion
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import matrix_from_quat
from avatar_ros.types import FloatArray


class NetworkAvatar(SkinnedAvatar):
    """Joints, face and floor as in `SkinnedAvatar`; deformation and colours from the networks.

    Meant for CUDA; `avatar.network.*` in docs/benchmarks.md says what it costs on a CPU.
    """

    def __init__(self, bundle: Bundle, device: torch.device | str = 'cpu') -> None:
        """:raises ValueError: if the bundle holds no networks, or they are damaged."""
        if bundle.network is None:
            raise ValueError(
                f'avatar {bundle.name!r} holds no networks. Play it baked, or make it again with '
                '`avatar_ros bake RUN --with-network`.'
            )
        super().__init__(bundle, device)
        try:
            self._live = LiveNetwork(bundle.network, bundle.skeleton, len(bundle), self.device)
        except (ValueError, TypeError, RuntimeError) as error:
            raise BundleError(
                f'avatar {bundle.name!r}: its networks cannot be used ({error}). Play it baked, '
                'or write the bundle again.'
            ) from error
        self._seen: Posed | None = None

    @torch.no_grad()
    def deform(self, pose: BodyPose, expression: FaceExpression | None = None) -> Gaussians:
        """The Gaussians in the frame of the pose, in new tensors; `colors_for` colours them.

        :raises ValueError: if the pose has the wrong number of joints or is not finite.
        """
        A, turns = (self._tensor(x) for x in self.joints.motion(pose, expression))
        quats = self.joints.rotations(pose)
        basis = self.bundle.pose_basis
        if basis is not None:
            self.pose_distance = basis.distance(quats[self._pose_rows])
        rotations = self._tensor(matrix_from_quat(quats))
        shift = self._moved_by_face(torch.zeros(len(self), 3, device=self.device), expression)
        posed = self._live.pose(rotations, JointMotion(A, turns), shift)
        self._seen = posed
        *_, opacities, shown = self._on_device
        return Gaussians(posed.means, posed.quats, posed.scales, opacities, shown)

    @property
    def view_dependent(self) -> bool:
        return True

    @property
    def turns(self) -> Tensor:
        return self._shown().turns

    @torch.no_grad()
    def colors_for(self, camera_positions: Sequence[FloatArray] | FloatArray) -> Tensor:
        """RGB (C, N, 3) of the last pose as seen from C points in its frame."""
        eyes = self._tensor(np.atleast_2d(camera_positions))
        return torch.stack([self._live.colors(self._shown(), eye) for eye in eyes])

    def _shown(self) -> Posed:
        if self._seen is None:
            raise ValueError('colors_for: no pose has been deformed yet; call deform first.')
        return self._seen

    def _tensor(self, values: object) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)
