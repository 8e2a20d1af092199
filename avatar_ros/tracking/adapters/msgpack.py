# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Reads msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md) from strangers.

Bounded in depth and in what it allocates, without extension types, and with one error for
everything that is wrong. It only reads; nothing here sends msgpack.
"""

import struct

_MAX_DEPTH = 8
_FLOATS = {0xCA: '>f', 0xCB: '>d'}
_INTEGERS = {
    **dict(zip(range(0xCC, 0xD0), ('>B', '>H', '>I', '>Q'), strict=True)),
    **dict(zip(range(0xD0, 0xD4), ('>b', '>h', '>i', '>q'), strict=True)),
}
_BYTES = {0xC4: '>B', 0xC5: '>H', 0xC6: '>I'}
_STRINGS = {0xD9: '>B', 0xDA: '>H', 0xDB: '>I'}
_LISTS = {0xDC: '>H', 0xDD: '>I'}
_MAPS = {0xDE: '>H', 0xDF: '>I'}
_CONSTANTS: dict[int, object] = {0xC0: None, 0xC2: False, 0xC3: True}


def unpack(payload: bytes) -> object:
    """The one value in the payload: None, bool, int, float, str, bytes, list or dict.

    :raises ValueError: if it is cut off, has something behind its end, or is not msgpack.
    """
    reader = _Reader(payload)
    value = reader.value(0)
    if reader.at != len(payload):
        raise ValueError(
            f'msgpack: {len(payload) - reader.at} bytes follow the value; expected its end.'
        )
    return value


class _Reader:
    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.at = 0

    def value(self, depth: int) -> object:
        if depth > _MAX_DEPTH:
            raise ValueError(f'msgpack: nested deeper than {_MAX_DEPTH}; expected a flat message.')
        code = self.take(1)[0]
        if code <= 0x7F:
            return code
        if code >= 0xE0:
            return code - 0x100
        if code <= 0x8F:
            return self.mapping(code & 0x0F, depth)
        if code <= 0x9F:
            return self.sequence(code & 0x0F, depth)
        if code <= 0xBF:
            return self.text(code & 0x1F)
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        for table in (_FLOATS, _INTEGERS):
            if code in table:
                return self.number(table[code])
        for table, read in ((_BYTES, self.take), (_STRINGS, self.text)):
            if code in table:
                return read(int(self.number(table[code])))
        if code in _LISTS:
            return self.sequence(int(self.number(_LISTS[code])), depth)
        if code in _MAPS:
            return self.mapping(int(self.number(_MAPS[code])), depth)
        raise ValueError(f'msgpack: type 0x{code:02x} at byte {self.at - 1} is not supported.')

    def take(self, count: int) -> bytes:
        """The next bytes; a length that the payload does not have ends the reading here."""
        part = self.payload[self.at : self.at + count]
        if len(part) != count:
            raise ValueError(
                f'msgpack: cut off, {count} bytes expected at {self.at} of {len(self.payload)}.'
            )
        self.at += count
        return part

    def number(self, form: str) -> float:
        value: float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def text(self, count: int) -> str:
        try:
            return self.take(count).decode()
        except UnicodeDecodeError:
            raise ValueError(f'msgpack: the text before byte {self.at} is not UTF-8.') from None

    def _fits(self, count: int) -> None:
        if count > len(self.payload) - self.at:  # every entry takes a byte or more
            raise ValueError(f'msgpack: cut off, {count} entries expected at byte {self.at}.')

    def sequence(self, count: int, depth: int) -> list[object]:
        self._fits(count)
        return [self.value(depth + 1) for _ in range(count)]

    def mapping(self, count: int, depth: int) -> dict[str, object]:
        self._fits(count)
        result: dict[str, object] = {}
        for _ in range(count):
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise ValueError(f'msgpack: a key is {type(key).__name__}; expected names.')
            result[key] = self.value(depth + 1)
        return result
