# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Textures of MakeHuman items: read, with another hair colour, with livelier eyes."""

from pathlib import Path

import cv2
import numpy as np


def read_texture(path: Path) -> np.ndarray:
    """RGBA (H, W, 4); colours under transparent texels come from the nearest opaque one."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SystemExit(f'{path}: cannot be read as an image; is --assets right?')
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.shape[2] == 3:
        image = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    elif (image[..., 3] < 250).any():
        image[..., :3] = bleed(image[..., :3], image[..., 3] > 60)
    return np.ascontiguousarray(image[..., [2, 1, 0, 3]])


def bleed(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The values (H, W, C), with those of the nearest valid pixel wherever they are not."""
    if not valid.any():
        return values
    _, labels = cv2.distanceTransformWithLabels(
        (~valid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(labels.max() + 1, np.int64)
    nearest[labels[valid]] = np.flatnonzero(valid.ravel())
    return values.reshape(-1, values.shape[2])[nearest[labels]]


def recoloured(texture: np.ndarray, rgb: tuple[int, ...], strength: float = 1.0) -> np.ndarray:
    """Hair of one hue: keeps the strands, drops the drift of tone across the stock texture."""
    grey = cv2.cvtColor(texture[..., :3], cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey /= cv2.GaussianBlur(grey, (0, 0), 40) ** 0.75 + 1e-3
    grey /= grey[texture[..., 3] > 128].mean()
    result = texture.copy()
    tone = np.clip(grey, 0.4, 1.8)[..., None] * np.array(rgb, np.float32) * strength
    result[..., :3] = np.clip(tone, 0, 255)
    # A faint alpha haze would hang in the air beside the temples.
    result[..., 3] = np.clip((texture[..., 3].astype(np.float32) - 30) * 255 / 225, 0, 255)
    return result


def eye_texture(path: Path) -> np.ndarray:
    """The stock eyes, whiter, with a small highlight beside each pupil."""
    texture = read_texture(path)
    size = texture.shape[0]
    y, x = np.mgrid[:size, :size] / size
    image = texture[..., :3].astype(np.float32)
    for cx, cy in ((0.294, 1 - 0.299), (0.706, 1 - 0.701)):
        radius = np.hypot(x - cx, y - cy)
        sclera = np.clip((radius - 0.125) / 0.02, 0, 1)[..., None]
        image = image * (1 + 0.10 * sclera) + np.array([0, 2, 5]) * sclera
        spot = np.exp(-((((x - cx - 0.035) ** 2 + (y - cy + 0.05) ** 2) / 0.017**2) ** 2))
        image += spot[..., None] * (255 - image) * 0.9
    texture = texture.copy()
    texture[..., :3] = np.clip(image, 0, 255)
    return texture
