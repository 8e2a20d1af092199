# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Points on the surfaces, denser where one looks, with all that a Gaussian needs."""

from dataclasses import dataclass

import cv2
import numpy as np
from dressed_person.part import ALPHA_KINDS

from avatar_ros.body import ARKIT_52, SMPLX
from demo_avatar.poisson import poisson
from demo_avatar.surface import Surface, bilinear, strand_direction

#: Gaussians on a square metre, relative to clothes.
DENSITY = {
    'cloth': 1.0,
    'skin': 4.0,
    'hair': 5.0,
    'brow': 60.0,
    'lash': 90.0,
    'eye': 60.0,
    'teeth': 12.0,
    'tongue': 8.0,
}


@dataclass
class Samples:
    """Points on the surfaces, with all that hangs on them."""

    points: np.ndarray
    normals: np.ndarray
    tangents: np.ndarray
    """Direction (N, 3) in which a Gaussian is longer."""
    stretch: np.ndarray
    """How much longer (N,)."""
    spacing: np.ndarray
    rgb: np.ndarray
    alpha: np.ndarray
    weights: np.ndarray
    deltas: np.ndarray
    """(N, 52, 3)."""
    kinds: np.ndarray


def sample(surfaces: list[Surface], joints: np.ndarray, count: int, seed: int) -> Samples:
    """About `count` well-spread points on what can be seen."""
    rng = np.random.default_rng(seed)
    wanted = [importance(s, joints) for s in surfaces]
    mass = []
    for s, density in zip(surfaces, wanted, strict=True):
        visible = s.seen[s.faces].any(1)
        if s.kind in ALPHA_KINDS:
            alpha = s.texture[..., 3:].astype(np.float32) / 255
            visible &= (
                bilinear(cv2.GaussianBlur(alpha, (0, 0), 6)[..., None], s.uv[s.faces].mean(1))[:, 0]
                > 0.02
            )
        mass.append(s.areas() * density * visible)
    total = sum(m.sum() for m in mass)
    found: list[dict[str, np.ndarray]] = []
    for p, (s, m, density) in enumerate(zip(surfaces, mass, wanted, strict=True)):
        n = max(int(12 * count * m.sum() / total), 1)
        face = rng.choice(len(m), n, p=m / m.sum())
        a, b = rng.random((2, n))
        flip = a + b > 1
        a, b = np.where(flip, 1 - a, a), np.where(flip, 1 - b, b)
        bary = np.stack([1 - a - b, a, b], 1)
        corners = s.faces[face]
        uv = np.einsum('nk,nkc->nc', bary, s.uv[corners])
        keep = np.ones(n, bool)
        if s.kind in ALPHA_KINDS:
            alpha = bilinear(s.texture[..., 3:].astype(np.float32) / 255, uv)[:, 0]
            keep = alpha > 0.25
        found.append(
            {
                'points': np.einsum('nk,nkc->nc', bary, s.vertices[corners])[keep],
                'normals': np.einsum('nk,nkc->nc', bary, s.normals[corners])[keep],
                'radius': density[face][keep] ** -0.5,
                'part': np.full(keep.sum(), p),
                'face': face[keep],
                'bary': bary[keep],
            }
        )
    everything = {key: np.concatenate([f[key] for f in found]) for key in found[0]}
    shuffle = rng.permutation(len(everything['points']))
    everything = {key: value[shuffle] for key, value in everything.items()}
    low, high = 1e-4, 0.1
    for _ in range(14):
        scale = np.sqrt(low * high)
        radius = everything['radius'] * scale
        kept = poisson(everything['points'], everything['normals'], everything['part'], radius)
        if kept.sum() > count:
            low = scale
        else:
            high = scale
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(everything['part'][rows], kind='stable')]
    e = {key: value[rows] for key, value in everything.items()}
    pieces = []
    for p, s in enumerate(surfaces):
        mine = e['part'] == p
        radius = e['radius'][mine] * scale
        pieces.append(_attributes(s, e['face'][mine], e['bary'][mine], radius))
    return Samples(**{k: np.concatenate([piece[k] for piece in pieces]) for k in pieces[0]})


def importance(surface: Surface, joints: np.ndarray) -> np.ndarray:
    """Density (F,) of Gaussians wanted on each triangle, relative to clothes."""
    row = SMPLX.index
    middle = surface.vertices[surface.faces].mean(1)
    eyes = np.stack([joints[row['left_eye_smplhf']], joints[row['right_eye_smplhf']]])
    mouth = eyes.mean(0) + np.array([0, -0.068, 0.03])
    wanted = np.full(len(middle), DENSITY[surface.kind])
    if surface.kind == 'skin':
        weights = surface.weights[surface.faces].mean(1)
        hands = [row[j] for j in SMPLX.joints[25:]] + [row['left_wrist'], row['right_wrist']]
        wanted += 4 * weights[:, hands].sum(1).clip(0, 1)
        face = np.exp(
            -((((middle - (eyes.mean(0) + np.array([0, -0.03, 0.02]))) / 0.095) ** 2).sum(1) ** 2)
        )
        wanted += 12 * face
        for eye in eyes:
            wanted += 40 * np.exp(-(((middle - eye - [0, 0, 0.012]) / 0.021) ** 2).sum(1))
        wanted += 18 * np.exp(-(((middle - mouth) / [0.032, 0.016, 0.03]) ** 2).sum(1))
        # An eyelid is folded while the eye is open.
        blink = surface.deltas[[8, 9]].sum(0)
        stretched = surface.areas(surface.vertices + blink) / (surface.areas() + 1e-12)
        wanted *= stretched.clip(1, 4)
    if surface.kind == 'cloth':
        high = middle[:, 1] - joints[row['spine3'], 1]
        wanted += 1.2 * np.exp(-(((high - 0.12) / 0.12) ** 2))  # collar and shoulders
    # More where the texture has detail.
    grey = cv2.cvtColor(surface.texture[..., :3], cv2.COLOR_RGB2GRAY).astype(np.float32)
    edges = np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1))
    edges = cv2.GaussianBlur(edges, (0, 0), surface.texture.shape[0] / 170)
    uv = surface.uv[surface.faces].mean(1)
    detail = bilinear(edges[..., None], uv)[:, 0]
    return wanted * (0.6 + 0.8 * np.clip(detail / (edges.mean() * 2 + 1e-6), 0, 1.5))


def _attributes(
    s: Surface, face: np.ndarray, bary: np.ndarray, radius: np.ndarray
) -> dict[str, np.ndarray]:
    corners = s.faces[face]

    def at(values: np.ndarray) -> np.ndarray:
        return np.einsum('nk,nkc->nc', bary, values[corners])

    normals = at(s.normals)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    uv = at(s.uv)
    # dp/du and dp/dv of the triangle: texels a metre, and the way along the strands of hair.
    p, q = s.vertices[corners], s.uv[corners]
    e1, e2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    d1, d2 = q[:, 1] - q[:, 0], q[:, 2] - q[:, 0]
    det = d1[:, 0] * d2[:, 1] - d2[:, 0] * d1[:, 1]
    det = np.where(np.abs(det) < 1e-12, 1e-12, det)[:, None]
    du = (e1 * d2[:, 1:] - e2 * d1[:, 1:]) / det
    dv = (e2 * d1[:, :1] - e1 * d2[:, :1]) / det
    h, w = s.texture.shape[:2]
    texel = np.sqrt(np.linalg.norm(du, axis=1) * np.linalg.norm(dv, axis=1) / (h * w))

    # The texture, filtered over the footprint of a Gaussian.
    image = s.texture.astype(np.float32) / 255
    if s.kind not in ALPHA_KINDS:
        image[..., 3] = 1
    image[..., :3] *= image[..., 3:]
    levels = [image]
    while min(levels[-1].shape[:2]) > 8:
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    level = np.clip(np.log2(0.6 * radius / texel), 0, len(levels) - 1)
    values = np.stack([bilinear(image, uv) for image in levels])
    low = np.floor(level).astype(int)
    high = np.minimum(low + 1, len(levels) - 1)
    rows, t = np.arange(len(uv)), (level - low)[:, None]
    rgba = values[low, rows] * (1 - t) + values[high, rows] * t
    alpha = rgba[:, 3].clip(0.02, 1)
    rgb = (rgba[:, :3] / alpha[:, None]).clip(0, 1)
    rgb = ((rgb**2.2 * at(s.shade)).clip(0, 1)) ** (1 / 2.2)

    tangents, stretch = _any_tangent(normals), np.ones(len(uv))
    if s.kind in ALPHA_KINDS:
        along_u, along_v = strand_direction(s.texture, uv)
        tangents = du * along_u[:, None] / w - dv * along_v[:, None] / h
        tangents -= normals * (tangents * normals).sum(1, keepdims=True)
        tangents /= np.linalg.norm(tangents, axis=1, keepdims=True) + 1e-12
        stretch = np.full(len(uv), 1.8)
    deltas = np.zeros((len(uv), len(ARKIT_52), 3), np.float32)
    if s.deltas is not None:
        for k in range(len(ARKIT_52)):
            deltas[:, k] = at(s.deltas[k])
    return {
        'points': at(s.vertices),
        'normals': normals,
        'tangents': tangents,
        'stretch': stretch,
        'spacing': radius,
        'rgb': rgb,
        'alpha': alpha,
        'weights': at(s.weights),
        'deltas': deltas,
        'kinds': np.full(len(uv), s.kind),
    }


def _any_tangent(normals: np.ndarray) -> np.ndarray:
    helper = np.where(np.abs(normals[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    tangents = np.cross(helper, normals)
    return tangents / np.linalg.norm(tangents, axis=1, keepdims=True)
