# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Executable `telepresence`: camera, tracker, renderer and XR server in one process.

The nodes are those that the launch file starts apart, and their topics are published for
everybody else. Inside the process pictures and poses go by reference, and each node has an
executor of its own in a thread (rclpy has no intra-process transport, and its multi-threaded
executor loses messages).
"""

import argparse
import contextlib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rclpy
import segno
from rclpy.exceptions import NameValidationException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.utilities import remove_ros_args

from avatar_ros.assets import DEMOS
from avatar_ros.avatars import avatar_path, is_head
from avatar_ros.nodes.avatar_renderer import AvatarRendererNode
from avatar_ros.nodes.body_tracker import BodyTrackerNode
from avatar_ros.nodes.camera import CameraNode
from avatar_ros.nodes.reporter import ReporterNode
from avatar_ros.nodes.runtime import forward_logs, ignore_late_signals, release_logs, share_file
from avatar_ros.nodes.worker import Sink
from avatar_ros.nodes.xr_server import XrServerNode
from avatar_ros.tracking import TrackerResult

DESCRIPTION = (
    'Camera, tracker, avatar renderer and the page for browsers and headsets in one process.'
)
EPILOG = """\
examples:
  telepresence                                  the recorded demo person
  telepresence --input 0                        your webcam
  telepresence --input rtsp://host/stream       a network camera
  telepresence --input topic                    images from the topics image, camera_info
  telepresence --host 0.0.0.0                   headsets and phones on the network may watch
  telepresence --avatar my.zip --size 768       another avatar, larger
  telepresence --duration 20 --report report.json

ROS arguments (remapping, parameters) go behind --ros-args."""


def arguments(args: list[str] | None = None) -> argparse.Namespace:
    """The command line; the names are those of telepresence.launch.py."""
    parser = argparse.ArgumentParser(
        prog='telepresence',
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        '--input',
        help='webcam number, file, rtsp://..., topic, or a fetched '
        f'clip: {", ".join(DEMOS)} (default: demo; face for an avatar that is a head)',
    )
    add('--image-topic', default='camera/image', help='with --input topic (camera/image)')
    add('--camera-info-topic', default='camera/camera_info', help='with --input topic')
    add('--image-transport', default=None, choices=['raw', 'compressed'], help='of --image-topic')
    add('--max-people', default='1', help='tracked in one image (1)')
    add('--avatar', default='demo', help='bundle (.zip or directory) or shipped avatar (demo)')
    add('--engine', default='auto', choices=['auto', 'gsplat', 'numba'], help='default: auto')
    add('--size', default='512x512', metavar='WxH', help='avatar view in pixels (512x512)')
    add('--namespace', default='', help='namespace of all nodes')
    add('--use-sim-time', action='store_true', help='take time from /clock')
    add('--params-file', default='', help='parameters (default: config/telepresence.yaml)')
    add('--log-level', default='info', choices=['debug', 'info', 'warn', 'error'])
    add('--port', type=int, default=None, help='of the page (8080; 0 = any free)')
    add('--host', default=None, help='address to listen on; 0.0.0.0 lets others in (127.0.0.1)')
    add('--no-viewer', action='store_true', help='without the web page')
    add('--duration', type=float, default=0.0, help='seconds until it ends by itself; 0 = never')
    add('--report', default='', help='write a JSON report to this file at the end')
    options = parser.parse_args(args)
    if options.input is None:
        options.input = 'face' if _shows_a_head(options.avatar) else 'demo'
    width, _, height = options.size.partition('x')
    try:
        options.width, options.height = int(width), int(height or width)
    except ValueError:
        parser.error(f'--size is {options.size!r}; expected pixels such as 512x512 or 512')
    if not (options.max_people.isdigit() and 1 <= int(options.max_people) <= 16):
        parser.error(f'--max-people is {options.max_people}; expected 1..16')
    options.max_people = int(options.max_people)
    if not 0 <= options.duration <= threading.TIMEOUT_MAX:
        parser.error(f'--duration is {options.duration}; expected seconds, 0 for no end')
    if not (0 < options.width <= 8192 and 0 < options.height <= 8192):
        parser.error(f'--size is {options.size!r}; expected 1..8192 pixels a side')
    report = Path(options.report or '.')
    if options.report and (report.is_dir() or not os.access(report.parent, os.W_OK)):
        parser.error(
            f'--report {options.report} cannot be written; name a file in a writable folder'
        )
    if options.params_file and not Path(options.params_file).is_file():
        parser.error(f'--params-file {options.params_file} does not exist')
    return options


def _shows_a_head(avatar: str) -> bool:
    """A body's video says little to a head. What is wrong with a path, the renderer says better."""
    try:
        return is_head(avatar_path(avatar))
    except ValueError:
        return False


class Telepresence:
    """The composed graph."""

    def __init__(self, options: argparse.Namespace, ros_args: Sequence[str] = ()) -> None:
        """`ros_args` (what stands behind --ros-args) win over options and the parameter file."""
        self._options = options
        self._ros_args = list(ros_args)
        self._nodes: list[Any] = []
        self._started = False
        self._executors: list[tuple[SingleThreadedExecutor, threading.Thread]] = []
        self.camera: CameraNode | None = None
        self.xr: XrServerNode | None = None
        wired = options.input != 'topic'
        clip = DEMOS.get(options.input)

        shown_people = max(4, options.max_people)

        def suited(node: str) -> dict[str, float | str]:
            return clip.parameters(node) if clip else {}

        if wired:
            self.camera = self._add(
                CameraNode(**self._node_arguments(input=options.input, **suited('camera')))
            )
        self.tracker = self._add(
            BodyTrackerNode(
                subscribe=not wired,
                **self._node_arguments(
                    image_transport=options.image_transport, max_people=options.max_people
                ),
            )
        )
        self.renderer = self._add(
            AvatarRendererNode(
                subscribe=False,
                **self._node_arguments(
                    avatar=options.avatar,
                    engine=options.engine,
                    width=options.width,
                    height=options.height,
                    max_people=shown_people,
                    **suited('avatar_renderer'),
                ),
            )
        )
        self.reporter = self._add(
            ReporterNode(
                subscribe=False,
                **self._node_arguments(report=options.report, input=options.input),
            )
        )
        if not options.no_viewer:
            self.xr = self._add(
                XrServerNode(
                    subscribe=False,
                    **self._node_arguments(
                        port=options.port,
                        host=options.host,
                        avatar=options.avatar,
                        engine=options.engine,
                        max_people=shown_people,
                        **suited('xr_server'),
                    ),
                )
            )
        self._connect()

    def _node_arguments(self, **parameters: object) -> dict[str, object]:
        o = self._options
        args = ['--ros-args', '--log-level', o.log_level]
        for name, topic in (
            ('image', o.image_topic),
            ('image/compressed', f'{o.image_topic}/compressed'),
            ('camera_info', o.camera_info_topic),
        ):
            args += ['-r', f'{name}:={topic}']
        params_file = o.params_file or str(share_file('config/telepresence.yaml'))
        args += ['--params-file', params_file]
        given = {'use_sim_time': o.use_sim_time, **parameters}
        for name, value in given.items():
            if value is not None and value != '':
                text = str(value).lower() if isinstance(value, bool) else str(value)
                if isinstance(value, str):
                    text = f"'{text}'"
                args += ['-p', f'{name}:={text}']
        return {'namespace': o.namespace, 'cli_args': args + self._ros_args}

    def _add(self, node: Any) -> Any:
        self._nodes.append(node)
        return node

    def _connect(self) -> None:
        """By reference from node to node, instead of through the middleware."""

        shown = [self.renderer] if self.xr is None else [self.renderer, self.xr]

        def track(result: TrackerResult) -> None:
            for node in shown:
                node.accept_face(result.face)
                node.accept_pose(result.pose)

        if self.camera is not None:
            self.camera.sinks.append(self.tracker.accept)
        self.tracker.sinks.append(track)
        self.renderer.status_sinks.append(self.reporter.accept)
        if self.xr is not None:
            self.tracker.overlay_sinks.append(self.xr.camera_sink())
            self.xr.status_sinks.append(self.reporter.accept)
        else:
            self.renderer.sinks.append(Sink(lambda picture: None))

    def start(self) -> None:
        """Load the avatar, spin all nodes, open the input.

        :raises RuntimeError: if a node cannot be configured.
        """
        forward_logs(self.renderer)
        for node in (self.renderer, self.xr):
            if node is None:
                continue
            if node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
                name = node.get_name()
                raise RuntimeError(node.statistics.error or f'{name} could not be configured.')
            node.trigger_activate()
        for node in self._nodes:
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            thread = threading.Thread(
                target=_spin, args=(executor,), name=f'{node.get_name()}_spin', daemon=True
            )
            thread.start()
            self._executors.append((executor, thread))
        self._started = True
        if self.camera is not None:
            self.camera.start()

    def close(self) -> None:
        """Stop everything in the order of the data, then write the report."""
        for node in [self.camera, self.tracker, self.renderer, self.xr]:
            if node is not None:
                node.diagnostics.publish()  # the last counts, for the report
        time.sleep(0.2)
        self.reporter.worth_writing = self._started
        for node in self._nodes:
            try:
                node.close()
            except Exception as error:  # one that cannot end must not keep the others from it
                node.get_logger().error(f'not closed cleanly: {error}')
        for executor, thread in self._executors:
            executor.shutdown()
            thread.join(timeout=3.0)
        for node in self._nodes:
            node.destroy_node()
        release_logs()


def _spin(executor: SingleThreadedExecutor) -> None:
    with contextlib.suppress(ExternalShutdownException, KeyboardInterrupt):
        executor.spin()


def invitation(urls: Sequence[str]) -> str:
    """What to open where; with a QR code if a headset or phone can reach it."""
    lines = ['', f'  Open {urls[-1]} in a browser. Ctrl-C ends.']
    if len(urls) > 1:
        code = io.StringIO()
        segno.make(urls[0], error='l').terminal(code, compact=True)
        lines += [
            f'  Headsets and phones: {urls[0]}',
            '  Their browser warns of the certificate once, for this machine has signed it itself.',
            code.getvalue(),
        ]
    return '\n'.join([*lines, ''])


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `telepresence`."""
    argv = sys.argv if args is None else ['telepresence', *args]
    own = remove_ros_args(argv)[1:]
    options = arguments(own)
    ros_args = argv[argv.index('--ros-args') + 1 :] if '--ros-args' in argv else []
    rclpy.init(args=argv, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    graph: Telepresence | None = None
    try:
        graph = Telepresence(options, ros_args)
        graph.start()
        if graph.xr is not None:
            print(invitation(graph.xr.urls()), flush=True)
        done.wait(options.duration or None)
    except (ValueError, RuntimeError, OSError, NameValidationException) as error:
        print(f'telepresence: {error}', file=sys.stderr)
        return 1
    finally:
        if graph is not None:
            graph.close()
        rclpy.try_shutdown()
        ignore_late_signals()
    return 0


if __name__ == '__main__':
    sys.exit(main())
