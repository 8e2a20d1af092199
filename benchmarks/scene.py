# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A synthetic person made of Gaussians: the scene of the render tests and benchmarks."""

import numpy as np
import torch

from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.spherical_harmonics import sh0_from_rgb
from avatar_ros.geometry import Camera, look_at, quat_from_matrix

# Capsules of a standing person 1.78 m tall, y up: two ends, and the radius at each.
_CAPSULES = [
    ((0, 1.62, 0), (0, 1.70, 0.01), 0.095, 0.095),
    ((0, 1.45, 0), (0, 1.56, 0), 0.06, 0.06),
    ((0, 1.05, 0), (0, 1.38, 0), 0.150, 0.165),
    ((0, 0.92, 0), (0, 1.05, 0), 0.165, 0.150),
    ((-0.17, 1.40, 0), (0.17, 1.40, 0), 0.075, 0.075),
]
for _side in (-1, 1):
    _CAPSULES += [
        ((_side * 0.19, 1.40, 0), (_side * 0.36, 1.15, 0), 0.055, 0.045),
        ((_side * 0.36, 1.15, 0), (_side * 0.48, 0.92, 0.06), 0.045, 0.033),
        ((_side * 0.48, 0.92, 0.06), (_side * 0.53, 0.80, 0.10), 0.038, 0.025),
        ((_side * 0.10, 0.90, 0), (_side * 0.12, 0.50, 0.01), 0.085, 0.062),
        ((_side * 0.12, 0.50, 0.01), (_side * 0.13, 0.10, -0.02), 0.060, 0.040),
        ((_side * 0.13, 0.05, -0.02), (_side * 0.14, 0.035, 0.16), 0.045, 0.033),
    ]


def _tangent(n: np.ndarray) -> np.ndarray:
    up = np.where(np.abs(n[:, :1]) > 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    t = np.cross(n, up)
    return t / np.linalg.norm(t, axis=1, keepdims=True)


def person(
    n: int, seed: int = 0, sigma: float | None = None, sh_degree: int | None = None
) -> Gaussians:
    """A person of n flat Gaussians that lie on its surface.

    :param sigma: tangential standard deviation in metres; None takes 0.6 of their spacing.
    :param sh_degree: None gives RGB colours.
    """
    rng = np.random.default_rng(seed)
    ends = np.array([(a, b) for a, b, _, _ in _CAPSULES])
    radii = np.array([(ra, rb) for _, _, ra, rb in _CAPSULES])
    lengths = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    mean_radii = radii.mean(1)
    areas = 2 * np.pi * mean_radii * lengths + 4 * np.pi * mean_radii**2
    which = rng.choice(len(_CAPSULES), size=n, p=areas / areas.sum())
    a, length, r = ends[which, 0], lengths[which], mean_radii[which]
    axis = (ends[which, 1] - a) / length[:, None]

    # A place on the cylinder or on a cap, and the normal there.
    along = rng.random(n) * (length + 2 * r) - r
    t = np.clip(along, 0, length)
    e1 = _tangent(axis)
    e2 = np.cross(axis, e1)
    phi = rng.random(n)[:, None] * 2 * np.pi
    tilt = np.clip((along - t) / r, -1, 1)[:, None]
    normals = np.sqrt(1 - tilt**2) * (np.cos(phi) * e1 + np.sin(phi) * e2) + tilt * axis
    radius = radii[which, 0] + np.diff(radii[which], axis=1)[:, 0] * t / length
    means = a + axis * t[:, None] + normals * (radius + rng.normal(0, 0.002, n))[:, None]

    spin = rng.random(n)[:, None] * np.pi
    t1 = _tangent(normals)
    t2 = np.cross(normals, t1)
    x = np.cos(spin) * t1 + np.sin(spin) * t2
    quats = quat_from_matrix(np.stack([x, np.cross(normals, x), normals], -1))
    base = 0.6 * np.sqrt(areas.sum() / n) if sigma is None else sigma
    ratios = np.exp(rng.normal(0, 0.3, (n, 3)) + np.array([0, 0, np.log(0.25)]))
    scales = base * np.exp(rng.normal(0, 0.35, n))[:, None] * ratios
    opacities = 1 / (1 + np.exp(-rng.normal(1.5, 1.5, n)))
    waves = np.sin(means * [9, 11, 13] + [1, 0, 2])
    rgb = np.clip(0.5 + 0.27 * waves + rng.normal(0, 0.05, (n, 3)), 0, 1)
    colors = rgb
    if sh_degree is not None:
        colors = rng.normal(0, 0.05, (n, (sh_degree + 1) ** 2, 3))
        colors[:, 0] = sh0_from_rgb(rgb)
    tensors = [
        torch.from_numpy(v.astype(np.float32)) for v in (means, quats, scales, opacities, colors)
    ]
    return Gaussians(*tensors, sh_degree=sh_degree)


def camera(
    width: int, height: int, azimuth: float = 0.3, fill: float = 0.97, offset: float = 0.0
) -> Camera:
    """A camera that circles the person, who fills that share of the image height.

    :param azimuth: radians; 0 looks at the front.
    :param offset: metres to the right, for the second eye.
    """
    distance = 2.6
    f = fill * height * distance / 1.8
    eye = (np.sin(azimuth) * distance, 1.0, np.cos(azimuth) * distance)
    T = look_at(eye, (0, 0.9, 0))
    T[0, 3] -= offset
    return Camera(np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1.0]]), width, height, T)
