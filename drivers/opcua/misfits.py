"""Why a value of an OPC UA server cannot be that of a point, in words for people. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from parkgate.config.language import say
from parkgate.config.profile import Point
from parkgate.drivers.opcua.codec import BAD_NODE_ID_UNKNOWN, Reading, judge

_CODE = 0xFFFF_0000
_PLAIN: Mapping[type, str] = MappingProxyType({bool: "bool", int: "integer", float: "float", str: "string"})
_OTHERS: Mapping[type, str] = MappingProxyType({datetime: "DateTime", uuid.UUID: "Guid", bytes: "ByteString"})
"""What OPC UA calls them (OPC 10000-6, 5.1.2)."""


def misfit(point: Point, reading: Reading) -> str:
    """Tell why a reading is a bad configuration of its point: by its status, or by the type of its value.

    The types that the standard or a companion specification defines are told by their names (`Range`); an
    `ExtensionObject` is a structure that this gateway does not know.
    """
    if reading.status & _CODE == BAD_NODE_ID_UNKNOWN:
        return say("the server has no node {at}", at=point.at)
    _, readable, _ = judge(reading.status)
    if not readable:
        return say("the server refuses {at}, with status {status}", at=point.at, status=f"0x{reading.status:08X}")
    value = reading.value
    if value is None:
        return say("the server has a node without a value")
    if isinstance(value, list):
        return say("the server has an array; a point is one value, so take the node of an element")
    if (kind := type(value)) in _PLAIN:
        return say("the server has a value of type {held}, the profile says {type}", held=_PLAIN[kind], type=point.type)
    held = _OTHERS.get(kind, kind.__name__)
    return say("the server has a value of type {held}; a point is a number, a bool or a string", held=held)
