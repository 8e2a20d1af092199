# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A head that tracked faces drive: HeadGAP's networks, with all cached that no expression moves."""

import copy
import logging
import math
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from avatar_ros.avatars.bundle_files import BundleError
from avatar_ros.avatars.head.bundle import HeadBundle
from avatar_ros.avatars.head.config import HeadNetworkConfig
from avatar_ros.avatars.head.gapnet import GapNet, LocalGaussians, ScreenCnn
from avatar_ros.avatars.head.placing import ground_height_of, neck_of
from avatar_ros.avatars.head.rig import HeadRig, displacement, place
from avatar_ros.avatars.joints import eye_rotation
from avatar_ros.body import ARKIT_52, FLAME, BodyPose, FaceExpression
from avatar_ros.cuda_graph import GraphedCall
from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.spherical_harmonics import evaluate_sh, rgb_from_sh0
from avatar_ros.geometry import rotvec_from_matrix, rotvec_from_quat
from avatar_ros.types import Array, FloatArray

_log = logging.getLogger(__name__)


class HeadAvatar:
    """A head bundle that can be posed.

    The head follows the neck and head of a body pose, or the root of a FLAME pose. Expressions
    drive it by the names of their actions.
    """

    def __init__(
        self, bundle: HeadBundle, device: torch.device | str = 'cpu', cnn: bool | None = None
    ) -> None:
        """:param cnn: draw with the screen-space network; by default on CUDA only.

        :raises BundleError: if the networks do not fit.
        """
        self.bundle, self.device = bundle, torch.device(device)
        self.pose_distance = math.nan
        self._rig = HeadRig(bundle.model, bundle.binding).to(self.device)
        self._shape = torch.zeros(0, device=self.device)
        self._seen: Gaussians | None = None
        self._base = np.eye(3)
        self._cnn: ScreenCnn | None = None
        #: On a GPU the hundreds of small kernels of `_act` take longer to launch than to run.
        self.acting = GraphedCall(self._act)
        tensors = {
            name: torch.from_numpy(np.array(values)).to(self.device)
            for name, values in bundle.tensors.items()
        }
        with torch.no_grad():
            self._rest = self._rig.rest(self._shape)
            if bundle.config is None:
                self._sh = tensors['sh']
                names = ('means', 'quats', 'scales', 'opacities')
                self._local = LocalGaussians(*(tensors[name][None] for name in names))
            else:
                self._load_networks(bundle.config, tensors, cnn)

    def _load_networks(
        self, config: HeadNetworkConfig, tensors: dict[str, Tensor], cnn: bool | None
    ) -> None:
        binding = self.bundle.binding
        net = GapNet(config, binding.slices, torch.from_numpy(binding.log_scale))
        weights = {k.removeprefix('net.'): v for k, v in tensors.items() if k.startswith('net.')}
        try:
            net.load_state_dict(weights)
        except RuntimeError as error:
            raise BundleError(
                f'avatar {self.name!r}: its networks do not fit ({str(error)[:300]}). '
                'Write the bundle again.'
            ) from error
        self._net = net.to(self.device).requires_grad_(False)
        if self.device.type == 'cuda' if cnn is None else cnn:
            self._cnn = net.cnn
        self._outputs = config.features if self._cnn is not None else 3
        geometry = net.geometry(tensors['point'], tensors['code'])
        self._local = net.local(geometry)
        self._first = net.appearance_net.fixed(tensors['point'], tensors['code'], (geometry,))

    def twin(self) -> 'HeadAvatar':
        """The same head for another person; networks are shared, poses are not."""
        return copy.copy(self)

    @property
    def name(self) -> str:
        return self.bundle.name

    def __len__(self) -> int:
        return len(self.bundle)

    @property
    def view_dependent(self) -> bool:
        return self.bundle.config is None and self._sh.shape[1] > 1

    @property
    def refine(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """What turns splatted features (C, H, W, D) on black and coverage into RGB, if anything."""
        return None if self._cnn is None else self._refine

    def _refine(self, splatted: Tensor, alphas: Tensor) -> Tensor:
        assert self._cnn is not None
        # Half precision is far finer than a grey level, and several times as fast.
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == 'cuda'):
            return self._cnn(splatted, alphas).float()

    @torch.no_grad()
    def deform(self, pose: BodyPose, expression: FaceExpression | None = None) -> Gaussians:
        """The Gaussians in the frame of the pose, in new tensors.

        Colours are RGB, or features for `refine` if there is one.

        :raises ValueError: if the pose or the expression is not finite.
        """
        rotvecs, translation = self._flame_pose(pose, expression)
        weights = self.expression_weights(expression)
        if not (np.isfinite(rotvecs).all() and np.isfinite(translation).all()):
            raise ValueError('pose is not finite; drop the sample that it comes from.')
        means, quats, scales, colors = self.acting(
            *(self._tensor(values[None]) for values in (weights, rotvecs, translation))
        )
        self._seen = Gaussians(means, quats, scales, self._local.opacities[0], colors)
        return self._seen

    def _act(
        self, weights: Tensor, rotvecs: Tensor, translation: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means, quaternions, scales and colours or features (N, ...) of one instant."""
        frames = self._rig.frames(self._shape, weights, rotvecs, translation, rest=self._rest)
        means, quats, scales = place(self._local, frames)
        if self.bundle.config is None:
            colors = rgb_from_sh0(self._sh[:, 0]).clamp(0, 1)
        else:
            moved = self._net.scaled(displacement(self._local, frames))
            finished = self._net.appearance_net.finish(self._first, moved, self._outputs)
            colors = torch.sigmoid(finished)[0]
        return means[0], quats[0], scales[0], colors.contiguous()

    def colors_for(self, camera_positions: Sequence[FloatArray] | FloatArray) -> Tensor:
        """RGB (C, N, 3) of the last pose as seen from C points in its frame.

        Light stays with the head's root, as it did where the head was captured.
        """
        if self._seen is None or not self.view_dependent:
            raise ValueError(f'avatar {self.name!r}: use the colours of deform.')
        back = self._tensor(self._base)
        ways = (self._seen.means - eye for eye in self._tensor(np.atleast_2d(camera_positions)))
        return torch.stack([evaluate_sh(self._sh, way @ back) for way in ways])

    def expression_weights(self, expression: FaceExpression | None) -> FloatArray:
        """Weights (E,) of the bundle's own basis; zeros for a face that is not seen."""
        names = self.bundle.model.expression_names
        if expression is None or expression.confidence <= 0:
            return np.zeros(len(names))
        if expression.basis == self.bundle.basis:
            weights = expression.weights_for(names)
            if self.bundle.basis == 'arkit52':
                weights = np.clip(weights, 0, 1)
        elif expression.basis == 'arkit52' and self._from_arkit is not None:
            actions = np.clip(expression.weights_for(ARKIT_52), 0, 1)
            weights = actions @ self._from_arkit[:, :-3]
        else:
            weights = np.zeros(len(names))
        if not np.isfinite(weights).all():
            bad = names[int(np.flatnonzero(~np.isfinite(weights))[0])]
            raise ValueError(f'expression weight {bad!r} is not finite; expected 0..1.')
        return np.asarray(weights)

    def ground_height(self, pose: BodyPose, up: FloatArray | None = None) -> float:
        """Height along `up` of the floor: so far below the neck as it is for a standing person."""
        return ground_height_of(pose, self._rest_joints, up)

    @property
    def _from_arkit(self) -> Array | None:
        return self.bundle.arkit_to_expression

    def _flame_pose(
        self, pose: BodyPose, expression: FaceExpression | None
    ) -> tuple[FloatArray, FloatArray]:
        """Rotation vectors (5, 3) and translation (3,)."""
        base, neck, place_of_neck = neck_of(pose, self._rest_joints)
        self._base = base
        rotvecs = np.zeros((len(FLAME), 3))
        rotvecs[0] = rotvec_from_matrix(base)
        rotvecs[1] = rotvec_from_matrix(base.T @ neck)
        if expression is not None and expression.confidence > 0:
            for side in ('left', 'right'):
                turn = eye_rotation(expression, side)
                rotvecs[FLAME.index[f'{side}_eye']] = rotvec_from_quat(turn)
            if self.bundle.basis == 'flame' and expression.basis == 'arkit52':
                if self._from_arkit is not None:
                    actions = np.clip(expression.weights_for(ARKIT_52), 0, 1)
                    rotvecs[2] = actions @ self._from_arkit[:, -3:]
            elif self.bundle.basis == 'flame':
                rotvecs[2] = rotvec_from_quat(expression.jaw)
        root, joint = self._rest_joints[0], self._rest_joints[1]
        return rotvecs, place_of_neck - base @ (joint - root) - root

    @cached_property
    def _rest_joints(self) -> FloatArray:
        return self.bundle.model.rest_joints()

    def _tensor(self, values: FloatArray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)
