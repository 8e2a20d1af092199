# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Fits a body model's shape and motion to landmarks in one or several calibrated cameras.

The motion starts from the closed-form IK, instant by instant, and is then optimised as a whole:
reprojection in every camera (robust), the monocular depths where there is one camera, smoothness,
and small priors; in the end the masks' outlines as well. In the manner of SMPLify (Bogo et al.,
ECCV 2016), without its learned prior.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from avatar_ros.body.model import BodyModel
from avatar_ros.body.skeletons import BLAZEPOSE_33, SMPLX
from avatar_ros.body.torch_kinematics import joint_motion
from avatar_ros.geometry import Camera, quat_from_matrix, rotvec_from_quat
from avatar_ros.geometry.torch_rotations import matrix_from_quat, quat_from_rotvec, quat_multiply
from avatar_ros.tracking.body_ik import BodyIK
from avatar_ros.tracking.rest_landmarks import rest_landmarks
from avatar_ros.training.capture import CaptureError
from avatar_ros.training.from_video.silhouette import CameraMasks, silhouette_loss, spread_points
from avatar_ros.types import Array, FloatArray

_BODY = 22
_BETAS = 10
#: Of a picture whose longer side has 720; errors in larger pictures are scaled down.
_HUBER_PX, _LONGER_PX = 12.0, 720.0
_SURFACE = 700  # points of the skin that are held against the masks
_INSTANTS = 40  # of these at one step
#: Weights of the terms beside a reprojection error of one pixel.
_SMOOTH, _SMOOTH_PLACE, _TURN, _SHAPE, _DEPTH = 40.0, 400.0, 0.3, 0.05, 60.0
_MASKS, _SHIFT = 2.0, 0.005
_HANDS = tuple(n for n in BLAZEPOSE_33 if any(w in n for w in ('pinky', 'index', 'thumb'))
               and 'foot' not in n)  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """A body and its motion in the world of the cameras."""

    rotvecs: FloatArray
    """(T, 55, 3); fingers and face at rest."""
    translations: FloatArray
    """(T, 3) SMPL's ``transl``."""
    betas: FloatArray
    error_px: FloatArray
    """Median reprojection error of the body landmarks in each camera (C,)."""
    error_mm: FloatArray
    """The same in millimetres at the landmarks' depths (C,)."""
    shift_px: FloatArray
    """(C, 2) how far each principal point lies from where the calibration has it."""


class _Body:
    """Landmarks, joints and some of the skin of the model as linear functions of its shape."""

    def __init__(self, model: BodyModel) -> None:
        count = min(_BETAS, model.shape_dirs.shape[2])
        rows = spread_points(model.template, _SURFACE)
        self.skin = torch.from_numpy(model.template[rows])
        self.skin_dirs = torch.from_numpy(np.ascontiguousarray(model.shape_dirs[rows, :, :count]))
        self.weights = torch.from_numpy(model.weights[rows])

        def at(betas: FloatArray | None) -> tuple[FloatArray, FloatArray]:
            joints = model.rest_joints(betas)
            found = rest_landmarks(joints, model.rest_vertices(betas), model.weights)
            self.carrier = torch.from_numpy(np.asarray(found.carrier))
            return joints, found.points

        base = at(None)
        steps = [at(row) for row in np.eye(count)]
        self.base = [torch.from_numpy(x) for x in base]
        self.slopes = [
            torch.from_numpy(np.stack([s[k] - base[k] for s in steps], -1)) for k in (0, 1)
        ]

    def __call__(self, betas: Tensor) -> tuple[Tensor, Tensor]:
        """Joints (55, 3) and landmarks (33, 3) in the T-pose."""
        joints, points = (b + s @ betas for b, s in zip(self.base, self.slopes, strict=True))
        return joints, points

    def surface(self, betas: Tensor, A: Tensor) -> Tensor:
        """Skin (S, N, 3) under affine maps (J, S, 3, 4) of the joints."""
        rest = self.skin + self.skin_dirs @ betas
        maps = torch.einsum('nj,jsab->snab', self.weights, A)
        return (maps[..., :3] @ rest[:, :, None])[..., 0] + maps[..., 3]


def fit_body(
    model: BodyModel,
    cameras: Sequence[Camera],
    pixels: Array,
    visibility: Array,
    points: Array,
    masks: Sequence[CameraMasks] = (),
    iterations: int = 400,
    mask_iterations: int = 200,
    shift_cameras: bool = False,
    progress: bool = True,
) -> Fit:
    """The body whose landmarks are seen at pixels (C, T, 33, 2), undistorted, NaN where not seen.

    points (T, 33, 3) start the motion: triangulated, or of one camera lifted into the world.
    masks, one of each camera or none, join in for the last `mask_iterations` steps.
    shift_cameras lets principal points move a little: an offset that a camera shows at all times
    is its calibration's (or of a cropped video) and not the person's.

    :raises CaptureError: if the model is not in SMPL-X's format.
    """
    if model.skeleton is not SMPLX:
        raise CaptureError(
            f'the body model is {model.kind}; expected SMPL-X (55 joints), whose head, hands and '
            'feet say where the landmarks lie. Give an SMPL-X file, or none for the free body.'
        )
    body = _Body(model)
    betas = torch.zeros(body.skin_dirs.shape[2], dtype=torch.float64, requires_grad=True)
    units = [max(c.width, c.height) / _LONGER_PX for c in cameras]
    unit = torch.tensor(units, dtype=torch.float64)[:, None, None]
    refine = mask_iterations if masks else 0
    shift = torch.zeros(len(cameras), 1, 1, 2, dtype=torch.float64, requires_grad=shift_cameras)
    starts, places = _by_ik(model, points)
    turns = torch.zeros(_BODY, len(points), 3, dtype=torch.float64, requires_grad=True)
    place = torch.from_numpy(places).requires_grad_()
    seen = np.isfinite(pixels).all(-1)
    weight = torch.from_numpy(np.where(seen, visibility, 0.0) ** 2 * _importance())
    target = torch.from_numpy(np.nan_to_num(pixels))
    projections = torch.from_numpy(np.stack([c.K @ c.T_camera_world[:3] for c in cameras]))
    start = torch.from_numpy(starts)
    given = torch.from_numpy(points)
    groups = [{'params': [turns, place], 'lr': 0.02}, {'params': [betas], 'lr': 0.05}]
    if shift_cameras:
        groups.append({'params': [shift], 'lr': 0.2})
    optimizer = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations, 5e-4)

    def landmarks() -> tuple[Tensor, Tensor, Tensor]:
        quats = torch.cat([quat_multiply(start[:_BODY], quat_from_rotvec(turns)), start[_BODY:]])
        joints, rest = body(betas)
        motion = joint_motion(SMPLX, joints, quats, place - joints[0])
        A = motion.A[body.carrier]
        moved = (A[..., :3] @ rest[:, None, :, None])[..., 0] + A[..., 3]
        return moved.transpose(0, 1), quats, motion.A

    def projected(where: Tensor) -> Tensor:
        """Pixels (C, T, N, 2) of points (T, N, 3)."""
        flat = torch.einsum('cij,tlj->ctli', projections[:, :, :3], where)
        flat = flat + projections[:, None, None, :, 3]
        return flat[..., :2] / flat[..., 2:].clamp_min(0.1) + shift * unit[..., None]

    def off_the_masks(A: Tensor, step: int) -> Tensor:
        stride = -(-len(points) // _INSTANTS)
        instants = torch.arange(step % stride, len(points), stride)
        there = projected(body.surface(betas, A[:, instants]))
        losses = [
            silhouette_loss(m, instants, at, u)
            for m, at, u in zip(masks, there, units, strict=True)
        ]
        return torch.stack(losses).mean()

    for step in tqdm(range(iterations + refine), 'fitting', disable=not progress):
        if step == iterations:
            for group in optimizer.param_groups:
                group['lr'] = group['initial_lr'] = group['initial_lr'] / 4
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, refine, 5e-4)
        where, quats, A = landmarks()
        miss = (projected(where) - target).square().sum(-1).add(1e-9).sqrt() / unit
        robust = F.huber_loss(miss, torch.zeros_like(miss), reduction='none', delta=_HUBER_PX)
        loss = (weight * robust / _HUBER_PX).sum() / weight.sum()
        R = matrix_from_quat(quats[:_BODY])
        if len(points) > 2:
            loss = loss + _SMOOTH * (R[:, 2:] - 2 * R[:, 1:-1] + R[:, :-2]).square().mean()
            jerk = place[2:] - 2 * place[1:-1] + place[:-2]
            loss = loss + _SMOOTH_PLACE * jerk.square().mean()
        loss = loss + _TURN * turns.square().mean() + _SHAPE * betas.square().mean()
        if len(cameras) == 1:
            # One camera does not see depth; the estimator's guess of the shape is all there is.
            centre, given_centre = (x.mean(1, keepdim=True) for x in (where, given))
            loss = loss + _DEPTH * ((where - centre) - (given - given_centre)).square().mean()
        if shift_cameras:
            loss = loss + _SHIFT * shift.square().mean()
        if step >= iterations:
            loss = loss + _MASKS * off_the_masks(A, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    with torch.no_grad():
        where, quats, _ = landmarks()
        miss = (projected(where) - target).norm(dim=-1).numpy()
        depths = torch.einsum('cj,tlj->ctl', projections[:, 2, :3], where)
        depths = depths + projections[:, None, None, 2, 3]
        joints, _ = body(betas)
    unseen = ~seen | (visibility < 0.5)
    focal = np.array([c.K[0, 0] for c in cameras])[:, None, None]
    error_px, error_mm = (
        np.array([np.median(row) if row.size else np.nan for row in map(_finite, x)])
        for x in np.where(unseen, np.nan, (miss, 1000 * miss * depths.numpy() / focal))
    )
    rotvecs = rotvec_from_quat(quats.transpose(0, 1).numpy())
    translations = (place - joints[0]).detach().numpy()
    moved = (shift * unit[..., None]).detach().numpy().reshape(-1, 2)
    return Fit(np.asarray(rotvecs), translations, betas.detach().numpy(), error_px, error_mm, moved)


def _finite(x: Array) -> Array:
    return x[np.isfinite(x)]


def _importance() -> FloatArray:
    """(33,) hands count less: there is little of them in the picture, and they are guessed."""
    return np.array([0.2 if name in _HANDS else 1.0 for name in BLAZEPOSE_33])


def _by_ik(model: BodyModel, points: Array) -> tuple[FloatArray, FloatArray]:
    """Quaternions (55, T, 4) with the root's turn in row 0, and pelvis places (T, 3)."""
    joints = model.rest_joints()
    rest = rest_landmarks(joints, model.rest_vertices(), model.weights)
    ik = BodyIK(rest)
    quats = np.empty((len(SMPLX), len(points), 4))
    places = np.empty((len(points), 3))
    hips = [BLAZEPOSE_33.index(f'{side}_hip') for side in ('left', 'right')]
    from_hips = joints[0] - rest.points[hips].mean(0)
    last = np.array([1.0, 0, 0, 0])
    for t, landmarks in enumerate(points):
        found = ik(landmarks)
        quats[:, t] = found.quats
        root = quat_from_matrix(found.R_camera_root)
        last = root if root @ last >= 0 else -root
        quats[0, t] = last
        places[t] = landmarks[hips].mean(0) + found.R_camera_root @ from_hips
    return quats, places


def body_mesh(model: BodyModel, fit: Fit, instant: int) -> FloatArray:
    """Posed vertices (V, 3) in the world."""
    vertices, _ = model.vertices(
        fit.rotvecs[instant], fit.betas, translation=fit.translations[instant]
    )
    return vertices
