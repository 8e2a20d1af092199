# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import pytest
import torch

from avatar_ros.render import NumbaEngine


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=['simd', 'plain'])
def engine(request: pytest.FixtureRequest) -> NumbaEngine:
    return NumbaEngine(simd=request.param == 'simd')
