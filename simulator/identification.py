"""What a simulated Modbus unit says it is: MODBUS Application Protocol V1.1b3, 6.21 (function 43, MEI type 14).

So that a simulated park cannot pass for a real one: it says so to whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType
from typing import Final

from parkgate.drivers.identity import MAKER, PRODUCT
from parkgate.drivers.modbus.identification import CODE, FUNCTION, MEI, REVISION, VENDOR

ILLEGAL_FUNCTION, ILLEGAL_OBJECT, ILLEGAL_VALUE = 0x01, 0x02, 0x03
CONFORMITY: Final = 0x81
"""The basic objects only, as a stream and one by one."""
OBJECTS: Mapping[int, bytes] = MappingProxyType(
    {VENDOR: MAKER.encode(), CODE: PRODUCT.encode(), REVISION: version("parkgate").encode()}
)
_STREAMS = frozenset({1, 2, 3})  # basic, regular, extended: whoever has less than is asked gives what there is
_ONE = 4
_LENGTH = 4  # function, MEI type, read code, object


def identify(pdu: bytes) -> bytes:
    """Give the answer to a request with function 43: the objects it asks for, or an exception.

    A stream that is asked from an object that is not there begins at the first.
    """
    if len(pdu) > 1 and pdu[1] != MEI:
        return _refusal(ILLEGAL_FUNCTION)
    if len(pdu) != _LENGTH or (code := pdu[2]) not in {*_STREAMS, _ONE}:
        return _refusal(ILLEGAL_VALUE)
    first = pdu[3]
    if code == _ONE:
        if first not in OBJECTS:
            return _refusal(ILLEGAL_OBJECT)
        shown = [first]
    else:
        shown = [number for number in OBJECTS if number >= first or first not in OBJECTS]
    objects = b"".join(bytes((number, len(OBJECTS[number]))) + OBJECTS[number] for number in shown)
    return bytes((FUNCTION, MEI, code, CONFORMITY, 0, 0, len(shown))) + objects


def _refusal(exception: int) -> bytes:
    return bytes((FUNCTION | 0x80, exception))
