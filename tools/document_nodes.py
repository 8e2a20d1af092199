# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/nodes.md: topics and parameters of every node, taken from the running code."""

import dataclasses
import sys
from pathlib import Path

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
"""
_HIDDEN = ('/parameter_events', '/rosout', '/clock')


def topics(pairs: list[tuple[str, list[str]]]) -> list[str]:
    return [f'- `{name}` ({kinds[0]})' for name, kinds in sorted(pairs) if name not in _HIDDEN]


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
    name = node.get_name()
    module = sys.modules[node_class.__module__]
    lines = [f'## {name}', '', (module.__doc__ or '').strip(), '', '### Subscribed topics', '']
    lines += topics(node.get_subscriber_names_and_types_by_node(name, '/')) or ['none']
    lines += ['', '### Published topics', '']
    lines += topics(node.get_publisher_names_and_types_by_node(name, '/'))
    lines += ['', '### Parameters', '', *parameter_rows(parameters), '']
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
