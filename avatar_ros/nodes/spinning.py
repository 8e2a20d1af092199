# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A node that spins in the background of a command."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import rclpy
from rclpy.exceptions import NameValidationException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

N = TypeVar('N')


@contextlib.contextmanager
def spinning(make: Callable[[], N]) -> Iterator[tuple[N, threading.Event]]:
    """The node, spun by a thread, and an event that Ctrl-C sets; closes everything at the end."""
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    interrupted = threading.Event()
    node: Any = None

    def stop() -> None:
        interrupted.set()
        if hasattr(node, 'stop'):  # it may be waiting for something
            node.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop())
    executor = None
    thread = None
    try:
        try:
            node = make()
        except NameValidationException as error:
            raise ValueError(str(error)) from None
        executor = SingleThreadedExecutor()
        executor.add_node(node)

        def spin() -> None:
            with contextlib.suppress(ExternalShutdownException):
                executor.spin()

        thread = threading.Thread(target=spin, name='spin', daemon=True)
        thread.start()
        yield node, interrupted
    finally:
        if node is not None:
            node.close()
        if executor is not None:
            executor.shutdown()
        if thread is not None:
            thread.join(timeout=5.0)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
