# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Live Link Face (iOS app of Epic Games) over UDP, port 11111.

All big-endian: u8 version (6); int32 length and device id; int32 length and subject name; frame
time (int32 frame, float32 subframe, int32 numerator and denominator of the rate); u8 count; as many
float32. The count is 61, or 0 while no face is seen. Frame time counts from midnight of the
phone's clock, so the stamp is that of the arrival.

Head angles are radians; see `_turned` for their signs. A recording of the app
(test/tracking/adapters/recorded) confirms the order of the values, and unit and signs of the eyes'
angles; its head angles are zero, and are taken to be alike.
"""

import struct

import numpy as np

from avatar_ros.body import FaceExpression, neutral_face
from avatar_ros.body.foreign import LIVE_LINK_61
from avatar_ros.geometry import quat_from_rotvec, quat_multiply
from avatar_ros.tracking.adapters.arkit import expression
from avatar_ros.types import FloatArray

PORT = 11111
_VERSION = 6
_LONGEST_NAME = 256
_SHAPES = LIVE_LINK_61[:52]


def face(packet: bytes, received_ns: int = 0) -> FaceExpression:
    """Expression in one packet; its confidence is 0 while the app sees no face.

    :raises ValueError: if the packet is not one of Live Link Face.
    """
    if not packet or packet[0] != _VERSION:
        raise ValueError(
            f'Live Link Face: version {packet[0] if packet else "missing"}; expected {_VERSION}. '
            'Update the app, and choose "Live Link (ARKit)" as its mode.'
        )
    _, at = _text(packet, 1, 'device id')
    subject, at = _text(packet, at, 'subject')
    at += struct.calcsize('>ifii')  # frame time
    if at >= len(packet):
        raise ValueError(f'Live Link Face: cut off after {len(packet)} bytes.')
    count, at = packet[at], at + 1
    if len(packet) != at + 4 * count or count not in (0, len(LIVE_LINK_61)):
        raise ValueError(
            f'Live Link Face: {count} values in {len(packet)} bytes; expected '
            f'{len(LIVE_LINK_61)} in {at + 4 * len(LIVE_LINK_61)}, or none.'
        )
    if count == 0:
        nobody = neutral_face()
        return expression({}, confidence=nobody.confidence, stamp_ns=received_ns, person_id=subject)
    values = dict(zip(LIVE_LINK_61, struct.unpack_from(f'>{count}f', packet, at), strict=True))
    if not all(map(np.isfinite, values.values())):
        raise ValueError('Live Link Face: a value is NaN or Inf; expected finite numbers.')
    return expression(
        {name: values[name] for name in _SHAPES},
        head=_turned(values['headYaw'], values['headPitch'], values['headRoll']),
        stamp_ns=received_ns,
        person_id=subject,
    )


def _turned(yaw: float, pitch: float, roll: float) -> FloatArray:
    """Quaternion (4,) wxyz, SMPL axes, of the app's radians.

    To the person's right, down, and towards his right shoulder are positive: Unreal's rotator after
    its change of axes. Of the eyes, which the app turns in the same way, a recording shows it.
    """
    yawed, pitched = quat_from_rotvec([0.0, -yaw, 0.0]), quat_from_rotvec([pitch, 0.0, 0.0])
    return quat_multiply(quat_multiply(yawed, pitched), quat_from_rotvec([0.0, 0.0, -roll]))


def _text(packet: bytes, at: int, what: str) -> tuple[str, int]:
    if at + 4 > len(packet):
        raise ValueError(f'Live Link Face: cut off before the {what}.')
    (length,) = struct.unpack_from('>i', packet, at)
    end = at + 4 + length
    if not 0 <= length <= _LONGEST_NAME or end > len(packet):
        raise ValueError(
            f'Live Link Face: the {what} is {length} bytes long; expected 0 to {_LONGEST_NAME}, '
            'within the packet.'
        )
    return packet[at + 4 : end].decode(errors='replace'), end
