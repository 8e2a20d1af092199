# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

from pathlib import Path

import pytest
import torch

from avatar_ros.training.synthetic.mesh_generate import MeshCaptureOptions, generate_mesh_capture

torch.set_num_threads(1)


@pytest.fixture(scope='session')
def small_capture(tmp_path_factory) -> Path:
    """A made capture on disk: 15 instants, 4 cameras, 64 pixels. Do not write into it."""
    folder = tmp_path_factory.mktemp('captures') / 'small'
    generate_mesh_capture(folder, MeshCaptureOptions(frames=15, cameras=4, size=64))
    return folder
