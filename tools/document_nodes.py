# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/nodes.md: topics, services, frames and parameters, taken from the running nodes."""

import dataclasses
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import rclpy

import avatar_ros.nodes  # noqa: F401  (prepares the environment that rclpy reads)
from avatar_ros.nodes.avatar_renderer import AvatarRendererNode, RendererParameters
from avatar_ros.nodes.body_tracker import BodyTrackerNode, TrackerParameters
from avatar_ros.nodes.camera import CameraNode, CameraParameters
from avatar_ros.nodes.parameters import ros_name
from avatar_ros.nodes.pose_adapter import AdapterParameters, PoseAdapterNode
from avatar_ros.nodes.pose_fusion import FusionParameters, PoseFusionNode
from avatar_ros.nodes.reporter import ReporterNode, ReporterParameters
from avatar_ros.nodes.ros4hri_bridge import BridgeParameters, Ros4HriBridgeNode
from avatar_ros.nodes.splat_snapshots import PACKAGES
from avatar_ros.nodes.video_publishers import KINDS
from avatar_ros.nodes.xr_server import XrServerNode, XrServerParameters

TARGET = Path(__file__).resolve().parents[1] / 'docs' / 'nodes.md'
NODES = (
    (CameraNode, CameraParameters, []),
    (BodyTrackerNode, TrackerParameters, ['-p', 'face:=false', '-p', 'hands:=false']),
    (PoseAdapterNode, AdapterParameters, ['-p', 'source:=azure_kinect']),
    (PoseFusionNode, FusionParameters, []),
    (Ros4HriBridgeNode, BridgeParameters, []),
    (AvatarRendererNode, RendererParameters, []),
    (XrServerNode, XrServerParameters, ['-p', 'port:=0']),
    (ReporterNode, ReporterParameters, []),
)
HEAD = """\
# Nodes

Made by `make docs` (`tools/document_nodes.py`) from the code. Topics are as with an empty namespace
and no remapping. Every publisher and subscription takes `qos_overrides` (history, depth,
reliability) from a parameter file. Time is the node's clock, so `use_sim_time` works everywhere.
Services that every node has (parameters, and the transitions of lifecycle nodes) are left out.
"""
_HIDDEN = ('/parameter_events', '/rosout', '/clock')
_STANDARD = ('rcl_interfaces', 'lifecycle_msgs', 'type_description_interfaces')
_TF = {'/tf': 'tf2_msgs/msg/TFMessage'}
_HUMANS = {f'/humans/{kind}/tracked': 'hri_msgs/msg/IdsList' for kind in ('bodies', 'faces')}
_VIDEO = {
    f'/avatar_renderer/{eye}image/{transport}': f'{package}/msg/{message}'
    for eye in ('', 'left/', 'right/')
    for transport, (package, message, _) in KINDS.items()
}
_SPLATS = {'/avatar_renderer/gaussian_splats': f'{PACKAGES[0]}/msg/SplatArray'}
#: Published only where the package of the message is installed: topic -> type.
OPTIONAL: dict[type, dict[str, str]] = {
    AvatarRendererNode: _VIDEO | _SPLATS | _TF,
    Ros4HriBridgeNode: _TF | _HUMANS,
    XrServerNode: _TF,
}


def ros_type(kind: type) -> str:
    """``package/msg/Name`` of a message or service class."""
    package, folder = kind.__module__.split('.')[:2]
    return f'{package}/{folder}/{kind.__name__}'


def entries(pairs: Iterable[tuple[str, str]], without: Iterable[str] = ()) -> list[str]:
    hidden = {*_HIDDEN, *without}
    return [f'- `{name}` ({kind})' for name, kind in sorted(pairs) if name not in hidden]


def frame_rows(cls: type) -> list[str]:
    return [
        f'- `{field.default or "(none)"}` (`{ros_name(field)}`): {field.metadata["description"]}'
        for field in dataclasses.fields(cls)
        if field.name.endswith(('_frame', 'frame_id'))
    ]


def parameter_rows(cls: type) -> list[str]:
    rows = ['| parameter | default | range | changes live | meaning |', '|---|---|---|---|---|']
    for field in dataclasses.fields(cls):
        meta = field.metadata
        default = field.default
        if default is dataclasses.MISSING:
            default = field.default_factory()  # type: ignore[misc]
        bounds = f'{meta["low"]:g} .. {meta["high"]:g}' if meta['low'] is not None else ''
        bounds = ', '.join(meta['choices']) or bounds
        live = 'yes' if meta['dynamic'] else ''
        shown = f'`{default!r}`' if default != '' else "`''`"
        rows.append(
            f'| `{ros_name(field)}` | {shown} | {bounds} | {live} | {meta["description"]} |'
        )
    return rows


def document(node_class: type, parameters: type, arguments: list[str]) -> list[str]:
    node = node_class(cli_args=['--ros-args', *arguments])
    if hasattr(node, 'trigger_configure'):
        node.trigger_configure()
        node.trigger_activate()
    module = sys.modules[node_class.__module__]
    optional = OPTIONAL.get(node_class, {})

    def topics(ends: Iterable[Any]) -> Iterator[tuple[str, str]]:
        return ((node.resolve_topic_name(e.topic), ros_type(e.msg_type)) for e in ends)

    services = (
        (node.resolve_service_name(s.service_name), ros_type(s.srv_type))
        for s in node.services
        if s.srv_type.__module__.split('.')[0] not in _STANDARD
    )
    sections = {
        'Subscribed topics': entries(topics(node.subscriptions)) or ['none'],
        'Published topics': entries(topics(node.publishers), without=optional),
        'Published where the package of the message is installed': entries(optional.items()),
        'Services': entries(services),
        'Frames': frame_rows(parameters),
        'Parameters': parameter_rows(parameters),
    }
    lines = [f'## {node.get_name()}', '', (module.__doc__ or '').strip(), '']
    for title, rows in sections.items():
        if rows:
            lines += [f'### {title}', '', *rows, '']
    node.close()
    node.destroy_node()
    return lines


def text() -> str:
    """The page."""
    lines = [HEAD]
    for entry in NODES:
        lines += document(*entry)
    return '\n'.join(lines)


def main() -> None:
    rclpy.init(args=[])
    TARGET.write_text(text())
    rclpy.try_shutdown()
    print(f'wrote {TARGET.relative_to(TARGET.parents[1])}')


if __name__ == '__main__':
    main()
