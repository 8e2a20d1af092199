# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Small functions that tests share."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def wait_for(condition: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """The condition's value as soon as it is true, or what it is when time is over."""
    end = time.monotonic() + timeout_s
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return value


def asset_or_skip(name: str) -> Path:
    """A fetched file, or the test is skipped with the command that would fetch it."""
    from avatar_ros.assets import MissingAssetError, asset_path

    try:
        return asset_path(name)
    except MissingAssetError as error:
        pytest.skip(str(error))
