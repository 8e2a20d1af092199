# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""One-slot mailboxes and the threads that empty them: the newest wins, nothing queues."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar('T')


class Latest(Generic[T]):
    """One-slot mailbox: the writer never blocks, the reader gets the newest item."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: T | None = None
        self._closed = False
        self.dropped = 0
        """Items that a newer one replaced before they were read."""

    def put(self, item: T) -> T | None:
        """Put the item in the box; gives the one that it replaced, unread, if there was one."""
        with self._condition:
            replaced, self._item = self._item, item
            self.dropped += replaced is not None
            self._condition.notify()
            return replaced

    def put_if_empty(self, item: T) -> bool:
        """Put the item in the box unless something newer waits there."""
        with self._condition:
            if self._item is not None:
                return False
            self._item = item
            self._condition.notify()
            return True

    def take(self, timeout_s: float | None = None) -> T | None:
        """The newest item, waiting for one; None when closed or out of time."""
        with self._condition:
            self._condition.wait_for(lambda: self._item is not None or self._closed, timeout_s)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        """Wake the reader for good."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed


class Worker(Generic[T]):
    """A thread that hands the newest item to `process`, one at a time.

    An exception goes to `on_error` and the thread lives on: no message may kill a node.
    """

    def __init__(
        self, name: str, process: Callable[[T], None], on_error: Callable[[Exception], None]
    ) -> None:
        self.inbox: Latest[T] = Latest()
        self._process = process
        self._on_error = on_error
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self.inbox.closed:
            item = self.inbox.take()
            if item is None:
                continue
            try:
                self._process(item)
            except Exception as error:
                self._on_error(error)

    def stop(self) -> None:
        """End the thread after the item at hand."""
        self.inbox.close()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)


@dataclass(frozen=True)
class Sink(Generic[T]):
    """Somebody in the same process who takes items by reference, and says if he wants them now."""

    accept: Callable[[T], None]
    wanted: Callable[[], bool] = lambda: True
