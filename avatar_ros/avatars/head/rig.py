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
    turns: Tensor
    """(B, N, 4): R as quaternions wxyz."""


@dataclass(frozen=True)
class Rest:
    """A still face: what expressions are measured against."""

    affine: Tensor
    """(1, N, 3, 4) from local to global coordinates."""
    size: Tensor
    """(1, F) of the triangles."""


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
        self.register_buffer('corners', faces[used][rows])
        self.register_buffer('bary', torch.from_numpy(binding.bary))
        self.faces: Tensor
        self.row: Tensor
        self.corners: Tensor
        self.bary: Tensor

    def frames(
        self,
        shape: Tensor,
        expression: Tensor,
        rotvecs: Tensor,
        translation: Tensor,
        offset: Tensor | None = None,
        rest: Rest | None = None,
    ) -> Frames:
        """Of B instants of one person; arguments as those of `Flame`, `rest` to save time."""
        v, joints = self.flame.shaped(shape, expression, offset)
        posed = self.flame.posed(v, joints, rotvecs, translation)
        # HeadGAP's e is what the expression does: seen with a still head, against a still face.
        still = rotvecs.clone()
        still[:, :2] = 0
        moved = self._affine(self.flame.posed(v, joints, still))
        if rest is None:
            rest = self.rest(shape, offset)
        R, size = triangle_frames(posed, self.faces)
        size = torch.minimum(size, MAX_STRETCH * rest.size)
        return Frames(
            self._origins(posed),
            R[:, self.row],
            size[:, self.row],
            moved - rest.affine,
            quat_from_matrix(R)[:, self.row],
        )

    def rest(self, shape: Tensor, offset: Tensor | None = None) -> Rest:
        """The still face of a person: it does not change while they act."""
        expressions = self.flame.expression_dirs.shape[2]
        nothing = torch.zeros(1, expressions, device=self.bary.device)
        v, joints = self.flame.shaped(shape, nothing, offset)
        vertices = self.flame.posed(v, joints, torch.zeros(1, 5, 3, device=self.bary.device))
        return Rest(self._affine(vertices), triangle_frames(vertices, self.faces)[1])

    def _origins(self, vertices: Tensor) -> Tensor:
        corners = (vertices[:, self.corners[:, k]] * self.bary[:, k : k + 1] for k in range(3))
        return sum(corners, torch.zeros((), device=vertices.device))

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
    quats = quat_multiply(at.turns, torch.nn.functional.normalize(local.quats, dim=-1))
    scales = (at.size[..., None] * local.scales).clamp(max=MAX_SCALE_M)
    return means, quats, scales


def displacement(local: LocalGaussians, at: Frames) -> Tensor:
    """e (B, N, 3): how far the expression moves each Gaussian, in metres."""
    return (at.moved[..., :3] @ local.means[..., None])[..., 0] + at.moved[..., 3]
