"""The rows that stand on a page of a SQLite file, read without SQLite (https://www.sqlite.org/fileformat2.html). Pure.

Every page speaks for itself: neither the header, the schema nor the pointers between pages are needed, so whatever else
is damaged costs nothing. What is read is judged by the caller: each row that matters carries a checksum.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from parkgate.gateway.storing.wal import PAGE

Field = int | str | bytes | float | None
Row = tuple[Field, ...]
"""The id of a row (None in a table without one), then its columns."""
Fetch = Callable[[int], bytes]
"""Gives a page by its number, nothing where there is none: a large row goes on there."""

_TABLE_LEAF, _INDEX_LEAF, _INDEX_NODE = 0x0D, 0x0A, 0x02
_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_LARGEST = 1_000_000_000


def rows(page: bytes, fetch: Fetch) -> Iterator[Row]:
    """Give every row that can be read on a page; page 1, with the schema, is none that has any."""
    kind = page[0] if len(page) == PAGE else 0
    if kind not in (_TABLE_LEAF, _INDEX_LEAF, _INDEX_NODE):
        return
    (count,) = struct.unpack_from(">H", page, 3)
    begin = 12 if kind == _INDEX_NODE else 8
    for place in range(begin, min(begin + 2 * count, PAGE - 1), 2):
        try:
            yield _row(page, struct.unpack_from(">H", page, place)[0], kind, fetch)
        except (ValueError, IndexError, struct.error):
            continue


def _row(page: bytes, at: int, kind: int, fetch: Fetch) -> Row:
    if kind == _INDEX_NODE:
        at += 4
    size, at = _varint(page, at)
    number: int | None = None
    if kind == _TABLE_LEAF:
        number, at = _varint(page, at)
    most = PAGE - 35 if kind == _TABLE_LEAF else (PAGE - 12) * 64 // 255 - 23
    return number, *_columns(_payload(page, at, size, most, fetch))


def _payload(page: bytes, at: int, size: int, most: int, fetch: Fetch) -> bytes:
    """Give a row's bytes, those too that did not fit on its page."""
    if size <= most:
        return _cut(page, at, size)
    if size > _LARGEST:
        raise ValueError(size)
    least = (PAGE - 12) * 32 // 255 - 23
    here = least + (size - least) % (PAGE - 4)
    here = here if here <= most else least
    parts = [_cut(page, at, here)]
    (number,) = struct.unpack_from(">I", page, at + here)
    left = size - here
    while left > 0:
        more = _cut(fetch(number), 0, PAGE)
        (number,) = struct.unpack_from(">I", more)
        parts.append(more[4 : 4 + min(left, PAGE - 4)])
        left -= len(parts[-1])
    return b"".join(parts)


def _columns(payload: bytes) -> Iterator[Field]:
    end, at = _varint(payload, 0)
    place = end
    while at < end:
        kind, at = _varint(payload, at)
        size = _SIZES.get(kind, 0)
        if size:  # most columns are whole numbers
            value: Field = int.from_bytes(_cut(payload, place, size), "big", signed=True)
            place += size
        else:
            value, place = _field(payload, place, kind)
        yield value


def _field(payload: bytes, at: int, kind: int) -> tuple[Field, int]:
    if kind == 0:
        return None, at
    if kind == 7:  # noqa: PLR2004  # the number that the file format gives to a float
        return float(struct.unpack_from(">d", payload, at)[0]), at + 8
    if kind in (8, 9):
        return kind - 8, at
    size = (kind - 12) // 2
    if size < 0:
        raise ValueError(kind)
    found = _cut(payload, at, size)
    return (found.decode() if kind % 2 else found), at + size


def _cut(data: bytes, at: int, size: int) -> bytes:
    found = data[at : at + size]
    if len(found) < size:
        raise ValueError(size)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    if value < 0x80:  # noqa: PLR2004  # the bit that says that more follows
        return value, at + 1
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:  # noqa: PLR2004  # as above
            return value, place + 1
    value = value << 8 | data[at + 8]
    return (value - (1 << 64) if value >= 1 << 63 else value), at + 9
