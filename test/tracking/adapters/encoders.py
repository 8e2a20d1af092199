# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: SIM905, E501 (long lists of names are easier to compare with their documents as text)
"""Writes a person in each foreign format, from the formats' own documents.

Shares nothing with the decoders: orders are typed out, conversions are scipy's, axes are spelled
here. Messages are stand-ins with the fields of the real ones.
"""

import struct
from types import SimpleNamespace as Message

import msgpack
import numpy as np
from scipy.spatial.transform import Rotation

from avatar_ros.geometry import Camera

STAMP_NS = 1_700_000_000_123_456_789
#: The world of the truth has SMPL axes: x left, y up, z forward.
TO_ROS = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
TO_STAGE = np.array([[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]])  # x right, y up, z back
TO_OPTICAL = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])  # facing the camera

ZED = {
    18: 'NOSE NECK R_SHOULDER R_ELBOW R_WRIST L_SHOULDER L_ELBOW L_WRIST R_HIP R_KNEE R_ANKLE L_HIP '
    'L_KNEE L_ANKLE R_EYE L_EYE R_EAR L_EAR',
    34: 'PELVIS NAVAL_SPINE CHEST_SPINE NECK L_CLAVICLE L_SHOULDER L_ELBOW L_WRIST L_HAND L_HANDTIP '
    'L_THUMB R_CLAVICLE R_SHOULDER R_ELBOW R_WRIST R_HAND R_HANDTIP R_THUMB L_HIP L_KNEE L_ANKLE '
    'L_FOOT R_HIP R_KNEE R_ANKLE R_FOOT HEAD NOSE L_EYE L_EAR R_EYE R_EAR L_HEEL R_HEEL',
    38: 'PELVIS SPINE_1 SPINE_2 SPINE_3 NECK NOSE L_EYE R_EYE L_EAR R_EAR L_CLAVICLE R_CLAVICLE '
    'L_SHOULDER R_SHOULDER L_ELBOW R_ELBOW L_WRIST R_WRIST L_HIP R_HIP L_KNEE R_KNEE L_ANKLE '
    'R_ANKLE L_BIG_TOE R_BIG_TOE L_SMALL_TOE R_SMALL_TOE L_HEEL R_HEEL L_THUMB_4 R_THUMB_4 '
    'L_INDEX_1 R_INDEX_1 L_MIDDLE_4 R_MIDDLE_4 L_PINKY_1 R_PINKY_1',
}
KINECT = (
    'PELVIS NAVAL_SPINE CHEST_SPINE NECK L_CLAVICLE L_SHOULDER L_ELBOW L_WRIST L_HAND L_HANDTIP '
    'L_THUMB R_CLAVICLE R_SHOULDER R_ELBOW R_WRIST R_HAND R_HANDTIP R_THUMB L_HIP L_KNEE L_ANKLE '
    'L_FOOT R_HIP R_KNEE R_ANKLE R_FOOT HEAD NOSE L_EYE L_EAR R_EYE R_EAR'
)
_WHERE = {
    'NAVAL_SPINE': 'spine1',
    'CHEST_SPINE': 'spine3',
    'SPINE_1': 'spine1',
    'SPINE_2': 'spine2',
    'SPINE_3': 'spine3',
    'CLAVICLE': 'collar',
    'HAND': 'middle1',
    'BIG_TOE': 'foot_index',
    'INDEX_1': 'index1',
    'PINKY_1': 'pinky1',
    # What we have no name for must be sent all the same: somewhere near.
    'SMALL_TOE': 'foot_index',
    'HANDTIP': 'middle3',
    'MIDDLE_4': 'middle3',
    'THUMB': 'thumb3',
    'THUMB_4': 'thumb3',
}


def _place(name):
    side = {'L_': 'left_', 'R_': 'right_'}.get(name[:2], '')
    part = name[2:] if side else name
    return side + _WHERE.get(part, part.lower())


def header(frame_id):
    sec, nanosec = divmod(STAMP_NS, 10**9)
    return Message(stamp=Message(sec=sec, nanosec=nanosec), frame_id=frame_id)


def vector(p):
    return Message(x=float(p[0]), y=float(p[1]), z=float(p[2]))


def quaternion(R):
    x, y, z, w = Rotation.from_matrix(R).as_quat()
    return Message(x=x, y=y, z=z, w=w)


def zed(person, count, axes=TO_ROS, unit=1.0):
    """zed_msgs/ObjectsStamped of one person."""
    person = person.as_camera({18: 0, 34: 2, 38: 3}[count])
    key_points = np.zeros((70, 3))
    for row, name in enumerate(ZED[count].split()):
        key_points[row] = unit * axes @ person.point(_place(name))
    body = Message(
        label_id=7,
        confidence=90.0,
        tracking_state=1,
        skeleton_available=True,
        body_format={18: 0, 34: 1, 38: 2}[count],
        skeleton_3d=Message(keypoints=[Message(kp=list(p)) for p in key_points]),
    )
    return Message(header=header('zed_left_camera_frame'), objects=[body])


def kinect(person, axes=TO_OPTICAL, unit=1.0, body_id=3):
    """visualization_msgs/MarkerArray of one person."""
    person = person.as_camera(2)
    markers = []
    for row, name in enumerate(KINECT.split()):
        position = unit * axes @ person.point(_place(name)) + [0, 0, 2.0 * unit]
        pose = Message(position=vector(position), orientation=Message(x=0.0, y=0.0, z=0.0, w=1.0))
        head = header('depth_camera_link')
        markers.append(Message(header=head, action=0, id=100 * body_id + row, pose=pose))
    return Message(markers=markers)


# -- OpenXR ------------------------------------------------------------------------------------

BD = (
    'PELVIS LEFT_HIP RIGHT_HIP SPINE1 LEFT_KNEE RIGHT_KNEE SPINE2 LEFT_ANKLE RIGHT_ANKLE SPINE3 '
    'LEFT_FOOT RIGHT_FOOT NECK LEFT_COLLAR RIGHT_COLLAR HEAD LEFT_SHOULDER RIGHT_SHOULDER '
    'LEFT_ELBOW RIGHT_ELBOW LEFT_WRIST RIGHT_WRIST LEFT_HAND RIGHT_HAND'
).split()
_HAND = (
    'PALM WRIST THUMB_METACARPAL THUMB_PROXIMAL THUMB_DISTAL THUMB_TIP INDEX_METACARPAL '
    'INDEX_PROXIMAL INDEX_INTERMEDIATE INDEX_DISTAL INDEX_TIP MIDDLE_METACARPAL MIDDLE_PROXIMAL '
    'MIDDLE_INTERMEDIATE MIDDLE_DISTAL MIDDLE_TIP RING_METACARPAL RING_PROXIMAL RING_INTERMEDIATE '
    'RING_DISTAL RING_TIP LITTLE_METACARPAL LITTLE_PROXIMAL LITTLE_INTERMEDIATE LITTLE_DISTAL '
    'LITTLE_TIP'
).split()
FB = (
    'ROOT HIPS SPINE_LOWER SPINE_MIDDLE SPINE_UPPER CHEST NECK HEAD LEFT_SHOULDER LEFT_SCAPULA '
    'LEFT_ARM_UPPER LEFT_ARM_LOWER LEFT_HAND_WRIST_TWIST RIGHT_SHOULDER RIGHT_SCAPULA '
    'RIGHT_ARM_UPPER RIGHT_ARM_LOWER RIGHT_HAND_WRIST_TWIST'
).split() + [f'{side}_HAND_{part}' for side in ('LEFT', 'RIGHT') for part in _HAND]
META = FB + [
    f'{side}_{part}'
    for side in ('LEFT', 'RIGHT')
    for part in (
        'UPPER_LEG LOWER_LEG FOOT_ANKLE_TWIST FOOT_ANKLE FOOT_SUBTALAR FOOT_TRANSVERSE FOOT_BALL'
    ).split()
]
_FB_IS = {
    'HIPS': 'pelvis',
    'SPINE_LOWER': 'spine1',
    'SPINE_UPPER': 'spine2',
    'CHEST': 'spine3',
    'NECK': 'neck',
    'HEAD': 'head',
    'SHOULDER': 'collar',
    'ARM_UPPER': 'shoulder',
    'ARM_LOWER': 'elbow',
    'HAND_WRIST': 'wrist',
    'UPPER_LEG': 'hip',
    'LOWER_LEG': 'knee',
    'FOOT_ANKLE': 'ankle',
    'FOOT_BALL': 'foot',
}
#: xyzw with which Godot's plugins turn joints of each extension into the same humanoid bones, and
#: which of its bones: openxr_fb_ and openxr_bd_body_tracking_extension_wrapper.cpp.
_H, _S = 0.5, 0.5**0.5
_GODOT = {
    'trunk': ((-_H, _H, _H, _H), (0, 1, 0, 0)),
    'left_shoulder': ((-_S, _S, 0, 0), (-_H, _H, -_H, -_H)),
    'left_elbow': ((_H, -_H, -_H, -_H), (_S, -_S, 0, 0)),
    'left_collar': ((0, 0, _S, _S), (-_H, _H, _H, _H)),
    'left_wrist': ((_H, -_H, -_H, -_H), (-_H, _H, -_H, -_H)),
    'right_shoulder': ((0, 0, -_S, _S), (_H, _H, -_H, _H)),
    'right_elbow': ((_H, _H, -_H, _H), (_S, _S, 0, 0)),
    'right_collar': ((_S, _S, 0, 0), (_H, _H, _H, -_H)),
    'right_wrist': ((_H, _H, -_H, _H), (_H, _H, -_H, _H)),
    'left_hip': ((_H, -_H, _H, _H), (1, 0, 0, 0)),
    'left_knee': ((-_H, _H, _H, _H), (0, 0, 1, 0)),
    'left_ankle': ((-_H, -_H, -_H, _H), (-_S, 0, 0, _S)),
    'left_foot': ((_H, _H, -_H, _H), (0, _S, -_S, 0)),
    'right_hip': ((-_H, -_H, -_H, _H), (1, 0, 0, 0)),
    'right_knee': ((_H, _H, -_H, _H), (0, 0, 1, 0)),
    'right_ankle': ((_H, -_H, _H, _H), (-_S, 0, 0, _S)),
    'right_foot': ((-_H, _H, _H, _H), (0, _S, -_S, 0)),
}
_BD_REST = np.diag([-1.0, 1.0, -1.0])  # x right, y up, z back, in SMPL axes


def _fb_rest(place):
    fb, bd = _GODOT.get(place, _GODOT['trunk'])
    humanoid = _BD_REST @ Rotation.from_quat(bd).as_matrix()
    return humanoid @ Rotation.from_quat(fb).as_matrix().T


def xr_joints(person, kind, axes=TO_STAGE, unit=1.0):
    """Names, positions, quaternions xyzw and validity of kind BD, FB or META."""
    names = {'BD': BD, 'FB': FB, 'META': META}[kind]
    positions, quats = [], []
    for name in names:
        side = name.split('_')[0].lower() + '_' if name.startswith(('LEFT', 'RIGHT')) else ''
        part = name[len(side) :]
        if kind == 'BD':
            place, rest = name.lower(), _BD_REST
            place = place.replace('hand', 'wrist')
        else:
            place = side + _FB_IS.get(part, 'wrist' if side else 'pelvis')
            rest = _fb_rest(place)
        positions.append(unit * axes @ person.point(place))
        quats.append(Rotation.from_matrix(axes @ person.rotation(place) @ rest).as_quat())
    return names, np.array(positions), np.array(quats), [True] * len(names)


def isaac_full_body(person, kind='BD', axes=TO_STAGE, unit=1.0):
    """The bytes of IsaacTeleop's full_body."""
    names, positions, quats, valid = xr_joints(person, kind, axes, unit)
    return msgpack.packb(
        {
            'timestamp': STAMP_NS,
            'joint_names': [str(name) for name in names],
            'joint_positions': positions.tolist(),
            'joint_orientations': quats.tolist(),
            'joint_valid': valid,
        }
    )


# -- faces -------------------------------------------------------------------------------------

#: EARFaceBlendShape of Unreal's AppleARKitFaceSupport, as far as the angles.
UNREAL = (
    'EyeBlinkLeft EyeLookDownLeft EyeLookInLeft EyeLookOutLeft EyeLookUpLeft EyeSquintLeft '
    'EyeWideLeft EyeBlinkRight EyeLookDownRight EyeLookInRight EyeLookOutRight EyeLookUpRight '
    'EyeSquintRight EyeWideRight JawForward JawLeft JawRight JawOpen MouthClose MouthFunnel '
    'MouthPucker MouthLeft MouthRight MouthSmileLeft MouthSmileRight MouthFrownLeft MouthFrownRight '
    'MouthDimpleLeft MouthDimpleRight MouthStretchLeft MouthStretchRight MouthRollLower '
    'MouthRollUpper MouthShrugLower MouthShrugUpper MouthPressLeft MouthPressRight '
    'MouthLowerDownLeft MouthLowerDownRight MouthUpperUpLeft MouthUpperUpRight BrowDownLeft '
    'BrowDownRight BrowInnerUp BrowOuterUpLeft BrowOuterUpRight CheekPuff CheekSquintLeft '
    'CheekSquintRight NoseSneerLeft NoseSneerRight TongueOut'
).split()


def live_link_face(weights, angles=(0.0, 0.0, 0.0), name='iPhone'):
    """A packet, the way PyLiveLinkFace writes it: version 6 little-endian, '$' before the UUID."""
    uuid = '$' + '12345678-1234-1234-1234-123456789abc'
    values = [weights.get(n[0].lower() + n[1:], 0.0) for n in UNREAL] + [*angles, *(0.0,) * 6]
    return (
        struct.pack('<I', 6)
        + uuid.encode()
        + struct.pack('!i', len(name))
        + name.encode()
        + struct.pack('!if2ib', 10, 0.5, 60, 1, 61)
        + struct.pack('!61f', *values)
    )


def joint_state(values):
    head = header('')
    return Message(header=head, name=list(values), position=list(map(float, values.values())))


# -- VMC ---------------------------------------------------------------------------------------


def _osc_text(text):
    data = text.encode() + b'\0'
    return data + b'\0' * (-len(data) % 4)


def osc(address, *arguments):
    tags = ''.join('s' if isinstance(a, str) else 'f' for a in arguments)
    data = _osc_text(address) + _osc_text(',' + tags)
    for a in arguments:
        data += _osc_text(a) if isinstance(a, str) else struct.pack('>f', a)
    return data


def osc_bundle(*elements):
    head = b'#bundle\0' + struct.pack('>Q', 1)
    return head + b''.join(struct.pack('>i', len(e)) + e for e in elements)


VMC_BONES = {
    'Hips': 'pelvis',
    'Spine': 'spine1',
    'Chest': 'spine2',
    'UpperChest': 'spine3',
    'Neck': 'neck',
    'Head': 'head',
    **{
        f'{Side}{bone}': f'{side}_{joint}'
        for Side, side in (('Left', 'left'), ('Right', 'right'))
        for bone, joint in (
            ('Shoulder', 'collar'),
            ('UpperArm', 'shoulder'),
            ('LowerArm', 'elbow'),
            ('Hand', 'wrist'),
            ('UpperLeg', 'hip'),
            ('LowerLeg', 'knee'),
            ('Foot', 'ankle'),
            ('Toes', 'foot'),
        )
    },
}


def _unity(R):
    """Rotation in Unity's axes (x right, left-handed), as xyzw: reflected across x."""
    M = np.diag([-1.0, 1.0, 1.0])
    return Rotation.from_matrix(M @ R @ M).as_quat().tolist()


def vmc(person, blends=()):
    """One packet: a bundle of the root, all bones and the time."""
    elements = [osc('/VMC/Ext/Root/Pos', 'root', *(0.0,) * 6, 1.0)]
    for bone, joint in VMC_BONES.items():
        position = person.point('pelvis') * [-1, 1, 1] if joint == 'pelvis' else np.zeros(3)
        R = person.rotation('pelvis') if joint == 'pelvis' else person.local(joint)
        elements.append(osc('/VMC/Ext/Bone/Pos', bone, *map(float, position), *_unity(R)))
    for name, value in blends:
        elements.append(osc('/VMC/Ext/Blend/Val', name, value))
    if blends:
        elements.append(osc('/VMC/Ext/Blend/Apply'))
    return osc_bundle(*elements)


# -- REP-155 -----------------------------------------------------------------------------------


def rep155(person, body_id='abcde'):
    """The 20 hinge angles of a person; what they cannot say is left out."""

    def ros(R):
        return Rotation.from_matrix(TO_ROS @ R @ TO_ROS.T)

    angles = {}
    chest = person.rotation('pelvis').T @ person.rotation('spine3')
    angles['waist'] = ros(chest).as_euler('YXZ')[0]
    head = ros(person.rotation('spine3').T @ person.rotation('head')).as_euler('XZY')
    angles['r_head'], angles['y_head'], angles['p_head'] = head[0], head[1], -head[2]
    for letter, side, reflect in (('l', 'left', 1), ('r', 'right', -1)):
        # From hanging arms instead of the T-pose.
        hang = Rotation.from_euler('z', -reflect * 90, degrees=True).as_matrix()
        y, p, r = ros(person.local(f'{side}_shoulder') @ hang.T).as_euler('ZXZ')
        if p * reflect < 0:  # the same rotation, with the arm lifted to the side
            y, p, r = y + np.pi, -p, r + np.pi
        wrap = [(a + np.pi) % (2 * np.pi) - np.pi for a in (y, r)]
        angles[f'{letter}_y_shoulder'] = -reflect * wrap[0]
        angles[f'{letter}_p_shoulder'] = reflect * p
        angles[f'{letter}_r_shoulder'] = reflect * wrap[1]
        elbow = ros(hang @ person.local(f'{side}_elbow') @ hang.T)
        angles[f'{letter}_elbow'] = -elbow.as_rotvec()[1]
        y, p, r = ros(person.local(f'{side}_hip')).as_euler('ZXY')
        angles[f'{letter}_y_hip'], angles[f'{letter}_p_hip'] = -y, reflect * p
        angles[f'{letter}_r_hip'] = -r
        angles[f'{letter}_knee'] = -ros(person.local(f'{side}_knee')).as_rotvec()[1]
    return joint_state({f'{name}_{body_id}': angle for name, angle in angles.items()})


SKELETON2D = (
    'NOSE NECK R_SHOULDER R_ELBOW R_WRIST L_SHOULDER L_ELBOW L_WRIST R_HIP R_KNEE R_ANKLE L_HIP L_KNEE '
    'L_ANKLE L_EYE R_EYE L_EAR R_EAR'
)
#: A camera of 640 x 480 pixels, level, 1 m above the floor and 3.5 m before the origin.
FOCAL, FROM_CAMERA = 600.0, np.array([0.0, 1.0, 3.5])
CAMERA = Camera(np.array([[FOCAL, 0, 320], [0, FOCAL, 240], [0, 0, 1]]), 640, 480)


def skeleton2d(person, axes=TO_OPTICAL, unit=1.0, noise_px=None):
    """hri_msgs/Skeleton2D as a tracker of landmarks writes it; `unit` 640 gives pixels."""

    def share(name):
        if name == 'NECK':
            return (share('L_SHOULDER') + share('R_SHOULDER')) / 2
        x, y, z = axes @ person.landmark(_place(name)) + FROM_CAMERA
        pixel = FOCAL * np.array([x, y]) / z + [320, 240]
        return (pixel + (0 if noise_px is None else noise_px())) / [640, 480] * unit

    places = [share(name) for name in SKELETON2D.split()]
    return Message(
        header=header('camera_optical_frame'),
        skeleton=[Message(x=float(x), y=float(y), c=0.9) for x, y in places],
    )


# -- motion capture ----------------------------------------------------------------------------


def rigid_bodies(person, names, axes=TO_ROS, unit=1.0):
    """mocap4r2_msgs/RigidBodies; bodies have the person's own axes at the T-pose."""
    bodies = [
        Message(rigid_body_name=name, markers=[], pose=pose(person, joint, axes, unit))
        for name, joint in names.items()
    ]
    return Message(header=header('mocap'), frame_number=1, rigidbodies=bodies)


def pose(person, joint, axes, unit=1.0):
    R = axes @ person.rotation(joint)
    return Message(position=vector(unit * axes @ person.point(joint)), orientation=quaternion(R))


def pose_array(person, names, axes=TO_ROS, unit=1.0):
    poses = [pose(person, joint, axes, unit) for joint in names.values()]
    return Message(header=header('mocap'), poses=poses)


def markers(person, names, axes=TO_ROS, unit=1.0):
    found = [
        Message(
            id_type=1,
            marker_index=k,
            marker_name=name,
            translation=vector(unit * axes @ person.point(place)),
        )
        for k, (name, place) in enumerate(names.items())
    ]
    return Message(header=header('mocap'), frame_number=1, markers=found)


def transforms(person, names, axes=TO_ROS, unit=1.0):
    """TFMessage: every joint relative to its parent joint, the pelvis in the world."""
    found = []
    for frame, (joint, parent) in names.items():
        R, p = axes @ person.rotation(joint), axes @ person.point(joint)
        parent_frame = 'world'
        if parent is not None:
            parent_frame = next(f for f, (j, _) in names.items() if j == parent)
            R_parent, p_parent = axes @ person.rotation(parent), axes @ person.point(parent)
            R, p = R_parent.T @ R, R_parent.T @ (p - p_parent)
        transform = Message(translation=vector(unit * p), rotation=quaternion(R))
        found.append(
            Message(header=header(parent_frame), child_frame_id=frame, transform=transform)
        )
    return Message(transforms=found)
