# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Reads Open Sound Control 1.0 packets (https://opensoundcontrol.stanford.edu/spec-1_0.html)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MAX_DEPTH = 4
_MAX_MESSAGES = 4096
_NUMBERS = {'i': '>i', 'f': '>f', 'h': '>q', 'd': '>d', 't': '>Q'}
_CONSTANTS: dict[str, object] = {'T': True, 'F': False, 'N': None, 'I': float('inf')}


@dataclass(frozen=True)
class OscMessage:
    """One message: its address and its arguments as Python values."""

    address: str
    arguments: tuple[object, ...]


def messages(packet: bytes) -> list[OscMessage]:
    """Every message of a packet, those inside bundles included, in order.

    :raises ValueError: if the packet is not OSC.
    """
    found = []
    for message in _read(packet, 0):
        found.append(message)
        if len(found) > _MAX_MESSAGES:
            raise ValueError(f'OSC: more than {_MAX_MESSAGES} messages in one packet.')
    return found


def _read(packet: bytes, depth: int) -> Iterator[OscMessage]:
    if depth > _MAX_DEPTH:
        raise ValueError(f'OSC: bundles nested deeper than {_MAX_DEPTH}.')
    if packet.startswith(b'#bundle\0'):
        at = 16  # name and time tag
        if len(packet) < at:
            raise ValueError(f'OSC: a bundle of {len(packet)} bytes; expected a time tag.')
        while at < len(packet):
            if at + 4 > len(packet):
                raise ValueError('OSC: a bundle is cut off before the size of an element.')
            (size,) = struct.unpack_from('>i', packet, at)
            at += 4
            if size <= 0 or size % 4 or at + size > len(packet):
                raise ValueError(
                    f'OSC: an element of {size} bytes; expected a multiple of 4 in the bundle.'
                )
            yield from _read(packet[at : at + size], depth + 1)
            at += size
    else:
        yield _message(packet)


def _message(packet: bytes) -> OscMessage:
    address, at = _text(packet, 0)
    if not address.startswith('/'):
        raise ValueError(f'OSC: address {address[:40]!r}; expected one that begins with a slash.')
    tags, at = _text(packet, at)
    if not tags.startswith(','):
        raise ValueError(f'OSC: type tags {tags[:40]!r} of {address[:80]}; expected a comma first.')
    arguments: list[object] = []
    for tag in tags[1:]:
        if tag in _NUMBERS:
            form = _NUMBERS[tag]
            if at + struct.calcsize(form) > len(packet):
                raise ValueError(f'OSC: {address[:80]} is cut off in its arguments.')
            arguments.append(struct.unpack_from(form, packet, at)[0])
            at += struct.calcsize(form)
        elif tag in 'sS':
            text, at = _text(packet, at)
            arguments.append(text)
        elif tag in _CONSTANTS:
            arguments.append(_CONSTANTS[tag])
        else:
            raise ValueError(f'OSC: type tag {tag!r} of {address[:80]} is not supported.')
    return OscMessage(address, tuple(arguments))


def _text(packet: bytes, at: int) -> tuple[str, int]:
    end = packet.find(b'\0', at)
    if end < 0:
        raise ValueError('OSC: a text does not end; expected a zero byte.')
    return packet[at:end].decode(errors='replace'), at + (end - at + 4) // 4 * 4
