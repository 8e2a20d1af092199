# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Skin painted by program: no photograph with a clear licence was found."""

import cv2
import numpy as np
from makehuman import Base

from dressed_person.opengl import Gl
from dressed_person.textures import bleed


def blob(P: np.ndarray, centre: tuple[float, ...], radius: tuple[float, ...]) -> np.ndarray:
    d = (P - np.array(centre, np.float32)) / np.array(radius, np.float32)
    return np.exp(-(d**2).sum(-1))


def paint_skin(base: Base, gl: Gl, person: dict, size: int = 2048) -> np.ndarray:
    """Procedural skin (size, size, 4), painted on the unshaped body (decimetres)."""
    body = base.obj.groups == 'body'
    faces, uv_faces = base.obj.faces[body], base.obj.uv_faces[body]
    template = base.obj.vertices
    position = gl.uv_map(template, faces, base.obj.uv, uv_faces, size)
    P = bleed(position[..., :3], position[..., 3] > 0.5)
    rng = np.random.default_rng(0)

    def mask(name: str, blur: float = 0.8) -> np.ndarray:
        image = cv2.imread(str(base.mask_folder / f'mpfb_{name}.jpg'), cv2.IMREAD_GRAYSCALE)
        image = cv2.GaussianBlur(cv2.resize(image, (size, size)), (0, 0), blur)
        return image.astype(np.float32) / 255

    def noise(frequency: float, waves: int) -> np.ndarray:
        """Random plane waves in 3-D: no seams."""
        k = rng.normal(size=(waves, 3))
        k *= frequency / np.linalg.norm(k, axis=1, keepdims=True)
        phase = rng.uniform(0, 2 * np.pi, waves)
        total = sum(np.cos(P @ a.astype(np.float32) + p) for a, p in zip(k, phase, strict=True))
        return (total / np.sqrt(waves / 2)).astype(np.float32)

    blotches, patches, pores = noise(1.5, 8), noise(7.0, 8), noise(30.0, 10)
    grain = cv2.GaussianBlur(rng.normal(size=(size, size)).astype(np.float32), (0, 0), 1.0) * 3
    eyes = [template[base.group(f'helper-{s}-eye')].mean(0) for s in 'lr']
    skin_v = template[:13380]
    middle = (np.abs(skin_v[:, 0]) < 0.2) & (skin_v[:, 1] > 6.2)
    nose = skin_v[np.argmax(np.where(middle, skin_v[:, 2], -9))]
    mouth = P[mask('lips') > 0.6].mean(0)
    tone = np.array(person['skin_rgb'], np.float32)
    level = tone.mean() / 190
    image = np.broadcast_to(tone, P.shape).astype(np.float32).copy()
    image += (blotches * 3.0 + patches * 2.2)[..., None] * level * np.array([1.0, 1.1, 1.1])
    image += (pores * 1.5 + grain * 2.0)[..., None] * level
    _, ey, _ = eyes[0]
    _, ny, nz = nose
    _, my, mz = mouth
    red = np.zeros(P.shape[:2], np.float32)
    for sign in (1, -1):
        red += 0.75 * blob(P, (sign * 0.43, (ey + my) / 2 - 0.03, 1.25), (0.28, 0.22, 0.45))
        red += 0.50 * blob(P, (sign * 0.80, ey - 0.15, 0.35), (0.18, 0.5, 0.4))
    red += 0.60 * blob(P, (0, ny, nz), (0.20, 0.18, 0.3))
    red += 0.25 * blob(P, (0, my - 0.45, mz), (0.2, 0.15, 0.4))
    red += 0.30 * np.clip((np.abs(P[..., 0]) - 4.2) / 0.6, 0, 1)  # hands
    image += red[..., None] * np.array([7.0, -17.0, -14.0]) * level

    def blend(amount: np.ndarray, rgb: np.ndarray) -> None:
        nonlocal image
        image = image * (1 - amount[..., None]) + amount[..., None] * rgb

    blend(mask('eyelids', 5) * 0.35, tone * np.array([0.80, 0.68, 0.66]))
    for x, y, z in eyes:
        shadow = 0.28 * blob(P, (x, y - 0.20, z + 0.05), (0.22, 0.09, 0.3))
        blend(shadow, tone * np.array([0.78, 0.68, 0.70]))
    if person['stubble']:
        y, z = P[..., 1], P[..., 2]
        beard = np.clip((ny - 0.10 - y) / 0.15, 0, 1) * np.clip((y - my + 1.05) / 0.3, 0, 1)
        beard *= np.clip((z - 0.25) / 0.5, 0, 1) * mask('face')
        cheeks = [blob(P, (s * 0.5, ny - 0.05, 1.1), (0.25, 0.3, 0.5)) for s in (1, -1)]
        beard *= 1 - 0.75 * np.maximum(*cheeks)
        beard *= person['stubble'] * np.clip(0.75 + 0.30 * grain + 0.12 * pores, 0, 1.3)
        blend(beard, np.array([72.0, 62.0, 60.0]) * min(level, 1))
    lips = np.array(person['lip_rgb'], np.float32) + (pores * 4 + grain * 3)[..., None]
    blend(mask('lips', 1.5) * 0.8, lips)
    blend(mask('inside-mouth') * 0.8, np.array([120.0, 45.0, 45.0]))
    nails = np.maximum(mask('fingernails'), mask('toenails'))
    blend(nails * 0.5, np.array([225.0, 180.0, 170.0]) * min(level * 1.05, 1))
    opaque = np.full(P.shape[:2], 255)
    return np.dstack([np.clip(image, 0, 255), opaque]).astype(np.uint8)
