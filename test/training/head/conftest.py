# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A few painted people, photographed small."""

from pathlib import Path

import pytest
import torch

from avatar_ros.body.flame import HeadModel, free_head
from avatar_ros.training.synthetic.heads import Session, photograph_all
from avatar_ros.training.synthetic.painted_head import PaintedHead

torch.set_num_threads(1)


@pytest.fixture(scope='session')
def head() -> HeadModel:
    return free_head()


@pytest.fixture(scope='session')
def captures(tmp_path_factory: pytest.TempPathFactory, head: HeadModel) -> Path:
    """Three people, two faces to learn from and one to test with. Do not write into it."""
    folder = tmp_path_factory.mktemp('heads')
    people = [PaintedHead(head, seed, 256) for seed in range(3)]
    session = Session(size=64, faces=2, novel_faces=1, supersampling=1)
    photograph_all(people, folder, session, progress=False)
    return folder
