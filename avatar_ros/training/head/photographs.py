# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Photographs of one person as a capture: tracked with FLAME, masked, cut out.

MediaPipe's landmarks and 52 scores start FLAME; optimisation over all photographs refines betas,
expressions and head poses. The camera is a pinhole of a given field of view that looks at the
middle of the picture.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from avatar_ros.body.flame import PARTS, Flame, HeadModel
from avatar_ros.body.licensed import BodyModelError, read_model_file
from avatar_ros.body.model import free_landmarks_path
from avatar_ros.geometry import Camera, rotvec_from_matrix, rotvec_from_quat
from avatar_ros.tracking.face import eye_quats
from avatar_ros.tracking.faces_in_photo import FaceInPhoto, PhotoError, PhotoReader, read_photo
from avatar_ros.training.head.capture import (
    SPLITS,
    FlameParameters,
    flame_arrays,
    write_split,
)
from avatar_ros.types import Array, FloatArray, Image

logger = logging.getLogger(__name__)

#: Vertical field of view of a portrait, where nothing else is known.
FOV_DEG = 40.0
_STEPS, _LR = 250, 0.02
#: Head turned further than this from the camera is a profile.
_PROFILE_DEG = 75.0
_MARGIN = 1.45
_CROP_PX = 768


@dataclass(frozen=True)
class FaceLandmarkMap:
    """Where landmarks of the face mesh lie on a FLAME model."""

    landmarks: Array
    """(L,) rows of MediaPipe's 478."""
    face: Array
    """(L,) triangles."""
    bary: Array
    """(L, 3)."""


def landmark_map(path: str | Path | None = None) -> FaceLandmarkMap:
    """The free head's, or FLAME's own ``mediapipe_landmark_embedding.npz``.

    :raises BodyModelError: if it lacks something.
    """
    path = Path(path) if path is not None else free_landmarks_path()
    arrays = read_model_file(path)
    for name in ('landmark_indices', 'lmk_face_idx', 'lmk_b_coords'):
        if name not in arrays:
            raise BodyModelError(
                f'{path}: has no {name!r}; expected the MediaPipe landmark embedding of FLAME.'
            )
    return FaceLandmarkMap(
        arrays['landmark_indices'].astype(int),
        arrays['lmk_face_idx'].astype(int),
        arrays['lmk_b_coords'].astype(float),
    )


@dataclass(frozen=True)
class Tracked:
    """FLAME of some photographs of one person."""

    shape: FloatArray
    instants: list[FlameParameters]
    cameras: list[Camera]
    error_px: list[float]
    """Median distance of the landmarks, a photograph."""


def track(
    faces: Sequence[FaceInPhoto],
    sizes: Sequence[tuple[int, int]],
    head: HeadModel,
    where: FaceLandmarkMap,
    fov_deg: float = FOV_DEG,
) -> Tracked:
    """FLAME that puts the landmarks where they were seen.

    :param sizes: width and height of each picture.
    """
    model = head.model
    flame, names = Flame(model), model.expression_names
    cameras = [Camera.from_fov(w, h, fov_deg, frame_id=f'{k:02d}')
               for k, (w, h) in enumerate(sizes)]  # fmt: skip
    seen = torch.tensor(np.stack([f.pixels[where.landmarks] for f in faces]), dtype=torch.float32)
    K = torch.tensor(np.stack([c.K for c in cameras]), dtype=torch.float32)
    first = np.array([[f.weights.get(name, 0.0) for name in names] for f in faces])
    expressions = model.expression_dirs.shape[2]
    if not names:
        first = np.zeros((len(faces), expressions))
    rotvecs = np.zeros((len(faces), 5, 3))
    for k, face in enumerate(faces):
        rotvecs[k, 0] = rotvec_from_matrix(face.R_camera_head)
        eyes = eye_quats(face.weights)
        rotvecs[k, 3:] = [rotvec_from_quat(eyes[side]) for side in ('left', 'right')]
    corners = torch.from_numpy(model.faces[where.face])
    bary = torch.tensor(where.bary, dtype=torch.float32)[..., None]

    def landmarks(shape: Tensor, expression: Tensor, turns: Tensor, shift: Tensor) -> Tensor:
        v = flame(shape, expression, turns, shift)
        return (v[:, corners] * bary).sum(2)

    start = torch.tensor(first, dtype=torch.float32)
    turns = torch.tensor(rotvecs, dtype=torch.float32)
    shape = torch.zeros(model.shape_dirs.shape[2], requires_grad=True)
    expression = start.clone().requires_grad_()
    turn = turns[:, :1].clone().requires_grad_()
    shift = _first_place(landmarks(shape.detach(), start, turns, torch.zeros(len(faces), 3)), seen,
                         K).requires_grad_()  # fmt: skip
    scale = float(np.median([np.ptp(f.pixels, axis=0).max() for f in faces]))
    groups = [
        {'params': [shape, expression], 'lr': _LR},
        {'params': [turn], 'lr': _LR / 2},
        {'params': [shift], 'lr': _LR / 10},
    ]
    optimizer = torch.optim.Adam(groups)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS, _LR / 100)
    away = torch.zeros(0)
    for _ in range(_STEPS):
        points = landmarks(shape, expression, torch.cat([turn, turns[:, 1:]], 1), shift)
        flat = points @ K.mT
        flat = flat[..., :2] / flat[..., 2:].clamp_min(1e-3)
        away = (flat - seen).norm(dim=-1) / scale
        # Huber: a landmark on a lid or a lip may be far off for good reason.
        loss = torch.where(away < 0.02, away.square() / 0.04, away - 0.01).mean() * 100
        # Scores of a tracker are noisy, but better than nothing; betas are a likely person's.
        loss = loss + 0.02 * shape.square().mean() + 2.0 * (expression - start).square().mean()
        if names:
            loss = loss + 10 * (expression.clamp(max=0).square()).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
    rotvecs[:, 0] = turn.detach()[:, 0].numpy()
    found = expression.detach().numpy().astype(float)
    if names:
        found = found.clip(0, 1)
    instants = [
        FlameParameters(found[k], rotvecs[k], shift.detach()[k].numpy().astype(float))
        for k in range(len(faces))
    ]
    errors = (away.detach().median(dim=1).values * scale).tolist()
    return Tracked(shape.detach().numpy().astype(float), instants, cameras, errors)


def _first_place(points: Tensor, seen: Tensor, K: Tensor) -> Tensor:
    """Translations (B, 3) that give the landmarks about the right size and place."""
    size = (points - points.mean(1, keepdim=True))[..., :2].norm(dim=-1).mean(1)
    pixels = (seen - seen.mean(1, keepdim=True)).norm(dim=-1).mean(1)
    z = K[:, 0, 0] * size / pixels
    middle = (seen.mean(1) - K[:, :2, 2]) / K[:, 0, 0, None]
    place = torch.cat([middle * z[:, None], z[:, None]], 1)
    return (place - points.mean(1)).detach()


def head_mask(person: Array, vertices: FloatArray, head: HeadModel, camera: Camera) -> Array:
    """(H, W) uint8: the person above the rim of the FLAME neck."""
    rim = np.unique(head.model.faces[head.part == PARTS.index('boundary')])
    seen = vertices[rim] @ camera.K.T
    pixels = seen[:, :2] / seen[:, 2:]
    order = pixels[:, 0].argsort()
    x, y = pixels[order].T
    columns = np.arange(person.shape[1])
    # The lowest rim vertex near each column; left and right of the neck as at its sides.
    width = max(2.0, np.ptp(x) / 12)
    line = np.array([y[np.abs(x - c) < width].max(initial=-1) for c in columns])
    known = np.flatnonzero(line >= 0)
    if not len(known):
        return person
    line = np.interp(columns, known, line[known])
    rows = np.arange(person.shape[0])[:, None]
    return np.where(rows < line[None], person, 0).astype(np.uint8)


def photographs_as_capture(
    images: Sequence[Path],
    out: Path,
    head: HeadModel,
    where: FaceLandmarkMap,
    fov_deg: float = FOV_DEG,
) -> Tracked:
    """Track, mask and cut out; write a capture folder in the layout of NeRSemble.

    :raises PhotoError: naming the photograph that cannot be used.
    """
    reader = PhotoReader()
    try:
        rgbs = [read_photo(path) for path in images]
        faces = [reader.read(rgb, str(path)) for rgb, path in zip(rgbs, images, strict=True)]
    finally:
        reader.close()
    for face, path in zip(faces, images, strict=True):
        forward = face.R_camera_head @ np.array([0.0, 0.0, 1.0])
        angle = np.degrees(np.arccos(np.clip(-forward[2], -1, 1)))
        if angle > _PROFILE_DEG:
            raise PhotoError(
                f'{path}: is a profile (turned by {angle:.0f} degrees); expected both eyes in '
                'sight. Use three-quarter views.'
            )
    tracked = track(faces, [(rgb.shape[1], rgb.shape[0]) for rgb in rgbs], head, where, fov_deg)
    for name in ('images', 'fg_masks', 'flame_param'):
        (out / name).mkdir(parents=True, exist_ok=True)
    flame = Flame(head.model)
    frames = []
    for k, (rgb, face, at, path) in enumerate(
        zip(rgbs, faces, tracked.instants, images, strict=True)
    ):
        logger.info('%s: landmarks within %.1f pixels (median)', path, tracked.error_px[k])
        arrays = (tracked.shape, at.expression[None], at.rotvecs[None], at.translation[None])
        with torch.no_grad():
            v = flame(*(torch.as_tensor(a, dtype=torch.float32) for a in arrays))[0].numpy()
        mask = head_mask(face.mask, v, head, tracked.cameras[k])
        picture, cut, camera = _cut_out(rgb, mask, v, tracked.cameras[k])
        stem = f'{k:05d}_{k:02d}.png'
        cv2.imwrite(str(out / 'images' / stem), picture[..., ::-1])
        cv2.imwrite(str(out / 'fg_masks' / stem), cut)
        values = flame_arrays(tracked.shape, None, at)
        np.savez(out / 'flame_param' / f'{k:05d}.npz', **values)  # type: ignore[arg-type]
        frames.append((k, k, camera))
    write_split(out / SPLITS['train'], frames)
    (out / 'photographs.json').write_text(json.dumps([str(p) for p in images], indent=1) + '\n')
    return tracked


def _cut_out(
    rgb: Image, mask: Array, vertices: FloatArray, camera: Camera
) -> tuple[Image, Array, Camera]:
    """The square about the head, at most 768 pixels wide."""
    seen = vertices @ camera.K.T
    pixels = seen[:, :2] / seen[:, 2:]
    low, high = pixels.min(0), pixels.max(0)
    side = float((high - low).max()) * _MARGIN
    # Hair stands above and beside a head, nothing below it.
    middle = (low + high) / 2 - [0, 0.06 * side]
    corner = middle - side / 2
    size = min(_CROP_PX, max(64, round(side)))
    scale = size / side
    M = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.warpAffine(rgb, M, (size, size), flags=way)
    cut = cv2.warpAffine(mask, M, (size, size), flags=way)
    K = np.array(camera.K)
    K[0, 2], K[1, 2] = (K[0, 2] - corner[0]), (K[1, 2] - corner[1])
    K[:2] *= scale
    return (
        np.asarray(picture, np.uint8),
        np.asarray(cut, np.uint8),
        Camera(K, size, size, camera.T_camera_world, frame_id=camera.frame_id),
    )
