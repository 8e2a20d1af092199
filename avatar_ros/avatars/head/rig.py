# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""From Gaussians in triangle frames to the world, under an expression and a head pose."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avatar_ros.avatars.head.binding import Binding
from avatar_ros.avatars.head.gapnet import LocalGaussians
from avatar_ros.body.flame import Flame, triangle_frames
from avatar_ros.body.model import BodyModel
from avatar_ros.geometry.torch_rotations import quat_from_matrix, quat_multiply

#: A triangle that an expression stretches (lips) enlarges its Gaussians by at most so much.
MAX_STRETCH = 2.0
#: No Gaussian is larger, in metres.
MAX_SCALE_M = 0.045


@dataclass(frozen=True)
class Frames:
    """Where B instants carry the triangles of N Gaussians."""

    origins: Tensor
    """(B, N, 3)."""
    R: Tensor
    """(B, N, 3, 3)."""
    size: Tensor
    """(B, N)."""
    moved: Tensor
    """(B, N, 3, 4): displaces a local point by what the expression alone does to it, in metres."""
    stretch: Tensor
    """(B, N): size of the triangle over that at rest, at most `MAX_STRETCH`."""


class HeadRig(nn.Module):
    """A FLAME head and the triangles that Gaussians are bound to."""

    def __init__(self, model: BodyModel, binding: Binding) -> None:
        super().__init__()
        self.flame = Flame(model)
        faces = torch.from_numpy(model.faces)
        # Only triangles with Gaussians on them are ever looked at.
        used, rows = torch.unique(torch.from_numpy(binding.face).long(), return_inverse=True)
        self.register_buffer('faces', faces[used])
        self.register_buffer('row', rows)
        self.register_buffer('bary', torch.from_numpy(binding.bary))
        self.faces: Tensor
        self.row: Tensor
        self.bary: Tensor

    def frames(
        self,
        shape: Tensor,
        expression: Tensor,
        rotvecs: Tensor,
        translation: Tensor,
        offset: Tensor | None = None,
    ) -> Frames:
        """Of B instants of one person; arguments as those of `Flame`."""
        posed = self.flame(shape, expression, rotvecs, translation, offset)
        # HeadGAP's e is what the expression does: seen with a still head, against a still face.
        still = rotvecs.clone()
        still[:, :2] = 0
        acted = self.flame(shape, expression, still, None, offset)
        rest = self.flame(
            shape, torch.zeros_like(expression[:1]), torch.zeros_like(rotvecs[:1]), None, offset
        )
        R, size = triangle_frames(posed, self.faces)
        moved = self._affine(acted) - self._affine(rest)
        rest_size = triangle_frames(rest, self.faces)[1]
        stretch = (size / rest_size.clamp_min(1e-6)).clamp(max=MAX_STRETCH)
        return Frames(
            self._origins(posed),
            R[:, self.row],
            (stretch * rest_size)[:, self.row],
            moved,
            stretch[:, self.row],
        )

    def _origins(self, vertices: Tensor) -> Tensor:
        corners = vertices[:, self.faces][:, self.row]
        return (corners * self.bary[..., None]).sum(2)

    def _affine(self, vertices: Tensor) -> Tensor:
        """(B, N, 3, 4) from local to global coordinates."""
        R, size = triangle_frames(vertices, self.faces)
        linear = (R * size[..., None, None])[:, self.row]
        return torch.cat([linear, self._origins(vertices)[..., None]], dim=-1)


def place(local: LocalGaussians, at: Frames) -> tuple[Tensor, Tensor, Tensor]:
    """Means (B, N, 3), quaternions (B, N, 4), scales (B, N, 3) in the world.

    GaussianAvatars eq. 2: r = R r', mu = s R mu' + T, S = s S'.
    """
    means = at.origins + at.size[..., None] * (at.R @ local.means[..., None])[..., 0]
    quats = quat_multiply(
        quat_from_matrix(at.R), torch.nn.functional.normalize(local.quats, dim=-1)
    )
    scales = (at.size[..., None] * local.scales).clamp(max=MAX_SCALE_M)
    return means, quats, scales


def displacement(local: LocalGaussians, at: Frames) -> Tensor:
    """e (B, N, 3): how far the expression moves each Gaussian, in metres."""
    return (at.moved[..., :3] @ local.means[..., None])[..., 0] + at.moved[..., 3]
