# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The CUDA engine: a thin layer over gsplat 1.5."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera
from avatar_ros.render.engine import (
    TENSORS,
    RasterizeMode,
    Rendered,
    RenderMode,
    check_request,
    compose,
)


def why_gsplat_cannot_run() -> str | None:
    """The reason in words, or None if it can.

    gsplat imports without CUDA and without its compiled part, and fails in several ways when
    it is used, so that it must not be tried by rendering.
    """
    if not torch.cuda.is_available():
        return 'torch sees no CUDA device'
    try:
        from gsplat.cuda._backend import _C
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        return f'gsplat does not load ({type(error).__name__}: {error})'
    return 'gsplat has no compiled CUDA code and found no nvcc' if _C is None else None


class GsplatEngine:
    """Rasterizer for CUDA devices, differentiable."""

    name = 'gsplat'
    differentiable = True

    def __init__(self, device: torch.device | str | None = None) -> None:
        reason = why_gsplat_cannot_run()
        if reason is not None:
            raise RuntimeError(
                f"engine 'gsplat' was asked for, but {reason}. Install it with "
                '`pip install avatar_ros[cuda]` on a machine with a CUDA GPU, or use engine '
                "'numba' or 'auto'."
            )
        self.device = torch.device(device or f'cuda:{torch.cuda.current_device()}')

    def workspace(self) -> None:
        """Nothing: torch's caching allocator reuses the memory."""

    def warm_up(self, gradients: bool = False) -> None:
        """Load the CUDA code with a tiny frame."""
        ones = torch.ones(2, 4, device=self.device)
        xyz = ones[:, :3] * torch.tensor([0.0, 0.0, 1.0], device=self.device)
        gaussians = Gaussians(xyz, ones, ones[:, :3] * 0.1, ones[:, 0], ones[:, :3])
        self.rasterize(gaussians, [Camera.from_fov(16, 16, 60)])
        torch.cuda.synchronize(self.device)

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
        """Images on the device; nothing waits for the GPU except gsplat itself."""
        from gsplat import rasterization

        width, height = check_request(
            self, gaussians, cameras, backgrounds, render_mode, rasterize_mode, near_plane
        )
        if not len(gaussians):
            channels = 3 if gaussians.sh_degree is not None else gaussians.colors.shape[-1]
            blank = torch.zeros(len(cameras), height, width, channels + 2, device=self.device)
            return compose(blank[..., :-1], blank[..., -1:], backgrounds, render_mode)
        viewmats = np.stack([camera.T_camera_world for camera in cameras]).astype(np.float32)
        Ks = np.stack([camera.K for camera in cameras]).astype(np.float32)
        colors, alphas, _ = rasterization(
            **finite_or_transparent(gaussians),
            viewmats=torch.from_numpy(viewmats).to(self.device),
            Ks=torch.from_numpy(Ks).to(self.device),
            width=width,
            height=height,
            near_plane=near_plane,
            far_plane=far_plane,
            eps2d=eps2d,
            sh_degree=gaussians.sh_degree,
            packed=False,
            # One pass for all features: HeadGAP has 34 channels, gsplat would take them by 32.
            channel_chunk=64,
            backgrounds=None if backgrounds is None else backgrounds.to(self.device),
            render_mode=render_mode,
            rasterize_mode=rasterize_mode,
        )
        return Rendered(colors, alphas)


def finite_or_transparent(gaussians: Gaussians) -> dict[str, Tensor]:
    """gsplat's arguments; a Gaussian with a value that is not finite gets opacity 0.

    Without a look at the result on the host, which would stall the GPU.
    """
    tensors = {name: getattr(gaussians, name) for name in TENSORS}
    good = gaussians.quats.abs().amax(-1) > 0
    for name in TENSORS if gaussians.colors.shape[0] == len(gaussians) else TENSORS[:4]:
        good &= torch.isfinite(tensors[name].reshape(len(gaussians), -1)).all(-1)
    clean = {
        name: torch.where(good.reshape(-1, *[1] * (t.dim() - 1)), t, torch.zeros_like(t))
        for name, t in tensors.items()
        if name != 'colors'
    }
    still = torch.tensor([1.0, 0.0, 0.0, 0.0], device=gaussians.device)
    clean['quats'] = torch.where(good[:, None], tensors['quats'], still)
    return {**clean, 'colors': torch.nan_to_num(tensors['colors'])}
