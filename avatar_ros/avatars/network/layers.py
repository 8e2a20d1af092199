# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The multi-layer perceptron of all the networks."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _LeakyRelu(torch.autograd.Function):
    """``leaky_relu`` of slope 0.01; torch's own backward is ten times slower on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        return F.leaky_relu(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return gradient * torch.sign(x).mul_(0.495).add_(0.505)


class Mlp(nn.Module):
    """LeakyReLU layers on inputs (N, inputs) and a code (shared,) that all rows share.

    The code enters at the first layer as if it were appended to each row, but is multiplied
    once instead of N times.
    """

    def __init__(self, inputs: int, shared: int, width: int, layers: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.code = nn.Linear(shared, width, bias=False) if shared else None
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(layers - 1))
        self.last = nn.Linear(width, outputs)

    def forward(self, rows: Tensor, code: Tensor | None = None) -> Tensor:
        """Outputs (N, outputs)."""
        bias = self.first.bias
        if self.code is not None:
            assert code is not None
            bias = bias + self.code(code)
        x: Tensor = _LeakyRelu.apply(torch.addmm(bias, rows, self.first.weight.T))
        for layer in self.hidden:
            x = _LeakyRelu.apply(layer(x))
        return self.last(x)

    def start_at_zero(self) -> None:
        """Make the last layer's outputs (nearly) zero, so that a network starts as the identity."""
        nn.init.uniform_(self.last.weight, -1e-5, 1e-5)
        nn.init.zeros_(self.last.bias)
