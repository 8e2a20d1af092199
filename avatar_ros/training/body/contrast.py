# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""CHASE's contrastive geometry loss: a DGCNN (Wang et al., TOG 2019) and a triplet loss."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class EdgeConvolution(nn.Module):
    """Max over k neighbours of LeakyReLU(BN(W [x_i, x_j - x_i])).

    W is linear, so it is applied to the points and not to the k times as many edges.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.here = nn.Linear(inputs, outputs, bias=False)
        self.there = nn.Linear(inputs, outputs, bias=False)
        self.normalise = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor, neighbours: int) -> Tensor:
        """Features (B, N, outputs) of features (B, N, inputs); the graph is that of `x`."""
        with torch.no_grad():
            rows = torch.cdist(x, x).topk(neighbours, dim=2, largest=False).indices
        own = self.here(x) - self.there(x)
        others = self.there(x)
        batch = torch.arange(len(x), device=x.device)[:, None, None]
        edges = own[:, :, None] + others[batch, rows]
        edges = self.normalise(edges.flatten(0, 2)).view_as(edges)
        return F.leaky_relu(edges, 0.2).amax(dim=2)


class DgcnnEncoder(nn.Module):
    """A code (B, 8 * width) of point clouds (B, N, 3); the paper's width is 64."""

    def __init__(self, neighbours: int = 20, width: int = 64) -> None:
        super().__init__()
        self.neighbours = neighbours
        sizes = (3, width, width, 2 * width, 4 * width)
        self.edges = nn.ModuleList(EdgeConvolution(a, b) for a, b in pairwise(sizes))
        self.gather = nn.Linear(sum(sizes[1:]), 16 * width, bias=False)
        self.normalise = nn.BatchNorm1d(16 * width)
        self.project = nn.Sequential(
            nn.Linear(32 * width, 8 * width), nn.ReLU(), nn.Linear(8 * width, 8 * width)
        )

    def forward(self, clouds: Tensor) -> Tensor:
        """Codes of the clouds."""
        x, levels = clouds, []
        for edge in self.edges:
            x = edge(x, self.neighbours)
            levels.append(x)
        x = self.gather(torch.cat(levels, dim=2))
        x = F.leaky_relu(self.normalise(x.flatten(0, 1)).view_as(x), 0.2)
        code: Tensor = self.project(torch.cat([x.amax(1), x.mean(1)], dim=1))
        return code


def contrastive_loss(
    encoder: DgcnnEncoder, anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0
) -> Tensor:
    """Triplet loss of three clouds (N, 3) of the same Gaussians, each about its own centre."""
    clouds = torch.stack([anchor, positive, negative])
    codes = encoder(clouds - clouds.mean(dim=1, keepdim=True))
    return F.triplet_margin_loss(codes[:1], codes[1:2], codes[2:], margin=margin)
