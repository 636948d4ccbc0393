"""Room on the disk: how much the outbox may take of it, and storing what fits where not everything does.

With its own limit reached a file still lets rows leave; with the disk itself full not even that. So the limit stays
below what is really free, less a reserve for the WAL and for others.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from parkgate.gateway.storing.database import LOG, Database, Record, UplinkRow

_RESERVE = 33_554_432


def below(limit: int) -> int:
    """Give what an outbox held to `limit` bytes is kept below, so that what comes between two looks finds room."""
    return limit - limit // 8


def reserve(disk: int) -> int:
    """Give what stays free of a disk of so many bytes."""
    return min(_RESERVE, disk // 8)


def log(disk: int) -> int:
    """Give the bytes of the WAL on a disk of so many bytes."""
    return min(LOG, disk // 64)


def room(database: Database, folder: Path, most: int) -> int:
    """Give the bytes that the outbox may use now, at most `most`, and hold its file to little more."""
    disk = os.statvfs(folder)
    size, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    limit = database.allocated() + free - reserve(size) // 2
    database.largest = log(size)
    database.limit(min(limit, most + max(most // 8, LOG)), log(size))
    return max(0, min(most, limit - reserve(size) // 2))


def is_full(error: sqlite3.Error) -> bool:
    """Tell whether something found no room."""
    return getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"


def stored(
    database: Database, records: Sequence[Record], uplinks: Sequence[UplinkRow], gone: Sequence[int],
    news: Sequence[str],
) -> int:  # fmt: skip
    """Store records and remove rows in one transaction, or else as many records as fit; give how many.

    Where they do not fit together the rows leave first, in a transaction of their own: else a full file never drains.
    What declares them, `news`, is kept with that one: the events themselves are among the records that wait. No
    transaction is larger than the WAL should be: one that fills the disk with its log could never be merged again.
    """
    whole = sum(len(each.body) for each in records) <= database.largest
    if whole:
        try:
            database.commit(records, uplinks, gone)
        except sqlite3.Error as error:
            if not is_full(error) or not (gone or len(records) > 1):
                raise
        else:
            return len(records)
    if gone:
        database.commit((), uplinks, gone, news)
    count = 0
    for part in _parts(records, database.largest):
        tried = whole and not gone  # and did not fit
        fitting = _fitting(database, part[: len(part) // 2] if tried else part, () if gone or count else uplinks)
        count += fitting
        if fitting < len(part):
            break
    return count


def _parts(records: Sequence[Record], most: int) -> Iterator[Sequence[Record]]:
    """Give records in parts of at most so many bytes, or of one record."""
    begin = size = 0
    for end, record in enumerate(records):
        if size and size + len(record.body) > most:
            yield records[begin:end]
            begin, size = end, 0
        size += len(record.body)
    if begin < len(records):
        yield records[begin:]


def _fitting(database: Database, records: Sequence[Record], uplinks: Sequence[UplinkRow]) -> int:
    """Store as many of these records as fit; give how many."""
    count = len(records)
    while count:
        try:
            database.commit(records[:count], uplinks)
        except sqlite3.Error as error:
            if not is_full(error):
                raise
            count //= 2
        else:
            break
    return count
