# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""How near an avatar comes to pictures that it was not trained on."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from avatar_ros.avatars import SkinnedAvatar
from avatar_ros.body import ARKIT_52, FaceExpression
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera
from avatar_ros.machine import machine
from avatar_ros.render import Engine
from avatar_ros.training.capture import Capture, CaptureError, Shot
from avatar_ros.training.datasets.pictures import read_picture
from avatar_ros.training.metrics import psnr, ssim
from avatar_ros.training.perceptual import Perceptual
from avatar_ros.types import Array, Image

logger = logging.getLogger(__name__)

#: Draws an instant of the capture: RGB (H, W, 3) and coverage (H, W), on black.
Draw = Callable[[int, Camera], tuple[Tensor, Tensor]]
_SHEET_ROWS = 4
#: Pictures that the perceptual distance is taken of, spread evenly: VGG is slow on a CPU.
_PERCEPTUAL_PICTURES = 12


@dataclass
class Score:
    """Means over the pictures of a split."""

    pictures: int
    values: dict[str, float]
    """`psnr` in dB over the whole picture and `psnr_box` over the person's box, `ssim`, and the
    perceptual distance (of at most 12 pictures) under its own name."""
    sheet: list[Image] = field(default_factory=list, repr=False)


def judge(
    draw: Draw,
    shots: Sequence[Shot],
    size: int,
    crop: bool = False,
    perceptual: Perceptual | None = None,
    progress: str | None = None,
) -> Score:
    """Compare what `draw` shows with the pictures; those that cannot be read are left out.

    :raises CaptureError: if none can be read.
    """
    sums: dict[str, list[float]] = {}
    sheet: list[Image] = []
    keep, slow = (
        {round(k) for k in np.linspace(0, len(shots) - 1, min(count, len(shots)))}
        for count in (_SHEET_ROWS, _PERCEPTUAL_PICTURES)
    )
    for i, shot in enumerate(tqdm(shots, progress, disable=progress is None, leave=False)):
        try:
            picture = read_picture(shot, size, crop)
        except CaptureError as error:
            logger.warning('left out: %s', error)
            continue
        drawn, _ = draw(shot.row, picture.camera)
        drawn = drawn.detach().cpu().clamp(0, 1)
        truth = torch.from_numpy(picture.rgb).float() / 255
        rows, columns = np.nonzero(picture.mask > 127)
        box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        found = {
            'psnr': float(psnr(drawn, truth)),
            'psnr_box': float(psnr(drawn[box], truth[box])),
            'ssim': float(ssim(drawn, truth)),
        }
        if perceptual is not None and i in slow:
            with torch.no_grad():
                found[perceptual.name] = float(perceptual(drawn, truth))
        for name, value in found.items():
            sums.setdefault(name, []).append(value)
        if i in keep:
            sheet.append(_error_row(truth.numpy(), drawn.numpy()))
    if not sums:
        raise CaptureError('none of the pictures to judge by can be read.')
    count = len(sums['psnr'])
    return Score(count, {name: float(np.mean(v)) for name, v in sums.items()}, sheet)


def _error_row(truth: Array, drawn: Array) -> Image:
    """Photograph, avatar, and where they differ (white: a fifth of full scale)."""
    error = np.abs(truth - drawn).mean(-1) * 5
    grey = np.asarray(255 * error.clip(0, 1), np.uint8)
    heat = cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)[..., ::-1]
    pictures = [np.asarray(255 * image, np.uint8) for image in (truth, drawn)]
    return np.hstack([*pictures, np.asarray(heat, np.uint8)])


def sheet_of(rows: Sequence[Image]) -> Image:
    """The rows below each other; narrower ones are filled up with black."""
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 2), (0, width - row.shape[1]), (0, 0))) for row in rows])


def bundle_player(avatar: SkinnedAvatar, capture: Capture, engine: Engine) -> Draw:
    """Draws a bundle in the poses of a capture.

    :raises CaptureError: if the capture's skeleton is another one.
    """
    if avatar.bundle.skeleton is not capture.poses.skeleton:
        raise CaptureError(
            f'{capture.name}: poses are of {capture.poses.skeleton.name}, avatar '
            f'{avatar.name!r} is of {avatar.bundle.skeleton.name}. Judge it on a capture of its '
            'own kind.'
        )
    joints = capture.subject.rest_joints

    @torch.no_grad()
    def draw(row: int, camera: Camera) -> tuple[Tensor, Tensor]:
        pose = capture.poses.body_pose(row, joints)
        face = None
        if capture.poses.expression is not None:
            names = capture.subject.expression_names or ARKIT_52
            face = FaceExpression('arkit52', names, capture.poses.expression[row])
        gaussians = avatar.deform(pose, face)
        if avatar.view_dependent:
            g = gaussians
            seen = avatar.colors_for([camera.position])[0]
            gaussians = Gaussians(g.means, g.quats, g.scales, g.opacities, seen)
        drawn = engine.rasterize(gaussians, [camera])
        return drawn.colors[0], drawn.alphas[0, ..., 0]

    return draw


def table(scores: dict[str, Score]) -> str:
    """The scores of the splits as text."""
    columns = sorted({name for score in scores.values() for name in score.values})
    lines = ['split        pictures  ' + '  '.join(f'{name:>10}' for name in columns)]
    for split, score in scores.items():
        cells = '  '.join(f'{score.values.get(name, float("nan")):10.4f}' for name in columns)
        lines.append(f'{split:12} {score.pictures:8}  {cells}')
    return '\n'.join(lines)


def write_evaluation(folder: Path, scores: dict[str, Score], **about: Any) -> None:
    """``evaluation.json`` and one sheet of error maps for each split."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        'machine': machine(),
        **about,
        'splits': {name: {'pictures': s.pictures, **s.values} for name, s in scores.items()},
    }
    (folder / 'evaluation.json').write_text(json.dumps(values, indent=1) + '\n')
    for name, score in scores.items():
        if score.sheet:
            cv2.imwrite(str(folder / f'errors_{name}.png'), sheet_of(score.sheet)[..., ::-1])
