# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What every engine takes and gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera

RenderMode = Literal['RGB', 'D', 'ED', 'RGB+D', 'RGB+ED']
RasterizeMode = Literal['classic', 'antialiased']


@dataclass(frozen=True)
class Rendered:
    """Images of one call, one a camera."""

    colors: Tensor
    """(C, H, W, D): RGB or features, then depth in metres if the mode asks for it. `D` is depth
    weighted with alpha, `ED` ("expected") is divided by alpha. Not clamped above 1."""
    alphas: Tensor
    """(C, H, W, 1) coverage 0..1."""


class Engine(Protocol):
    """A rasterizer with the semantics of ``gsplat.rasterization``.

    All cameras of a call share width and height. Their lens distortion is not applied: the
    images are those of the ideal pinhole. Gradients flow to every tensor of the Gaussians and
    to the backgrounds, not to the cameras.
    """

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def differentiable(self) -> bool: ...

    def workspace(self) -> Any:
        """Buffers for `rasterize` to reuse: one for each thread that renders."""

    def warm_up(self, gradients: bool = False) -> None:
        """Compile or load what rendering needs, so that the first frame is not late."""

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
        workspace: Any = None,
    ) -> Rendered:
        """Images of the Gaussians, background (C, D) behind them; black without one."""


def check_request(
    engine: Engine,
    gaussians: Gaussians,
    cameras: Sequence[Camera],
    backgrounds: Tensor | None,
    render_mode: str,
    rasterize_mode: str,
    near_plane: float,
) -> tuple[int, int]:
    """Width and height of the images.

    :raises ValueError: if the arguments of `rasterize` contradict each other.
    """
    if not cameras:
        raise ValueError('rasterize got no cameras; expected at least one.')
    sizes = {(camera.width, camera.height) for camera in cameras}
    if len(sizes) > 1:
        listed = ', '.join(f'{width}x{height}' for width, height in sorted(sizes))
        raise ValueError(
            f'cameras of one rasterize call have sizes {listed}; they must share one. '
            'Use Camera.scaled, or a call for each size.'
        )
    if render_mode not in get_args(RenderMode):
        raise ValueError(f'render_mode is {render_mode!r}; expected one of {get_args(RenderMode)}.')
    if rasterize_mode not in get_args(RasterizeMode):
        raise ValueError(
            f'rasterize_mode is {rasterize_mode!r}; expected one of {get_args(RasterizeMode)}.'
        )
    if not near_plane > 0:
        raise ValueError(f'near_plane is {near_plane}; expected metres above 0.')
    count = len(cameras)
    channels = 3 if gaussians.sh_degree is not None else gaussians.colors.shape[-1]
    if backgrounds is not None and tuple(backgrounds.shape) != (count, channels):
        raise ValueError(
            f'backgrounds have shape {tuple(backgrounds.shape)}; expected ({count}, {channels}), '
            'one colour a camera.'
        )
    if gaussians.colors.dim() == 3 and gaussians.sh_degree is None:
        sets = gaussians.colors.shape[0]
        if sets != count:
            raise ValueError(f'Gaussians carry {sets} colour sets for {count} cameras.')
    if gaussians.device.type != engine.device.type:
        raise ValueError(
            f'Gaussians are on {gaussians.device}, engine {engine.name!r} works on '
            f'{engine.device}. Move them once with gaussians.to(engine.device).'
        )
    return sizes.pop()


def needs_gradient(gaussians: Gaussians, backgrounds: Tensor | None) -> bool:
    """Does autograd have to follow this call?"""
    if not torch.is_grad_enabled():
        return False
    tensors = [getattr(gaussians, name) for name in TENSORS]
    return any(t.requires_grad for t in tensors) or (
        backgrounds is not None and backgrounds.requires_grad
    )


#: The tensors of a `Gaussians`, in the order of gsplat's arguments.
TENSORS = ('means', 'quats', 'scales', 'opacities', 'colors')


def compose(
    rgbd: Tensor, alphas: Tensor, backgrounds: Tensor | None, render_mode: RenderMode
) -> Rendered:
    """From colours and accumulated depth (C, H, W, D + 1) on black to what a mode promises."""
    colors, depth = rgbd[..., :-1], rgbd[..., -1:]
    if render_mode.endswith('ED'):
        depth = depth / alphas.clamp_min(1e-10)
    if render_mode in ('D', 'ED'):
        return Rendered(depth, alphas)
    if backgrounds is not None:
        colors = colors + (1 - alphas) * backgrounds.to(colors)[:, None, None]
    if render_mode != 'RGB':
        colors = torch.cat([colors, depth], dim=-1)
    return Rendered(colors, alphas)
