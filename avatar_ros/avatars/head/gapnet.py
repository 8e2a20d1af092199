# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""GAPNet: from features of points and codes of parts to Gaussians (HeadGAP, section 3.2)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar_ros.avatars.head.config import HeadNetworkConfig

#: Position 3, rotation 4, scale 3, opacity 1.
GEOMETRY = 11
#: Opacity of a Gaussian that has learned nothing yet, as a logit.
_FIRST_OPACITY = 2.0
#: A Gaussian is at most so many triangle sizes large, whatever the network says.
_MAX_LOG_SCALE = math.log(6.0)


class PartMlp(nn.Module):
    """LeakyReLU layers with weights of their own for every part.

    What the rows of a part share (the code) and what all identities share (the point features)
    enter the first layer apart, so that neither is multiplied more often than it must be.
    """

    def __init__(
        self,
        slices: Sequence[slice],
        point: int,
        code: int,
        extras: Sequence[int],
        width: int,
        layers: int,
        outputs: int,
    ) -> None:
        super().__init__()
        self.slices = tuple(slices)
        parts, inputs = len(self.slices), point + code + sum(extras)
        bound = math.sqrt(6 / 1.0001 / inputs)

        def weight(rows: int, columns: int, limit: float) -> nn.Parameter:
            return nn.Parameter(torch.empty(parts, rows, columns).uniform_(-limit, limit))

        self.point = weight(point, width, bound)
        self.code = weight(code, width, bound)
        self.extras = nn.ParameterList(weight(k, width, bound) for k in extras)
        self.bias = nn.Parameter(torch.zeros(parts, 1, width))
        hidden = math.sqrt(6 / width)
        self.hidden = nn.ParameterList(weight(width, width, hidden) for _ in range(layers - 2))
        self.hidden_bias = nn.ParameterList(
            nn.Parameter(torch.zeros(parts, 1, width)) for _ in range(layers - 2)
        )
        # Small, so that what comes out at first is the default of every parameter.
        self.last = weight(width, outputs, 0.01 * hidden)
        self.last_bias = nn.Parameter(torch.zeros(parts, 1, outputs))

    def fixed(self, point: Tensor, code: Tensor, extras: Sequence[Tensor]) -> list[Tensor]:
        """The first layer of every part before its activation, without the last extra inputs.

        :param point: (N, point). :param code: (B, parts, code).
        :param extras: (B, N, k) each, in order; those at the end may be left out.
        """
        result = []
        for p, rows in enumerate(self.slices):
            x = (point[rows] @ self.point[p]) + (code[:, p : p + 1] @ self.code[p]) + self.bias[p]
            for values, weight in zip(extras, self.extras, strict=False):
                x = x + values[:, rows] @ weight[p]
            result.append(x)
        return result

    def finish(
        self, first: Sequence[Tensor], extra: Tensor | None = None, outputs: int | None = None
    ) -> Tensor:
        """Outputs (B, N, outputs) from what `fixed` gave, and the last extra input (B, N, k)."""
        result = []
        for p, rows in enumerate(self.slices):
            x = first[p]
            if extra is not None:
                x = x + extra[:, rows] @ self.extras[-1][p]
            x = F.leaky_relu(x)
            for weight, bias in zip(self.hidden, self.hidden_bias, strict=True):
                x = F.leaky_relu(x @ weight[p] + bias[p])
            end = self.last.shape[2] if outputs is None else outputs
            result.append(x @ self.last[p, :, :end] + self.last_bias[p, :, :end])
        return torch.cat(result, dim=1)


class ScreenCnn(nn.Module):
    """Six 3x3 convolutions at full resolution that correct the splatted colours.

    The paper's network paints the picture anew; this one adds to it, and only where the head is,
    so that a picture without it is complete too. Without batch normalisation: fine-tuning sees
    one picture at a time.
    """

    def __init__(self, inputs: int, width: int, layers: int) -> None:
        super().__init__()
        sizes = [inputs, *[width] * (layers - 1), 3]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None  # noqa: PT018
        nn.init.uniform_(last.weight, -1e-4, 1e-4)
        nn.init.zeros_(last.bias)

    def forward(self, splatted: Tensor, alphas: Tensor) -> Tensor:
        """RGB (B, H, W, 3) from features (B, H, W, D) on black and coverage (B, H, W, 1)."""
        x = splatted.permute(0, 3, 1, 2)
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x))
        change = self.layers[-1](x).permute(0, 2, 3, 1)
        return (splatted[..., :3] + alphas * change).clamp(0, 1)


@dataclass(frozen=True)
class LocalGaussians:
    """N Gaussians of B identities in the frames of their triangles, in triangle sizes."""

    means: Tensor
    """(B, N, 3)."""
    quats: Tensor
    """(B, N, 4) wxyz, not normalised."""
    scales: Tensor
    """(B, N, 3)."""
    opacities: Tensor
    """(B, N)."""


class GapNet(nn.Module):
    """f_M of HeadGAP and the screen-space network f_C."""

    def __init__(
        self, config: HeadNetworkConfig, slices: Sequence[slice], first_log_scale: Tensor
    ) -> None:
        super().__init__()
        self.config = config
        if not config.parts:
            slices = [slice(0, len(first_log_scale))]
        sizes = (slices, config.point_features, config.code)
        self.geometry_net = PartMlp(*sizes, (), config.width, config.layers, GEOMETRY)
        self.appearance_net = PartMlp(
            *sizes, (GEOMETRY, 3), config.width, config.layers, config.features
        )
        self.cnn = (
            ScreenCnn(config.features, config.cnn_width, config.cnn_layers) if config.cnn else None
        )
        self.register_buffer('first_log_scale', first_log_scale)
        self.first_log_scale: Tensor

    @property
    def parts(self) -> int:
        """How many codes an identity has."""
        return len(self.geometry_net.slices)

    def geometry(self, point: Tensor, code: Tensor) -> Tensor:
        """A_g (B, N, 11) of points (N, F) and codes (B, parts, C); nothing of the expression."""
        return self.geometry_net.finish(self.geometry_net.fixed(point, code, ()))

    def local(self, geometry: Tensor) -> LocalGaussians:
        """What the numbers of A_g mean."""
        mean, quat, scale, opacity = geometry.split([3, 4, 3, 1], dim=-1)
        log_scale = (scale + self.first_log_scale).clamp(max=_MAX_LOG_SCALE)
        identity = torch.tensor([1.0, 0.0, 0.0, 0.0], device=geometry.device)
        return LocalGaussians(
            mean, quat + identity, log_scale.exp(), torch.sigmoid(opacity[..., 0] + _FIRST_OPACITY)
        )

    def appearance(
        self, point: Tensor, code: Tensor, geometry: Tensor, displacement: Tensor
    ) -> Tensor:
        """h (B, N, features) in 0..1.

        :param displacement: e (B, N, 3), metres that the expression moves each Gaussian.
        """
        first = self.appearance_net.fixed(point, code, (geometry,))
        return torch.sigmoid(self.appearance_net.finish(first, self.scaled(displacement)))

    def scaled(self, displacement: Tensor) -> Tensor:
        """Displacement as the network takes it: centimetres; zero in the ablation without it."""
        return displacement * (100.0 if self.config.dynamic else 0.0)
