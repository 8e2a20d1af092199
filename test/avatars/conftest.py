# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import pytest
from made_bundles import random_bundle

from avatar_ros.avatars import Bundle, SkinnedAvatar, load_bundle, shipped_avatars


@pytest.fixture
def bundle() -> Bundle:
    return random_bundle()


@pytest.fixture(scope='session')
def dressed() -> SkinnedAvatar:
    return SkinnedAvatar(load_bundle(shipped_avatars()['dressed']))
