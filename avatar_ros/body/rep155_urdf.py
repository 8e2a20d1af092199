# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A REP-155 human as a URDF: links, hinges, and bones to look at."""

import xml.etree.ElementTree as ET

import numpy as np

from avatar_ros.body.rep155 import Link, Rep155Human, limits
from avatar_ros.types import FloatArray

_BONE_M, _HEAD_M = 0.03, 0.1  # radii


def urdf(human: Rep155Human, body_id: str) -> str:
    """The text; every name ends in ``_<id>``."""
    robot = ET.Element('robot', name=f'human_{body_id}')
    material = ET.SubElement(robot, 'material', name='skin')
    ET.SubElement(material, 'color', rgba='1 0.7 0.5 1')
    children: dict[str, list[Link]] = {}
    for link in human.links:
        children.setdefault(link.parent, []).append(link)
    for name in ('body', *(link.name for link in human.links)):
        element = ET.SubElement(robot, 'link', name=f'{name}_{body_id}')
        if name == 'head':
            _visual(element, ('sphere', {'radius': f'{_HEAD_M}'}), np.zeros(3))
        for child in children.get(name, []):
            _bone(element, child.origin)
    for link in human.links:
        _joint(robot, link, body_id)
    ET.indent(robot)
    return '<?xml version="1.0"?>\n' + ET.tostring(robot, encoding='unicode') + '\n'


def _joint(robot: ET.Element, link: Link, body_id: str) -> None:
    kind = 'fixed' if link.axis is None else 'revolute'
    joint = ET.SubElement(robot, 'joint', name=f'{link.joint}_{body_id}', type=kind)
    ET.SubElement(joint, 'parent', link=f'{link.parent}_{body_id}')
    ET.SubElement(joint, 'child', link=f'{link.name}_{body_id}')
    ET.SubElement(joint, 'origin', xyz=_numbers(link.origin), rpy='0 0 0')
    if link.axis is not None:
        low, high = limits(link.joint)
        ET.SubElement(joint, 'axis', xyz=_numbers(link.axis))
        ET.SubElement(joint, 'limit', lower=f'{low}', upper=f'{high}', effort='1000', velocity='20')


def _bone(element: ET.Element, way: FloatArray) -> None:
    """A cylinder from the link to its child."""
    length = float(np.linalg.norm(way))
    if length < 2 * _BONE_M:
        return
    x, y, z = way / length
    pitch, yaw = float(np.arctan2(np.hypot(x, y), z)), float(np.arctan2(y, x))
    shape = ('cylinder', {'radius': f'{_BONE_M}', 'length': f'{length:.5f}'})
    _visual(element, shape, way / 2, f'0 {pitch:.6f} {yaw:.6f}')


def _visual(
    element: ET.Element, shape: tuple[str, dict[str, str]], at: FloatArray, rpy: str = '0 0 0'
) -> None:
    visual = ET.SubElement(element, 'visual')
    ET.SubElement(visual, 'origin', xyz=_numbers(at), rpy=rpy)
    name, size = shape
    ET.SubElement(ET.SubElement(visual, 'geometry'), name, size)
    ET.SubElement(visual, 'material', name='skin')


def _numbers(values: FloatArray) -> str:
    return ' '.join(f'{v:.6g}' for v in np.asarray(values) + 0.0)
