"""The bytes of a PublishResponse to readings, without a thing of the library for each value (OPC 10000-6, 5.2). Pure.

The library needs some 20 us for each value, most of it for objects that nobody keeps; a thousand values a second are a
small load, ten thousand are not. What is not usual (arrays, structures, diagnostics, events) is left to the library.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

from parkgate.drivers.opcua.codec import Reading

_HEAD = Struct("<4sqIIBi3sIi")
_MESSAGE = Struct("<?Iqi")
_OBJECT = Struct("<4sBi")
_ITEM = Struct("<IB")
_WORD, _LENGTH, _TICKS = Struct("<I"), Struct("<i"), Struct("<q")
_PUBLISH_RESPONSE = bytes.fromhex("01003d03")  # four-byte node ids: i=829, i=811, i=820
_DATA_CHANGE = bytes.fromhex("01002b03")
_STATUS_CHANGE = bytes.fromhex("01003403")
_SCALARS = {2: Struct("<b"), 3: Struct("<B"), 4: Struct("<h"), 5: Struct("<H"), 6: Struct("<i"), 7: Struct("<I"),
            8: Struct("<q"), 9: Struct("<Q"), 10: Struct("<f"), 11: Struct("<d")}  # fmt: skip
_NULL, _BOOLEAN, _FLOAT, _STRING = 0, 1, 10, 12
_VALUE, _STATUS, _SOURCE, _SERVER, _SOURCE_PICO, _SERVER_PICO = (1 << bit for bit in (0, 1, 2, 3, 4, 5))
_EPOCH_TICKS = 116_444_736_000_000_000  # 1601 to 1970 in steps of 100 ns
_TICKS_A_MS = 10_000


@dataclass(frozen=True, slots=True)
class Notification:
    """What a server published of a subscription: its changes in order, each with the handle we gave its node.

    Without `items` and `ended` it is a sign of life alone. `ended`: the status with which the subscription ended.
    `more`: what changed at the same time goes on in another message.
    """

    subscription: int
    sequence: int
    items: Sequence[tuple[int, Reading]] = ()
    ended: int | None = None
    more: bool = False


class _Unusual(ValueError):
    """There is something in it that only the library reads."""


def parse(data: bytes) -> Notification | None:
    """Read the body of a PublishResponse, None where the library must.

    Raises:
        struct.error, LookupError: it is not what it says it is.

    """
    try:
        return _parsed(data)
    except _Unusual:
        return None


def _parsed(data: bytes) -> Notification:
    kind, _, _, result, diagnostics, strings, header, subscription, available = _HEAD.unpack_from(data)
    if kind != _PUBLISH_RESPONSE or result or diagnostics or strings > 0 or any(header):
        raise _Unusual
    place = _HEAD.size + 4 * max(available, 0)
    more, sequence, _, count = _MESSAGE.unpack_from(data, place)
    place += _MESSAGE.size
    items: list[tuple[int, Reading]] = []
    ended = None
    for _ in range(count):  # of an array that is not there it is -1
        kind, encoding, length = _OBJECT.unpack_from(data, place)
        place += _OBJECT.size
        if encoding != 1 or length < 0:
            raise _Unusual
        if kind == _DATA_CHANGE:
            _items(data, place, items)
        elif kind == _STATUS_CHANGE:
            (ended,) = _WORD.unpack_from(data, place)
        else:
            raise _Unusual
        place += length
    return Notification(subscription, sequence, items, ended, more)


def _items(data: bytes, place: int, items: list[tuple[int, Reading]]) -> None:
    (count,) = _LENGTH.unpack_from(data, place)
    place += 4
    for _ in range(count):
        handle, mask = _ITEM.unpack_from(data, place)
        value, single = None, False
        place += _ITEM.size
        if mask & _VALUE:
            kind = data[place]
            place += 1
            if scalar := _SCALARS.get(kind):
                (value,) = scalar.unpack_from(data, place)
                place += scalar.size
                single = kind == _FLOAT
            else:
                value, place = _other(data, place, kind)
        status, source, server, place = _rest(data, place, mask)
        items.append((handle, Reading(value, status, source, server, single)))


def _other(data: bytes, place: int, kind: int) -> tuple[object, int]:
    if kind == _STRING:
        (length,) = _LENGTH.unpack_from(data, place)
        place += 4
        if length < 0:
            return None, place
        text = data[place : place + length]
        if len(text) < length:
            raise struct.error(length)
        return text.decode("utf-8", "surrogateescape"), place + length
    if kind == _BOOLEAN:
        return data[place] != 0, place + 1
    if kind == _NULL:
        return None, place
    raise _Unusual


def _rest(data: bytes, place: int, mask: int) -> tuple[int, int | None, int | None, int]:
    """Give status, source time and server time, and where the next item begins (OPC 10000-6, 5.2.2.17)."""
    status, source, server = 0, None, None
    if mask & _STATUS:
        (status,) = _WORD.unpack_from(data, place)
        place += 4
    if mask & _SOURCE:
        source = (_TICKS.unpack_from(data, place)[0] - _EPOCH_TICKS) // _TICKS_A_MS
        place += 8
    if mask & _SOURCE_PICO:
        place += 2
    if mask & _SERVER:
        server = (_TICKS.unpack_from(data, place)[0] - _EPOCH_TICKS) // _TICKS_A_MS
        place += 8
    if mask & _SERVER_PICO:
        place += 2
    return status, source, server, place
