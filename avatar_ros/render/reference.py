# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The float64 reference: gsplat's rules written down plainly, differentiable by autograd."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avatar_ros.gaussians import Gaussians
from avatar_ros.gaussians.spherical_harmonics import evaluate_sh
from avatar_ros.geometry import Camera
from avatar_ros.render.engine import (
    RasterizeMode,
    Rendered,
    RenderMode,
    check_request,
    compose,
)

_ALPHA_MIN, _ALPHA_MAX, _TRANSMITTANCE_MIN = 1 / 255, 0.999, 1e-4
#: Pixels of one side of a tile. Tiles only save time: what falls below 1/255 is left out
#: anyway, at most 3.33 standard deviations from the centre.
_TILE = 16
_REACH = 3.4


@dataclass(frozen=True)
class Projected:
    """Gaussians as one camera sees them, nearest first."""

    pixels: Tensor
    """(n, 2) image positions."""
    conics: Tensor
    """(n, 3) inverse 2-D covariances xx, xy, yy."""
    radii: Tensor
    """(n, 2) half extents of the box outside of which alpha is below 1/255."""
    depths: Tensor
    opacities: Tensor
    """(n,) after the antialiasing factor."""
    colors: Tensor


def rotation_matrices(quats: Tensor) -> Tensor:
    """(N, 3, 3) of quaternions (N, 4) wxyz of any length."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def project(
    gaussians: Gaussians,
    colors: Tensor,
    camera: Camera,
    eps2d: float,
    near_plane: float,
    far_plane: float,
    antialiased: bool,
) -> Projected:
    """Elliptical weighted average projection of what the camera can see."""
    finite = torch.stack(
        [
            torch.isfinite(t.reshape(len(gaussians), -1)).all(-1)
            for t in (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities)
        ]
        + [torch.isfinite(colors).all(-1)]
    ).all(0)
    keep = finite & (gaussians.quats.abs().amax(-1) > 0)
    T_camera_world = torch.from_numpy(camera.T_camera_world).to(gaussians.means)
    R, t = T_camera_world[:3, :3], T_camera_world[:3, 3]
    z = gaussians.means @ R[2] + t[2]
    keep &= (z >= near_plane) & (z <= far_plane)

    points = gaussians.means[keep] @ R.T + t
    axes = R @ rotation_matrices(gaussians.quats[keep]) * gaussians.scales[keep][:, None]
    covariances = axes @ axes.mT
    x, y, z = points.unbind(-1)
    (fx, _, cx), (_, fy, cy), _ = camera.K.tolist()
    margin_x, margin_y = 0.15 * camera.width / fx, 0.15 * camera.height / fy
    u = (x / z).clamp(-cx / fx - margin_x, (camera.width - cx) / fx + margin_x)
    v = (y / z).clamp(-cy / fy - margin_y, (camera.height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    jacobians = torch.stack(
        [
            torch.stack([fx / z, zero, -fx * u / z], -1),
            torch.stack([zero, fy / z, -fy * v / z], -1),
        ],
        -2,
    )
    flat = jacobians @ covariances @ jacobians.mT
    sharp = flat[:, 0, 0] * flat[:, 1, 1] - flat[:, 0, 1] ** 2
    xx, xy, yy = flat[:, 0, 0] + eps2d, flat[:, 0, 1], flat[:, 1, 1] + eps2d
    determinant = xx * yy - xy * xy
    opacities = gaussians.opacities[keep]
    if antialiased:
        opacities = opacities * (sharp / determinant).clamp_min(1e-24).sqrt()
    radii = _REACH * torch.stack([xx, yy], -1).detach().sqrt()
    pixels = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)
    size = torch.tensor([camera.width, camera.height]).to(pixels)
    seen = (opacities >= _ALPHA_MIN) & ((pixels + radii > 0) & (pixels - radii < size)).all(-1)
    order = seen.nonzero()[:, 0]
    # In float32, so that what is equal there for gsplat is in the same order here.
    order = order[torch.argsort(z[order].to(torch.float32), stable=True)]
    conics = torch.stack([yy, -xy, xx], -1) / determinant[:, None]
    return Projected(
        pixels[order], conics[order], radii[order], z[order], opacities[order],
        colors[keep][order],
    )  # fmt: skip


def composite(splats: Projected, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Colours and depth (P, D + 1) and alphas (P, 1) of every Gaussian onto every pixel (P, 2)."""
    dx, dy = (splats.pixels[:, None] - pixels[None]).unbind(-1)
    a, b, c = splats.conics[:, :, None].unbind(1)
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    alphas = (splats.opacities[:, None] * torch.exp(-sigma)).clamp_max(_ALPHA_MAX)
    alphas = torch.where((sigma >= 0) & (alphas >= _ALPHA_MIN), alphas, 0)
    after = torch.cumprod(1 - alphas, 0)
    before = torch.cat([torch.ones_like(after[:1]), after[:-1]])
    weights = torch.where(after > _TRANSMITTANCE_MIN, alphas * before, 0)
    values = torch.cat([splats.colors, splats.depths[:, None]], -1)
    return weights.T @ values, weights.sum(0)[:, None]


def render_camera(splats: Projected, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Colours and depth (H, W, D + 1) and alphas (H, W, 1), tile by tile."""
    bands = []
    for y0 in range(0, height, _TILE):
        band = []
        for x0 in range(0, width, _TILE):
            x1, y1 = min(x0 + _TILE, width), min(y0 + _TILE, height)
            y, x = torch.meshgrid(
                torch.arange(y0, y1) + 0.5, torch.arange(x0, x1) + 0.5, indexing='ij'
            )
            low, high = splats.pixels - splats.radii, splats.pixels + splats.radii
            near = (high[:, 0] > x0) & (low[:, 0] < x1) & (high[:, 1] > y0) & (low[:, 1] < y1)
            here = Projected(*(getattr(splats, name)[near] for name in vars(splats)))
            grid = torch.stack([x, y], -1).reshape(-1, 2).to(splats.pixels)
            rgbd, alphas = composite(here, grid)
            band.append(torch.cat([rgbd, alphas], -1).reshape(y1 - y0, x1 - x0, -1))
        bands.append(torch.cat(band, 1))
    image = torch.cat(bands)
    return image[..., :-1], image[..., -1:]


class ReferenceEngine:
    """Brute force in float64 on the CPU: the oracle of the tests, for small images."""

    name = 'reference'
    differentiable = True

    def __init__(self) -> None:
        self.device = torch.device('cpu')

    def workspace(self) -> None:
        """Nothing: this engine keeps no buffers."""

    def warm_up(self, gradients: bool = False) -> None:
        """Nothing to compile."""

    def rasterize(
        self,
        gaussians: Gaussians,
        cameras: Sequence[Camera],
        *,
        backgrounds: Tensor | None = None,
        render_mode: RenderMode = 'RGB',
        rasterize_mode: RasterizeMode = 'classic',
        eps2d: float = 0.3,
        near_plane: float = 0.01,
        far_plane: float = 1e10,
        workspace: None = None,
    ) -> Rendered:
        """Images in float64."""
        width, height = check_request(
            self, gaussians, cameras, backgrounds, render_mode, rasterize_mode, near_plane
        )
        exact = gaussians.to(dtype=torch.float64)
        images = []
        for c, camera in enumerate(cameras):
            colors = exact.colors
            if exact.sh_degree is not None:
                eye = torch.from_numpy(camera.position)
                colors = evaluate_sh(colors, exact.means - eye)
            elif colors.dim() == 3:
                colors = colors[c]
            splats = project(
                exact, colors, camera, eps2d, near_plane, far_plane,
                rasterize_mode == 'antialiased',
            )  # fmt: skip
            images.append(render_camera(splats, width, height))
        rgbd, alphas = (torch.stack(parts) for parts in zip(*images, strict=True))
        return compose(rgbd, alphas, backgrounds, render_mode)
