"""Modbus device identification (MODBUS Application Protocol V1.1b3, 6.21): what an answer says, pure.

An instrument may answer with anything, or not know the question at all: what does not fit says nothing.
"""

from __future__ import annotations

from typing import Final

from parkgate.drivers.identity import Identity

FUNCTION: Final = 0x2B
MEI: Final = 0x0E
BASIC: Final = 0x01
"""The read code of the basic objects, which come in one answer: vendor, product code, revision."""
VENDOR, CODE, REVISION = 0x00, 0x01, 0x02
_OBJECTS = 6  # the MEI type, the read code, the conformity, more follows, the next object, how many objects come here


def decode(data: bytes) -> Identity | None:
    """Give what the bytes behind the function of an answer say; None if they are not an identification."""
    if len(data) < _OBJECTS or data[:2] != bytes((MEI, BASIC)):
        return None
    objects: dict[int, str] = {}
    place = _OBJECTS
    for _ in range(data[5]):
        if place + 2 > len(data) or (end := place + 2 + data[place + 1]) > len(data):
            return None
        objects.setdefault(data[place], data[place + 2 : end].decode("ascii", "replace").strip("\0 "))
        place = end
    if place != len(data) or not objects:
        return None
    return Identity(objects.get(VENDOR, ""), objects.get(CODE, ""), objects.get(REVISION, ""))
