"""Where replies stand among the bytes of a wire, pure: Modbus TCP by transaction, RTU by shape and CRC.

An RTU reply names no question (MODBUS over Serial Line V1.02, 2.5.1), so it is recognised by what it must look like:
the unit, the function, the length, the CRC. Noise before and behind it, and what other units still had to say, is
passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from parkgate.drivers.modbus.address import Table

REFUSAL = 0x80
"""Added to the function of a request in an exception reply (MODBUS Application Protocol V1.1b3, 7)."""
IDENTIFY = 0x2B
BEHIND_GATEWAY = frozenset({10, 11})
"""Exception codes of a gateway: no path to the instrument; it does not answer (V1.1b3, 7)."""
_FUNCTIONS: dict[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
_MBAP = struct.Struct(">HHHB")  # transaction, protocol (0), length from the unit on, unit
_SHORTEST, _LONGEST = 3, 254  # what that length can be: unit, function and 1 to 252 bytes
_READS = frozenset({1, 2, 3, 4})
_EXCEPTION = 5  # unit, function, code, CRC
_AROUND = 5  # unit, function, byte count, CRC
_OBJECTS = 8  # unit, function, MEI type, read code, conformity, more follows, next object, how many objects

Traced = Callable[[bool, bytes], None]
"""Told of every frame: whether it was sent, and its bytes."""
LONGEST_FRAME = 256
"""Bytes of an RTU frame (V1.02, 2.4); what is older among bytes that fit nothing is no part of a frame to come."""
_MOST_DATA = 250


@dataclass(frozen=True, slots=True)
class Shape:
    """What the reply to a question must look like: unit, function, bytes of data (None: as many as it says itself)."""

    unit: int
    function: int
    size: int | None


@dataclass(frozen=True, slots=True)
class Frame:
    """One reply as it came: the unit that sent it, its function, the bytes behind that, and where it ends."""

    unit: int
    function: int
    data: bytes
    end: int
    start: int = 0

    def may_answer(self, shape: Shape) -> bool:
        """Tell whether it is its unit's reply, fitting or not; a late identification cannot be that to a read."""
        asks = shape.function == IDENTIFY
        return self.unit == shape.unit and (self.function & ~REFUSAL == IDENTIFY) is asks


def function_of(table: Table) -> int:
    """Give the function that reads a table (V1.1b3, 6.1 to 6.4)."""
    return _FUNCTIONS[table]


NOT_MODBUS = Frame(0, 0, b"", 0)
"""Stands for bytes that no Modbus TCP instrument sends."""


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC = tuple(_entry(byte) for byte in range(256))


def crc(data: bytes) -> bytes:
    """Give the CRC-16 of an RTU frame's bytes as it stands behind them (V1.02, 6.2.2): 0xA001, low byte first."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def tcp_frames(data: bytes) -> Iterator[tuple[int, Frame]]:
    """Give the whole frames of a Modbus TCP stream with their transactions (MODBUS Messaging on TCP/IP V1.0b, 3.1.3).

    What cannot be a header gives `NOT_MODBUS`: the stream has lost its place.
    """
    start = 0
    while len(data) - start >= _MBAP.size:
        transaction, protocol, length, unit = _MBAP.unpack_from(data, start)
        if protocol or not _SHORTEST <= length <= _LONGEST:
            yield 0, NOT_MODBUS
            return
        body, end = start + _MBAP.size, start + _MBAP.size - 1 + length
        if len(data) < end:
            return
        yield transaction, Frame(unit, data[body], data[body + 1 : end], end, start)
        start = end


def rtu_frames(data: bytes) -> Iterator[Frame]:
    """Give the whole frames among the bytes of a serial line, whatever stands around them."""
    start = 0
    while len(data) - start >= _EXCEPTION:
        length = _length(data, start)
        end = start + length
        if length and len(data) >= end and crc(data[start : end - 2]) == data[end - 2 : end]:
            yield Frame(data[start], data[start + 1], data[start + 2 : end - 2], end, start)
            start = end
        else:
            start += 1


def coming(data: bytes, shape: Shape) -> bool:
    """Tell whether the bytes are the beginning of the very reply awaited, so that nothing need be looked for yet."""
    head = (
        bytes((shape.unit, shape.function)) if shape.size is None else bytes((shape.unit, shape.function, shape.size))
    )
    length = _AROUND + shape.size if shape.size is not None else _length(data, 0)
    return data[: len(head)] == head[: len(data)] and (not length or len(data) < length)


def broken(data: bytes, shape: Shape) -> bool:
    """Tell whether a reply of the awaited shape is there as a whole, but spoilt: its CRC is wrong."""
    return (
        shape.size is not None
        and data[:3] == bytes((shape.unit, shape.function, shape.size))
        and len(data) >= _AROUND + shape.size
    )


def _length(data: bytes, start: int) -> int:
    """Give how long the reply that begins there would be, 0 if none begins or it cannot be told yet."""
    function = data[start + 1] if len(data) > start + 1 else 0
    if function & REFUSAL and function & ~REFUSAL in _READS | {IDENTIFY}:
        return _EXCEPTION
    if function in _READS:
        count = data[start + 2] if len(data) > start + 2 else 0
        return _AROUND + count if 0 < count <= _MOST_DATA else 0
    if function != IDENTIFY or len(data) < start + _OBJECTS:
        return 0
    place = start + _OBJECTS
    for _ in range(data[start + _OBJECTS - 1]):
        if len(data) < place + 2:
            return 0
        place += 2 + data[place + 1]
    return place + 2 - start
