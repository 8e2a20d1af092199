# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""The joint orders of other systems, in their own spelling, and what we call the same points.

Only orders and names; every index map is computed from them. Our names are SMPL-X joints or
BlazePose landmarks (`avatar_ros.body.skeletons`); a foreign joint without such a name is not used.

Sources: ``sl::BODY_18_PARTS``, ``BODY_34_PARTS``, ``BODY_38_PARTS`` (ZED SDK); ``k4abt_joint_id_t``
(Azure Kinect Body Tracking SDK); ``XrBodyJointBD``, ``XrBodyJointFB`` and
``XrFullBodyJointMETA`` (OpenXR registry); ``HumanBodyBones`` (Unity, as VMC names bones);
``human_description`` (REP-155);
``EARFaceBlendShape`` (Unreal, as Live Link Face sends it).
"""

from avatar_ros.body.skeletons import ARKIT_52, SIDES, SMPL

_ZED_HEAD = ('NOSE', 'LEFT_EYE', 'LEFT_EAR', 'RIGHT_EYE', 'RIGHT_EAR')
_ZED_18_LIMBS = tuple(
    f'{side}_{part}'
    for limb in (('SHOULDER', 'ELBOW', 'WRIST'), ('HIP', 'KNEE', 'ANKLE'))
    for side in ('RIGHT', 'LEFT')
    for part in limb
)
ZED_18 = ('NOSE', 'NECK', *_ZED_18_LIMBS, 'RIGHT_EYE', 'LEFT_EYE', 'RIGHT_EAR', 'LEFT_EAR')
_ARM_34 = ('CLAVICLE', 'SHOULDER', 'ELBOW', 'WRIST', 'HAND', 'HANDTIP', 'THUMB')
_LEG_34 = ('HIP', 'KNEE', 'ANKLE', 'FOOT')
ZED_34 = (
    *('PELVIS', 'NAVAL_SPINE', 'CHEST_SPINE', 'NECK'),
    *(
        f'{side}_{part}'
        for limb in (_ARM_34, _LEG_34)
        for side in ('LEFT', 'RIGHT')
        for part in limb
    ),
    'HEAD',
    *_ZED_HEAD,
    *('LEFT_HEEL', 'RIGHT_HEEL'),
)
_PAIRS_38 = (
    *('EYE', 'EAR'),
    *('CLAVICLE', 'SHOULDER', 'ELBOW', 'WRIST', 'HIP', 'KNEE', 'ANKLE'),
    *('BIG_TOE', 'SMALL_TOE', 'HEEL', 'HAND_THUMB_4', 'HAND_INDEX_1', 'HAND_MIDDLE_4'),
    'HAND_PINKY_1',
)
ZED_38 = (
    *('PELVIS', 'SPINE_1', 'SPINE_2', 'SPINE_3', 'NECK', 'NOSE'),
    *(f'{side}_{part}' for part in _PAIRS_38 for side in ('LEFT', 'RIGHT')),
)
#: By the number in ``zed_msgs/Object.body_format``.
ZED_FORMATS = {0: ZED_18, 1: ZED_34, 2: ZED_38}

KINECT_32 = (
    *('PELVIS', 'SPINE_NAVEL', 'SPINE_CHEST', 'NECK'),
    *(
        f'{part}_{side}'
        for limb in (_ARM_34, _LEG_34)
        for side in ('LEFT', 'RIGHT')
        for part in limb
    ),
    *('HEAD', 'NOSE', 'EYE_LEFT', 'EAR_LEFT', 'EYE_RIGHT', 'EAR_RIGHT'),
)

#: SMPL's joints in SMPL's order.
XR_BD_24 = tuple(joint.upper() for joint in SMPL.joints)
_FB_FINGERS = (
    *(f'THUMB_{part}' for part in ('METACARPAL', 'PROXIMAL', 'DISTAL', 'TIP')),
    *(
        f'{finger}_{part}'
        for finger in ('INDEX', 'MIDDLE', 'RING', 'LITTLE')
        for part in ('METACARPAL', 'PROXIMAL', 'INTERMEDIATE', 'DISTAL', 'TIP')
    ),
)
XR_FB_70 = (
    *('ROOT', 'HIPS', 'SPINE_LOWER', 'SPINE_MIDDLE', 'SPINE_UPPER', 'CHEST', 'NECK', 'HEAD'),
    *(
        f'{side}_{part}'
        for side in ('LEFT', 'RIGHT')
        for part in ('SHOULDER', 'SCAPULA', 'ARM_UPPER', 'ARM_LOWER', 'HAND_WRIST_TWIST')
    ),
    *(
        f'{side}_HAND_{part}'
        for side in ('LEFT', 'RIGHT')
        for part in ('PALM', 'WRIST', *_FB_FINGERS)
    ),
)
XR_META_84 = (
    *XR_FB_70,
    *(
        f'{side}_{part}'
        for side in ('LEFT', 'RIGHT')
        for part in (
            *('UPPER_LEG', 'LOWER_LEG', 'FOOT_ANKLE_TWIST', 'FOOT_ANKLE'),
            *('FOOT_SUBTALAR', 'FOOT_TRANSVERSE', 'FOOT_BALL'),
        )
    ),
)
#: By the number of joints.
XR_SETS = {len(names): names for names in (XR_BD_24, XR_FB_70, XR_META_84)}

#: Unity's bones, as VMC and VRM 0 name them (first letter upper case).
_UNITY_LIMB = {
    'Shoulder': 'collar',
    'UpperArm': 'shoulder',
    'LowerArm': 'elbow',
    'Hand': 'wrist',
    'UpperLeg': 'hip',
    'LowerLeg': 'knee',
    'Foot': 'ankle',
    'Toes': 'foot',
    'Eye': 'eye_smplhf',
}
_UNITY_FINGERS = {
    f'{finger}{part}': f'{ours}{k}'
    for finger, ours in (
        ('Thumb', 'thumb'),
        ('Index', 'index'),
        ('Middle', 'middle'),
        ('Ring', 'ring'),
        ('Little', 'pinky'),
    )
    for k, part in enumerate(('Proximal', 'Intermediate', 'Distal'), start=1)
}
#: Unity bone -> SMPL-X joint.
UNITY_BONES = {
    'Hips': 'pelvis',
    'Spine': 'spine1',
    'Chest': 'spine2',
    'UpperChest': 'spine3',
    'Neck': 'neck',
    'Head': 'head',
    'Jaw': 'jaw',
    **{
        f'{side.capitalize()}{bone}': f'{side}_{joint}'
        for side in SIDES
        for bone, joint in (_UNITY_LIMB | _UNITY_FINGERS).items()
    },
}

#: The 20 joints of the REP-155 human, without the ``_<id>`` that each name ends with.
REP155_JOINTS = (
    *('waist', 'r_head', 'y_head', 'p_head'),
    *(
        f'{side}_{joint}'
        for side in ('l', 'r')
        for joint in (
            *('y_shoulder', 'p_shoulder', 'r_shoulder', 'elbow'),
            *('y_hip', 'p_hip', 'r_hip', 'knee'),
        )
    ),
)

_SIDED = {
    'CLAVICLE': 'collar',
    'SHOULDER': 'shoulder',
    'ELBOW': 'elbow',
    'WRIST': 'wrist',
    'HIP': 'hip',
    'KNEE': 'knee',
    'ANKLE': 'ankle',
    'EYE': 'eye',
    'EAR': 'ear',
    'HEEL': 'heel',
    'BIG_TOE': 'foot_index',
    'FOOT': 'foot',
    'HAND': 'middle1',
    'HAND_INDEX_1': 'index1',
    'HAND_PINKY_1': 'pinky1',
}
_MIDDLE = {
    'PELVIS': 'pelvis',
    'NECK': 'neck',
    'HEAD': 'head',
    'NOSE': 'nose',
    'SPINE_1': 'spine1',
    'SPINE_2': 'spine2',
    'SPINE_3': 'spine3',
    'NAVAL_SPINE': 'spine1',
    'SPINE_NAVEL': 'spine1',
    'CHEST_SPINE': 'spine3',
    'SPINE_CHEST': 'spine3',
}


def camera_joint_name(foreign: str) -> str | None:
    """Our joint or landmark of a ZED or Kinect joint; None where we have none.

    Tips of fingers and thumbs, and the small toe, have no counterpart.
    """
    if foreign in _MIDDLE:
        return _MIDDLE[foreign]
    for side in SIDES:
        for part in (
            foreign.removeprefix(f'{side.upper()}_'),
            foreign.removesuffix(f'_{side.upper()}'),
        ):
            if part != foreign and part in _SIDED:
                return f'{side}_{_SIDED[part]}'
    return None


_XR_FB_MIDDLE = {
    'HIPS': 'pelvis',
    'SPINE_LOWER': 'spine1',
    'SPINE_UPPER': 'spine2',
    'CHEST': 'spine3',
    'NECK': 'neck',
    'HEAD': 'head',
}
_XR_FB_SIDED = {
    'SHOULDER': 'collar',
    'ARM_UPPER': 'shoulder',
    'ARM_LOWER': 'elbow',
    'HAND_WRIST': 'wrist',
    'UPPER_LEG': 'hip',
    'LOWER_LEG': 'knee',
    'FOOT_ANKLE': 'ankle',
    'FOOT_BALL': 'foot',
    **{
        f'HAND_{finger}_{part}': f'{ours}{k}'
        for finger, ours in (
            ('INDEX', 'index'),
            ('MIDDLE', 'middle'),
            ('RING', 'ring'),
            ('LITTLE', 'pinky'),
        )
        for k, part in enumerate(('PROXIMAL', 'INTERMEDIATE', 'DISTAL'), start=1)
    },
    **{
        f'HAND_THUMB_{part}': f'thumb{k}'
        for k, part in enumerate(('METACARPAL', 'PROXIMAL', 'DISTAL'), start=1)
    },
}
#: XR_FB and XR_META joint -> SMPL-X joint.
XR_FB_JOINTS = {
    **_XR_FB_MIDDLE,
    **{
        f'{side.upper()}_{part}': f'{side}_{joint}'
        for side in SIDES
        for part, joint in _XR_FB_SIDED.items()
    },
}

_EYE = ('eyeBlink', 'eyeLookDown', 'eyeLookIn', 'eyeLookOut', 'eyeLookUp', 'eyeSquint', 'eyeWide')


def _both(*names: str) -> tuple[str, ...]:
    return tuple(f'{name}{side}' for name in names for side in ('Left', 'Right'))


#: The 61 numbers of a Live Link Face packet: ARKit's shapes in Unreal's order, then angles.
LIVE_LINK_61 = (
    *(f'{name}{side}' for side in ('Left', 'Right') for name in _EYE),
    *('jawForward', 'jawLeft', 'jawRight', 'jawOpen'),
    *('mouthClose', 'mouthFunnel', 'mouthPucker', 'mouthLeft', 'mouthRight'),
    *_both('mouthSmile', 'mouthFrown', 'mouthDimple', 'mouthStretch'),
    *('mouthRollLower', 'mouthRollUpper', 'mouthShrugLower', 'mouthShrugUpper'),
    *_both('mouthPress', 'mouthLowerDown', 'mouthUpperUp', 'browDown'),
    'browInnerUp',
    *_both('browOuterUp'),
    'cheekPuff',
    *_both('cheekSquint', 'noseSneer'),
    'tongueOut',
    *(
        f'{part}{angle}'
        for part in ('head', 'leftEye', 'rightEye')
        for angle in ('Yaw', 'Pitch', 'Roll')
    ),
)

#: Facial Action Coding System number -> ARKit shapes that do the same, and how strongly.
ACTION_UNITS: dict[int, dict[str, float]] = {
    1: {'browInnerUp': 1.0},
    2: dict.fromkeys(_both('browOuterUp'), 1.0),
    4: dict.fromkeys(_both('browDown'), 1.0),
    5: dict.fromkeys(_both('eyeWide'), 1.0),
    6: dict.fromkeys(_both('cheekSquint'), 1.0),
    7: dict.fromkeys(_both('eyeSquint'), 1.0),
    9: dict.fromkeys(_both('noseSneer'), 1.0),
    10: dict.fromkeys(_both('mouthUpperUp'), 1.0),
    12: dict.fromkeys(_both('mouthSmile'), 1.0),
    14: dict.fromkeys(_both('mouthDimple'), 1.0),
    15: dict.fromkeys(_both('mouthFrown'), 1.0),
    16: dict.fromkeys(_both('mouthLowerDown'), 1.0),
    17: {'mouthShrugLower': 1.0},
    18: {'mouthPucker': 1.0},
    19: {'tongueOut': 1.0},
    20: dict.fromkeys(_both('mouthStretch'), 1.0),
    22: {'mouthFunnel': 1.0},
    24: dict.fromkeys(_both('mouthPress'), 1.0),
    26: {'jawOpen': 0.6},
    27: {'jawOpen': 1.0},
    28: {'mouthRollLower': 1.0, 'mouthRollUpper': 1.0},
    29: {'jawForward': 1.0},
    34: {'cheekPuff': 1.0},
    43: dict.fromkeys(_both('eyeBlink'), 1.0),
    45: dict.fromkeys(_both('eyeBlink'), 1.0),
    61: {'eyeLookOutLeft': 1.0, 'eyeLookInRight': 1.0},
    62: {'eyeLookInLeft': 1.0, 'eyeLookOutRight': 1.0},
    63: dict.fromkeys(_both('eyeLookUp'), 1.0),
    64: dict.fromkeys(_both('eyeLookDown'), 1.0),
}

_SMILE = dict.fromkeys(_both('mouthSmile'), 1.0)
_FROWN = dict.fromkeys(_both('mouthFrown'), 0.8)
#: VRM expression (0.x and 1.0 names, lower case) -> ARKit shapes; our reading, VRM states none.
VRM_EXPRESSIONS: dict[str, dict[str, float]] = {
    **{key: {'jawOpen': 0.7} for key in ('a', 'aa')},
    **{key: {'jawOpen': 0.15, **dict.fromkeys(_both('mouthStretch'), 0.6)} for key in ('i', 'ih')},
    **{key: {'jawOpen': 0.15, 'mouthPucker': 0.8} for key in ('u', 'ou')},
    **{key: {'jawOpen': 0.3, **dict.fromkeys(_both('mouthStretch'), 0.4)} for key in ('e', 'ee')},
    **{key: {'jawOpen': 0.4, 'mouthFunnel': 0.7} for key in ('o', 'oh')},
    'blink': dict.fromkeys(_both('eyeBlink'), 1.0),
    **{key: {'eyeBlinkLeft': 1.0} for key in ('blink_l', 'blinkleft')},
    **{key: {'eyeBlinkRight': 1.0} for key in ('blink_r', 'blinkright')},
    **dict.fromkeys(('joy', 'happy', 'fun', 'relaxed'), _SMILE),
    **{key: {'browInnerUp': 0.8, **_FROWN} for key in ('sorrow', 'sad')},
    'angry': {**dict.fromkeys(_both('browDown'), 1.0), **_FROWN},
    'surprised': {'browInnerUp': 1.0, 'jawOpen': 0.4, **dict.fromkeys(_both('eyeWide'), 0.8)},
    'lookup': dict.fromkeys(_both('eyeLookUp'), 1.0),
    'lookdown': dict.fromkeys(_both('eyeLookDown'), 1.0),
    'lookleft': {'eyeLookOutLeft': 1.0, 'eyeLookInRight': 1.0},
    'lookright': {'eyeLookInLeft': 1.0, 'eyeLookOutRight': 1.0},
}
#: ARKit names in any spelling of upper and lower case.
ARKIT_OF_LOWER = {name.lower(): name for name in ARKIT_52}
