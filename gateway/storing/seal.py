"""The checksums of the outbox: of a record's row and of the rows that say how far things are. Pure.

SQLite does not notice most flipped bits. A flipped bit in a record would be a wrong value; one in a counter would use
numbers again, and one in an uplink's position would skip records silently.
"""

from __future__ import annotations

import struct
import zlib

_HEAD = struct.Struct(">qqqq")


def checksum(row: int, series: int, seq: int, ts: int, body: bytes) -> int:
    """Give the CRC-32 of everything a record's row says."""
    return zlib.crc32(body, zlib.crc32(_HEAD.pack(row, series, seq, ts)))


def unpacked(row: int, series: int, seq: int, ts: int, crc: int, packed: bytes) -> bytes | None:
    """Give the payload of a record's row; None where the row is not what was stored."""
    try:
        body = zlib.decompress(packed)
        return body if checksum(row, series, seq, ts, body) == crc else None
    except (zlib.error, struct.error, TypeError):
        return None


def seal(table: str, *fields: object) -> int:
    """Give the CRC-32 of a row of a table that holds state."""
    return zlib.crc32(repr((table, fields)).encode("utf-8", "surrogatepass"))


def sealed(table: str, *fields: object) -> tuple[object, ...]:
    """Give the fields of a row with their seal behind them."""
    return *fields, seal(table, *fields)


def whole(table: str, *row: object) -> bool:
    """Tell whether a row, its seal last, is what was stored."""
    return bool(row) and row[-1] == seal(table, *row[:-1])
