# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Gaussians are fitted to the pictures of the mesh, in many poses."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from avatar_ros.avatars import Bundle, SkinnedAvatar
from avatar_ros.body import ARKIT_52, SMPLX, BodyPose, FaceExpression
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera, look_at, quat_from_rotvec
from avatar_ros.geometry.torch_rotations import quat_multiply
from avatar_ros.render import select_engine

#: Step sizes of the refinement.
RATES = {'means': 4e-5, 'colors': 8e-3, 'opacities': 2e-2, 'scales': 8e-3, 'quats': 4e-3}


class Refinement:
    """Fits colours, shapes and small shifts to the pictures of the mesh, in many poses."""

    def __init__(self, bundle: Bundle, views: Path, spacing: np.ndarray) -> None:
        self.bundle, self.avatar = bundle, SkinnedAvatar(bundle)
        self.engine = select_engine('numba')
        with np.load(views) as data:
            self.views = {key: data[key] for key in data.files}
        g = bundle.gaussians
        self.start = g.means.clone()
        self.reach = torch.from_numpy(spacing.astype(np.float32))[:, None]
        self.start_scales = g.scales.log()
        self.parameters = {
            'means': g.means.clone(),
            'colors': (g.colors[:, 0] * 0.28209479 + 0.5).clone(),
            'opacities': torch.logit(g.opacities),
            'scales': g.scales.log(),
            'quats': g.quats.clone(),
        }
        for value in self.parameters.values():
            value.requires_grad_(True)

    def gaussians(self) -> Gaussians:
        """The T-pose as it stands, with plain RGB colours."""
        p = self.parameters
        return Gaussians(
            means=p['means'],
            quats=p['quats'],
            scales=p['scales'].exp(),
            opacities=torch.sigmoid(p['opacities']),
            colors=p['colors'],
        )

    def camera(self, i: int, size: int) -> Camera:
        focal = 2.2 * size
        K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
        return Camera(K, size, size, look_at(self.views['eyes'][i], self.views['targets'][i]))

    def posed(self, i: int) -> Gaussians:
        """The set in the pose of a picture; gradients pass through skinning."""
        if not hasattr(self, '_motions'):
            self._motions: dict[tuple[str, str], tuple[Tensor, Tensor, Tensor]] = {}
        v = self.views
        key = (str(v['poses'][i]), str(v['faces'][i]))
        if key not in self._motions:
            self._motions[key] = self._motion(v['rotvecs'][i], v['expressions'][i])
        matrices, turns, offset = self._motions[key]
        g = self.gaussians()
        means = g.means + offset
        means = (matrices[:, :, :3] @ means[:, :, None])[..., 0] + matrices[:, :, 3]
        quats = quat_multiply(turns, g.quats)
        return Gaussians(means, quats, g.scales, g.opacities, g.colors)

    def _motion(self, rotvecs: np.ndarray, weights: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        pose = BodyPose(SMPLX, np.eye(4), quat_from_rotvec(rotvecs), np.ones(len(SMPLX)))
        face = FaceExpression('arkit52', ARKIT_52, weights)
        self.avatar.deform(pose, face)
        A, _ = self.avatar.joints.motion(pose, face)
        A_t = torch.from_numpy(A).float()[torch.from_numpy(self.bundle.skin_joints).long()]
        matrices = torch.einsum('nk,nkab->nab', torch.from_numpy(self.bundle.skin_weights), A_t)
        offset = torch.zeros(len(self.bundle), 3)
        basis = self.bundle.expression
        assert basis is not None
        offset[torch.from_numpy(basis.index).long()] = torch.from_numpy(basis.offsets(weights))
        return matrices, self.avatar.turns.clone(), offset

    def run(self, iterations: int, seed: int) -> float:
        """Fit; returns the mean error of the last hundred steps (L1, 0..1)."""
        rng = np.random.default_rng(seed)
        groups = [{'params': [p], 'lr': RATES[n]} for n, p in self.parameters.items()]
        optimizer = torch.optim.Adam(groups, eps=1e-15)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.08 ** (1 / iterations))
        order: list[int] = []
        errors: list[float] = []
        for step in tqdm(range(iterations), desc='refining', unit='step'):
            order = order or list(rng.permutation(len(self.views['images'])))
            i = int(order.pop())
            image = torch.from_numpy(self.views['images'][i]).float() / 255
            size = image.shape[0]
            background = torch.from_numpy(rng.random(3).astype(np.float32))
            target = image[..., :3] + (1 - image[..., 3:]) * background
            shown = self.engine.rasterize(
                self.posed(i), [self.camera(i, size)], backgrounds=background[None]
            )
            rendered = shown.colors[0]
            difference = (rendered - target).abs()
            loss = difference.mean()
            if step % 2 == 0:
                loss = 0.8 * loss + 0.2 * (1 - ssim(rendered, target))
            loss = loss + self._penalty()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                self._limit()
            errors.append(float(difference.mean()))
        return float(np.mean(errors[-100:]))

    def _penalty(self) -> Tensor:
        """Stay on the surface, stay flat, leave no hole for a pose that was not pictured."""
        p = self.parameters
        drift = ((p['means'] - self.start) / self.reach).square().mean()
        shrink = (self.start_scales - p['scales'] - 0.25).clamp_min(0)[:, :2].square().mean()
        return 0.002 * drift + 0.02 * shrink

    def _limit(self) -> None:
        p = self.parameters
        drift = p['means'] - self.start
        limit = self.reach * 0.8
        length = drift.norm(dim=1, keepdim=True)
        p['means'].copy_(self.start + drift * (limit / length.clamp_min(1e-9)).clamp_max(1))
        p['scales'].copy_(
            torch.minimum(
                torch.maximum(p['scales'], self.start_scales - 1.2), self.start_scales + 0.7
            )
        )
        p['colors'].clamp_(0, 1)
        p['opacities'].clamp_(-5, 6)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of two images (H, W, 3), box window of 7 pixels."""
    x, y = (v.permute(2, 0, 1)[None] for v in (a, b))
    pool = lambda v: torch.nn.functional.avg_pool2d(v, 7, 2)  # noqa: E731
    mx, my = pool(x), pool(y)
    xx, yy, xy = pool(x * x) - mx * mx, pool(y * y) - my * my, pool(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * mx * my + c1) * (2 * xy + c2) / ((mx * mx + my * my + c1) * (xx + yy + c2))
    return score.mean()
