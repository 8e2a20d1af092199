# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""How our processes start and stop, and the environment that rclpy reads when it loads."""

import ctypes
import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
_LAST_CALLBACK_S = 3.0  # launch waits 5 s before it gets rough
_RELEASE_S = 20.0  # far more than any node needs to let go of what it has


def prepare_environment() -> None:
    """Set what rclpy, numpy and the allocator read when they load. Never overrides the user's."""
    prefix = Path(sys.prefix)
    if (prefix / 'share/ament_index').is_dir():  # the ROS wheels of PyPI set no prefix path
        os.environ.setdefault('AMENT_PREFIX_PATH', str(prefix))
    profile = fastdds_profile()
    if profile is not None:
        os.environ.setdefault(fastdds_profile_variable(), str(profile))
    # Spinning worker threads of several libraries on few cores cost more than they bring.
    for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS'):
        os.environ.setdefault(name, '1')
    os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
    _keep_image_memory()


def fastdds_profile_variable() -> str:
    """Fast DDS 2 (Humble, Jazzy) and 3 (Kilted and later) read different names; 3 warns of 2's."""
    old = os.environ.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy')
    if 'ROS_DISTRO' not in os.environ:
        try:
            old = int(metadata.version('ros-rclpy').split('.')[0]) < 9
        except metadata.PackageNotFoundError:
            old = False
    return 'FASTRTPS_DEFAULT_PROFILES_FILE' if old else 'FASTDDS_DEFAULT_PROFILES_FILE'


def fastdds_profile() -> Path | None:
    """The Fast DDS profile that we ship, from the source tree or from share/avatar_ros."""
    here = Path(__file__).resolve()
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    folders = [here.parents[2], *(Path(p) / 'share/avatar_ros' for p in prefixes if p)]
    for folder in folders:
        path = folder / 'config/fastdds_shm.xml'
        if path.is_file():
            return path
    return None


def share_file(relative: str) -> Path:
    """A file of config/ or launch/, from the source tree or from share/avatar_ros."""
    profile = fastdds_profile()
    path = (profile.parents[1] if profile else Path()) / relative
    if not path.is_file():
        raise FileNotFoundError(
            f'{relative} was not found beside the package nor in share/avatar_ros of '
            'AMENT_PREFIX_PATH. Source the workspace or install the package.'
        )
    return path


def _keep_image_memory() -> None:
    """Let glibc keep the memory of images instead of mapping and unmapping it for each frame."""
    try:
        mallopt = ctypes.CDLL('libc.so.6').mallopt
    except (OSError, AttributeError):
        return  # not glibc
    mallopt(_M_MMAP_THRESHOLD, 256 << 20)
    mallopt(_M_TRIM_THRESHOLD, 1 << 30)
    mallopt(_M_TOP_PAD, 16 << 20)


class RosLogHandler(logging.Handler):
    """Passes Python logging of the other rooms on to a node's logger (rosout, console)."""

    def __init__(self, logger: Any) -> None:
        super().__init__(logging.INFO)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        text = f'[{record.name}] {record.getMessage()}'
        # rclpy wants one call site a severity
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)


def forward_logs(node: Any) -> None:
    """Show what our libraries log under the node's name."""
    release_logs()
    package = logging.getLogger('avatar_ros')
    package.addHandler(RosLogHandler(node.get_logger()))
    package.setLevel(logging.INFO)
    package.propagate = False


def release_logs() -> None:
    """Undo `forward_logs`."""
    package = logging.getLogger('avatar_ros')
    for handler in list(package.handlers):
        if isinstance(handler, RosLogHandler):
            package.removeHandler(handler)
    package.propagate = True


def ignore_late_signals() -> None:
    """Call when all is released: a second Ctrl-C while Python ends would look like a crash."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def run_node(factory: Callable[[], Any], args: list[str] | None = None) -> int:
    """main() of a node: spin until Ctrl-C or shutdown, then release everything.

    Under launch a Ctrl-C often arrives twice, from the terminal and from launch. rclpy's own
    handlers would let the second one cut the release short (and a report unwritten).
    """
    import rclpy
    from rclpy.exceptions import NameValidationException
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    try:
        rclpy.init(args=args, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    except RuntimeError as error:
        print(f'avatar_ros: what follows --ros-args is not understood: {error}', file=sys.stderr)
        return 1
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    failures: list[BaseException] = []

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            pass
        except BaseException as error:
            failures.append(error)
        finally:
            done.set()

    node = None
    try:
        node = factory()
        forward_logs(node)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        thread = threading.Thread(target=spin, name='spin', daemon=True)
        thread.start()
        done.wait()
        executor.shutdown(timeout_sec=_LAST_CALLBACK_S)
        thread.join(timeout=_LAST_CALLBACK_S)
    except (ValueError, OSError, NameValidationException) as error:  # the user's: a bad parameter
        print(f'avatar_ros: {error}', file=sys.stderr)
        return 1
    finally:
        # Whatever may hang now, it says where and the process ends.
        faulthandler.dump_traceback_later(_RELEASE_S, exit=True)
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
        ignore_late_signals()
        faulthandler.cancel_dump_traceback_later()
    if failures:
        raise failures[0]
    return 0
