# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Networks into a bundle: skinning weights, spherical harmonics, and a linear basis of the pose.

The networks are asked what they change in the poses of the capture and in mixtures of them. A
principal component analysis of the answers is the basis, a kernel regression finds the
coefficients of any other pose (`avatars.pose_basis`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from avatar_ros.avatars.bundle import Bundle
from avatar_ros.avatars.expression_basis import ExpressionBasis
from avatar_ros.avatars.network.body_network import Canonical, Posed, PoseInput
from avatar_ros.avatars.network.cached import CachedNetwork, pack
from avatar_ros.avatars.network.limbs import body_joints
from avatar_ros.avatars.pose_basis import GROUPS, PoseBasis, rotation_features
from avatar_ros.body.lbs import top_k_weights
from avatar_ros.body.torch_kinematics import JointMotion
from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.spherical_harmonics import sh_basis
from avatar_ros.geometry.torch_rotations import (
    matrix_from_quat,
    quat_from_rotvec,
    quat_multiply,
)
from avatar_ros.training.body.playback import NetworkPlayer
from avatar_ros.types import Array, FloatArray

#: What differs as much as one of these counts the same in the analysis: metres, logarithms of
#: scales, radians, RGB.
_UNITS = np.array([0.003, 0.3, 0.3, 0.03])
_STILL_M = 2e-4
_SOLES = 48


@dataclass(frozen=True)
class BakeOptions:
    """How fine the bundle is."""

    components: int = 32
    poses: int = 384
    """Poses that the networks are asked about: those of the capture, then mixtures of them."""
    sh_degree: int = 1
    drop_opacity: float = 0.02
    network: bool = False
    """Whether the bundle holds the networks too, for live play on CUDA."""
    seed: int = 0


@torch.no_grad()
def bake(player: NetworkPlayer, rows: Sequence[int], options: BakeOptions, **about: Any) -> Bundle:
    """The bundle of a trained state; `rows` are the instants that it was trained on."""
    state = player.state
    skeleton = state.body.skeleton
    known = _known_quats(player, rows)
    quats = np.concatenate([known, _mixtures(known, skeleton.joints, options)])
    opacities = torch.sigmoid(state.gaussians.logits)
    kept = torch.nonzero(opacities > options.drop_opacity)[:, 0]
    changes, features = _answers(player, quats, kept)
    mean = changes[:, : len(known)].mean(1)
    basis = _basis(changes - mean[:, None], quats, len(known), skeleton.joints, options)

    canonical = state.canonical(rows[0])
    means = canonical.means[kept].cpu().numpy() + mean[0]
    log_scales = canonical.log_scales[kept].cpu().numpy() + mean[1]
    turn = np.concatenate([np.ones((len(kept), 1)), mean[2] / 2], axis=1)
    weights = state.network.weights(
        torch.from_numpy(means).to(state.device),
        None if canonical.shares is None else canonical.shares[kept],
    )
    skin_joints, skin_weights = top_k_weights(weights.cpu().numpy())
    gaussians = Gaussians(
        torch.from_numpy(means.astype(np.float32)),
        _multiplied(turn, canonical.quats[kept].cpu()),
        torch.from_numpy(np.exp(log_scales).astype(np.float32)),
        opacities[kept].cpu(),
        _harmonics(player, kept, features, options.sh_degree),
        options.sh_degree,
    )
    soles, sole_joints = _soles(player, means, weights.cpu().numpy(), gaussians)
    return Bundle(
        name=str(about.pop('name', state.capture.name)),
        licence=state.capture.licence,
        skeleton=skeleton,
        gaussians=gaussians,
        rest_joints=state.body.rest_joints.cpu().numpy(),
        skin_joints=skin_joints,
        skin_weights=skin_weights,
        canonical=state.body.quats.cpu().numpy(),
        pose_basis=basis,
        network=_packed(player, kept, np.abs(changes[:3]).max(1)) if options.network else None,
        expression=_expression(player, kept),
        sole_points=soles,
        sole_joints=sole_joints,
        provenance=about,
    )


def _packed(player: NetworkPlayer, kept: Tensor, limit: Array) -> CachedNetwork | None:
    """The networks with what is cached of the kept Gaussians; None before they take part."""
    state = player.state
    if state.iteration <= state.config.schedule.nonrigid_from:
        return None
    whole = state.canonical(0)
    canonical = Canonical(
        whole.means[kept],
        whole.quats[kept],
        whole.log_scales[kept],
        whole.features[kept],
        shares=None if whole.shares is None else whole.shares[kept],
    )
    geometry = None if player.geometry is None else player.geometry[kept]
    return pack(state.network, canonical, player.encoded[kept], geometry, limit)


def _known_quats(player: NetworkPlayer, rows: Sequence[int]) -> FloatArray:
    """Quaternions (T, B, 4) of the body joints but the root, in the instants of training."""
    count = len(body_joints(player.state.body.skeleton))
    rotvecs = player.state.poses.rotvecs.detach()[sorted(set(rows))][:, 1:count]
    return quat_from_rotvec(rotvecs).double().cpu().numpy()


def _mixtures(known: FloatArray, joints: Sequence[str], options: BakeOptions) -> FloatArray:
    """New poses (M, B, 4) whose trunk, arms and legs are from different instants."""
    rng = np.random.default_rng(options.seed)
    count = max(options.poses - len(known), 0)
    names = joints[1 : known.shape[1] + 1]
    leg = ('hip', 'knee', 'ankle', 'foot')
    trunk = ('spine', 'neck', 'head')
    limb = np.array(
        [
            0 if any(w in n for w in trunk) else 1 + 2 * any(w in n for w in leg) + ('left' in n)
            for n in names
        ]
    )
    source = rng.integers(len(known), size=(count, 2, 5))[:, :, limb]
    share = rng.random((count, 1, 1))
    rows = np.arange(known.shape[1])
    a, b = known[source[:, 0], rows], known[source[:, 1], rows]
    b = np.where((a * b).sum(-1, keepdims=True) < 0, -b, b)
    mixed = a * (1 - share) + b * share
    return np.asarray(mixed / np.linalg.norm(mixed, axis=-1, keepdims=True))


def _answers(player: NetworkPlayer, quats: FloatArray, kept: Tensor) -> tuple[Array, Tensor]:
    """What changes in each pose: (4, P, N, 3), and the mean non-rigid feature (N, Z)."""
    state = player.state
    joints = len(state.body.skeleton)
    eye = torch.eye(3, device=state.device).repeat(joints, 1, 1)
    nowhere = JointMotion(torch.zeros(joints, 3, 4), torch.zeros(joints, 4))
    result = np.empty((len(GROUPS), len(quats), len(kept), 3), np.float32)
    total: Tensor | None = None
    directions = _sphere(8).to(state.device)
    for p, pose in enumerate(tqdm(quats, 'asking the networks', leave=False)):
        rotations = eye.clone()
        known = torch.as_tensor(pose, dtype=torch.float32, device=state.device)
        rotations[1 : len(pose) + 1] = matrix_from_quat(known)
        change = player.change_of(PoseInput(rotations, nowhere))
        result[0, p] = change.means[kept].cpu().numpy()
        result[1, p] = change.log_scales[kept].cpu().numpy()
        turn = change.quats[kept]
        result[2, p] = (2 * turn[:, 1:] / turn[:, :1]).cpu().numpy()
        seen = _colors(player, kept, change.features[kept], directions)
        result[3, p] = seen.mean(0).cpu().numpy()
        total = change.features[kept] if total is None else total + change.features[kept]
    assert total is not None
    return result, total / len(quats)


def _colors(player: NetworkPlayer, kept: Tensor, features: Tensor, directions: Tensor) -> Tensor:
    """RGB (D, N, 3) seen along canonical directions (D, 3)."""
    state, count = player.state, len(kept)
    still = features.new_zeros(count, 4)
    still[:, 0] = 1
    zeros = features.new_zeros(count, 3)
    posed = Posed(zeros, still, zeros, still, features)
    learned = state.gaussians.features[kept]
    latent = state.network.latent(None)
    return torch.stack([state.network.colors(learned, posed, -way, latent) for way in directions])


def _sphere(count: int) -> Tensor:
    """Directions (count, 3) spread evenly (Fibonacci)."""
    k = torch.arange(count) + 0.5
    z, angle = 1 - 2 * k / count, k * (np.pi * (1 + 5**0.5))
    r = (1 - z**2).sqrt()
    return torch.stack([r * torch.cos(angle), r * torch.sin(angle), z], dim=1)


def _harmonics(player: NetworkPlayer, kept: Tensor, features: Tensor, degree: int) -> Tensor:
    """Spherical harmonics (N, K, 3) nearest to the network's colours."""
    directions = _sphere(48).to(features)
    colors = _colors(player, kept, features, directions)
    basis = sh_basis(directions, degree)
    fitted = torch.linalg.lstsq(basis, (colors - 0.5).flatten(1)).solution
    return fitted.unflatten(1, (len(kept), 3)).permute(1, 0, 2).contiguous().cpu()


def _basis(
    changes: Array, quats: FloatArray, training: int, joints: Sequence[str], options: BakeOptions
) -> PoseBasis:
    """Principal components of changes (4, P, N, 3) about the mean, in 8 bits."""
    scaled = changes / _UNITS[:, None, None, None].astype(np.float32)
    rows = scaled.transpose(1, 0, 2, 3).reshape(changes.shape[1], -1)
    gram = (rows @ rows.T).astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    best = np.argsort(-values)[: min(options.components, len(values))]
    best = best[values[best] > max(values.max() * 1e-9, 1e-12)]
    if not len(best):
        best = np.argsort(-values)[:1]
    size = np.sqrt(np.maximum(values[best], 1e-12))
    weights = vectors[:, best] * size
    components = (vectors[:, best] / size).T.astype(np.float32) @ rows
    components = components.reshape(len(best), len(GROUPS), -1) * _UNITS[:, None]
    scale = np.maximum(np.abs(components).max(2), 1e-12) / 127
    steps = np.rint(components / scale[:, :, None]).clip(-127, 127).astype(np.int8)
    length_scale, regression = fit_regression(rotation_features(quats), weights)
    return PoseBasis(
        joints=tuple(joints[1 : quats.shape[1] + 1]),
        centres=quats.astype(np.float32),
        length_scale=length_scale,
        regression=regression.astype(np.float32),
        limit=np.abs(weights).max(0).astype(np.float32),
        values=steps.transpose(1, 0, 2).reshape(len(GROUPS), len(best), -1, 3).copy(),
        scale=scale.astype(np.float32),
        training=training,
    )


def fit_regression(features: FloatArray, weights: FloatArray) -> tuple[float, FloatArray]:
    """Length scale and coefficients (M, K) of a kernel ridge regression.

    Length scale and ridge are those with the least leave-one-out error (closed form; Rasmussen
    and Williams, Gaussian Processes, section 5.4.2).
    """
    squared = ((features[:, None] - features[None]) ** 2).sum(-1)
    typical = float(np.sqrt(np.median(squared[squared > 0]))) if len(features) > 1 else 1.0
    best: tuple[float, float, FloatArray] | None = None
    for factor in (0.35, 0.5, 0.75, 1.0, 1.5, 2.5):
        kernel = np.exp(-squared / (2 * (factor * typical) ** 2))
        for ridge in (1e-6, 1e-4, 1e-2):
            inverse = np.linalg.inv(kernel + ridge * np.eye(len(kernel)))
            coefficients = inverse @ weights
            missed = float(((coefficients / np.diag(inverse)[:, None]) ** 2).sum())
            if best is None or missed < best[0]:
                best = missed, factor * typical, coefficients
    assert best is not None
    return best[1], best[2]


def _multiplied(turn: FloatArray, quats: Tensor) -> Tensor:
    left = torch.nn.functional.normalize(torch.from_numpy(turn.astype(np.float32)), dim=1)
    return torch.nn.functional.normalize(quat_multiply(left, quats), dim=1)


def _expression(player: NetworkPlayer, kept: Tensor) -> ExpressionBasis | None:
    bound, subject = player.state.bound, player.state.capture.subject
    assert bound is not None
    if bound.expression_dirs is None:
        return None
    dirs = bound.expression_dirs[kept].cpu().numpy().transpose(2, 0, 1)
    moved = np.flatnonzero(np.linalg.norm(dirs, axis=-1).max(0) > _STILL_M)
    if not len(moved):
        return None
    dirs = dirs[:, moved]
    scale = np.maximum(np.abs(dirs).max((1, 2)), 1e-9) / 127
    return ExpressionBasis(
        basis='arkit52',
        names=subject.expression_names,
        index=moved.astype(np.int32),
        values=np.rint(dirs / scale[:, None, None]).astype(np.int8),
        scale=scale.astype(np.float32),
    )


def _soles(
    player: NetworkPlayer, means: FloatArray, weights: FloatArray, gaussians: Gaussians
) -> tuple[Array, Array]:
    """Points under the feet and the joints that carry them, both sides alike."""
    body = player.state.body
    skeleton = body.skeleton
    back = body.from_canonical
    main = weights.argmax(1)
    A = back.A.cpu().numpy()[main]
    at_rest = np.einsum('nab,nb->na', A[:, :, :3], means) + A[:, :, 3]
    solid = gaussians.opacities.numpy() > 0.5
    points, joints = [], []
    for side in ('left', 'right'):
        rows = [skeleton.index[f'{side}_{joint}'] for joint in ('ankle', 'foot')]
        foot = np.isin(main, rows)
        own = np.flatnonzero(foot & solid if (foot & solid).any() else foot)
        own = own[np.argsort(at_rest[own, 1], kind='stable')][:_SOLES]
        points.append(means[own])
        joints.append(main[own])
    return np.concatenate(points).astype(np.float32), np.concatenate(joints).astype(np.uint8)
