# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

import threading
import time

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
from helpers import wait_for

from avatar_ros.nodes.worker import Latest, Worker


def test_newest_item_wins_and_the_other_is_counted():
    box: Latest[int] = Latest()
    assert box.put(1) is None
    assert box.put(2) == 1
    assert box.take() == 2
    assert box.dropped == 1


def test_stalled_worker_keeps_only_the_newest_item():
    release, seen = threading.Event(), []

    def process(item: int) -> None:
        seen.append(item)
        release.wait(5)

    worker: Worker[int] = Worker('w', process, lambda error: None)
    worker.inbox.put(0)
    assert wait_for(lambda: seen == [0])
    for item in range(1, 50):
        worker.inbox.put(item)
    release.set()
    assert wait_for(lambda: len(seen) == 2)
    worker.stop()
    assert seen == [0, 49]


def test_exception_does_not_end_the_worker():
    errors, done = [], []

    def process(item: int) -> None:
        if item == 0:
            raise RuntimeError('boom')
        done.append(item)

    worker: Worker[int] = Worker('w', process, errors.append)
    worker.inbox.put(0)
    assert wait_for(lambda: errors)
    worker.inbox.put(1)
    assert wait_for(lambda: done == [1])
    worker.stop()


def test_stop_ends_the_thread_at_once():
    worker: Worker[int] = Worker('w', lambda item: None, lambda error: None)
    start = time.monotonic()
    worker.stop()
    assert time.monotonic() - start < 1.0
    assert not worker._thread.is_alive()
