# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Many small kernels as one CUDA graph: a frame must not wait for Python to launch them."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

_logger = logging.getLogger(__name__)


class GraphedCall:
    """A function of float tensors, recorded once for inputs of the same shapes and then replayed.

    The function must not look at values (no ``.item()``, no masks that select) nor copy from the
    CPU. On other devices, and where recording fails, it is called as it is.
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]]) -> None:
        self._function = function
        self._shapes: tuple[torch.Size, ...] = ()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._outputs: tuple[Tensor, ...] = ()
        self._failed = False

    @property
    def recorded(self) -> bool:
        """The next call with the same shapes is a replay."""
        return self._graph is not None

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the function gives, in new tensors."""
        if self._failed or not inputs[0].is_cuda:
            return self._function(*inputs)
        shapes = tuple(x.shape for x in inputs)
        if shapes != self._shapes:
            # Not recorded yet: who resizes a picture would record every size on the way.
            self._shapes, self._graph = shapes, None
            return self._function(*inputs)
        if self._graph is None:
            self._graph = self._record(inputs)
            if self._graph is None:
                return self._function(*inputs)
        for kept, new in zip(self._inputs, inputs, strict=True):
            kept.copy_(new)
        self._graph.replay()
        return tuple(x.clone() for x in self._outputs)

    def _record(self, inputs: tuple[Tensor, ...]) -> torch.cuda.CUDAGraph | None:
        self._inputs = tuple(x.clone() for x in inputs)
        graph = torch.cuda.CUDAGraph()
        try:
            aside = torch.cuda.Stream(inputs[0].device)
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):  # libraries set themselves up in a first call
                self._function(*self._inputs)
            torch.cuda.current_stream().wait_stream(aside)
            # Other threads, such as another node's, may use the GPU meanwhile.
            with torch.cuda.graph(graph, capture_error_mode='thread_local'):
                self._outputs = self._function(*self._inputs)
        except RuntimeError as error:
            self._failed = True
            _logger.warning('drawn without CUDA graphs, which is slower: %s', error)
            return None
        return graph
