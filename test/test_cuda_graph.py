# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A recorded graph gives what the function gives."""

import numpy as np
import pytest
import torch

from avatar_ros.avatars import load_avatar
from avatar_ros.body import ARKIT_52, FLAME, BodyPose, FaceExpression
from avatar_ros.cuda_graph import GraphedCall
from avatar_ros.geometry import quat_from_rotvec

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')


def wave(x, y):
    return torch.sin(x) + y, x.cumsum(0)


def test_without_a_gpu_the_function_is_called_as_it_is():
    call = GraphedCall(wave)
    for k in range(3):
        x = torch.full((4,), float(k))
        for ours, theirs in zip(call(x, x), wave(x, x), strict=True):
            assert torch.equal(ours, theirs)
    assert not call.recorded


@needs_cuda
def test_replays_follow_their_inputs_and_keep_what_they_gave():
    call, seen = GraphedCall(wave), []
    for n in (5, 5, 5, 5, 9, 9, 9):
        x, y = torch.rand(n, device='cuda'), torch.rand(n, device='cuda')
        seen.append((call(x, y), wave(x, y)))
    assert call.recorded
    for ours, theirs in seen:
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b)


@needs_cuda
def test_what_cannot_be_recorded_still_works_and_is_logged(caplog):
    call = GraphedCall(lambda x: (x * float(x.sum()),))
    x = torch.rand(4, device='cuda')
    for _ in range(4):
        torch.testing.assert_close(call(x)[0], x * x.sum())
    assert not call.recorded
    assert 'without CUDA graphs' in caplog.text


@needs_cuda
def test_a_head_is_replayed_as_the_cpu_deforms_it():
    on_cpu, on_gpu = load_avatar('head'), load_avatar('head', 'cuda')
    rng = np.random.default_rng(0)
    for _ in range(4):
        quats = quat_from_rotvec(rng.normal(0, 0.2, (len(FLAME), 3)))
        pose = BodyPose(FLAME, np.eye(4), quats, np.ones(len(FLAME)))
        face = FaceExpression('arkit52', ARKIT_52, rng.uniform(0, 0.6, len(ARKIT_52)))
        a, b = on_cpu.deform(pose, face), on_gpu.deform(pose, face)
        for name in ('means', 'scales', 'quats'):
            torch.testing.assert_close(
                getattr(b, name).cpu(), getattr(a, name), atol=2e-5, rtol=1e-3
            )
    assert on_gpu.acting.recorded
