# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics of a URDF's text, with nothing of ours but rotations about an axis."""

import xml.etree.ElementTree as ET

import numpy as np

from avatar_ros.geometry import matrix_from_rotvec

#: Link -> the SMPL-X joint at the same place.
SAME = {
    f'{letter}_{link}': f'{side}_{joint}'
    for letter, side in (('l', 'left'), ('r', 'right'))
    for link, joint in (
        ('y_shoulder', 'shoulder'),
        ('elbow', 'elbow'),
        ('wrist', 'wrist'),
        ('y_hip', 'hip'),
        ('knee', 'knee'),
        ('ankle', 'ankle'),
    )
}


def link_positions(text, angles, body_id):
    """Forward kinematics of the URDF's text, by a reader of its own: link -> T_body_link."""
    joints = {j.find('child').get('link'): j for j in ET.fromstring(text).findall('joint')}

    def place(link):
        if link not in joints:
            assert link == f'body_{body_id}'
            return np.eye(4)
        joint = joints[link]
        T = np.eye(4)
        T[:3, 3] = [float(v) for v in joint.find('origin').get('xyz').split()]
        if joint.get('type') == 'revolute':
            axis = np.array([float(v) for v in joint.find('axis').get('xyz').split()])
            name = joint.get('name').removesuffix(f'_{body_id}')
            T[:3, :3] = matrix_from_rotvec(angles[name] * axis)
        return place(joint.find('parent').get('link')) @ T

    return {link.removesuffix(f'_{body_id}'): place(link) for link in joints}
