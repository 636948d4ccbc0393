"""The trail and the configurations it speaks of: kept for the life of the file, whatever else leaves it.

An entry is stored in the transaction of the event that it is: no power cut comes in between. The first one of its
number stands: what was written is never written over.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from parkgate.gateway.storing.seal import sealed, whole
from parkgate.gateway.storing.standing import Broken
from parkgate.gateway.storing.transaction import Transaction

Row = tuple[str, int, bytes]
"""An entry's epoch, its number there, and its payload as it was stored and sent."""
Configuration = tuple[str, str, bytes]
"""An instrument (empty: the gateway), the `rev`, and the packed text that this is the digest of."""
MARK = b'"trail":{'
"""What every entry has, and no other event: in a text its quotes would be escaped."""
KEYS = {"trail": "epoch, n", "configuration": "subject, rev"}
"""What names a row of each table."""
_ENTRY = "INSERT OR IGNORE INTO trail VALUES (?, ?, ?, ?)"
_CONFIGURATION = "INSERT OR IGNORE INTO configuration VALUES (?, ?, ?, ?)"


class Trail:
    """The tables `trail` and `configuration` of an outbox file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self) -> list[Row]:
        """Give every entry that is what was stored, the oldest first."""
        return [(epoch, n, body) for epoch, n, body, sound in rows(self._connection, "trail") if sound]

    def note(self, events: Iterable[bytes]) -> None:
        """Note the entries among events, within the transaction that stores them."""
        for body in events:
            key = place_of(body) if MARK in body else None
            if key is not None:
                self._connection.execute(_ENTRY, sealed("trail", *key, body))

    def configurations(self) -> list[Configuration]:
        """Give every configuration that is what was stored, packed."""
        kept = rows(self._connection, "configuration")
        return [(subject, rev, body) for subject, rev, body, sound in kept if sound]

    def entries(self, after: tuple[str, int] | None = None, most: int = -1) -> list[tuple[str, int, bytes, bool]]:
        """Give entries, those behind one if so said, the oldest first, and whether each is what was stored.

        At `most` so many.
        """
        behind = "WHERE (epoch, n) > (?, ?) " if after else ""
        return list(rows(self._connection, "trail", f"{behind}ORDER BY epoch, n LIMIT ?", (*(after or ()), most)))

    def text(self, subject: str, rev: str) -> str | None:
        """Give the configuration that `rev` names, None where it is not there."""
        query = "SELECT body FROM configuration WHERE subject = ? AND rev = ?"
        row = self._connection.execute(query, (subject, rev)).fetchone()
        return None if row is None else unpacked(row[0])

    def named(self, rev: str) -> list[tuple[str, str]]:
        """Give the configurations (subject, text) that a `rev` names: hardly ever more than one."""
        query = "SELECT subject, body FROM configuration WHERE rev = ? ORDER BY subject"
        return [(subject, unpacked(body)) for subject, body in self._connection.execute(query, (rev,))]

    def keep(self, configurations: Iterable[tuple[str, str, str]]) -> None:
        """Keep configurations: (subject, rev, text)."""
        self.add((), ((subject, rev, packed(text)) for subject, rev, text in configurations))

    def add(self, entries: Iterable[Row], configurations: Iterable[Configuration]) -> None:
        """Add what another file had."""
        with Transaction(self._connection):
            self._connection.executemany(_ENTRY, [sealed("trail", *row) for row in entries])
            self._connection.executemany(_CONFIGURATION, [sealed("configuration", *row) for row in configurations])

    def check(self) -> None:
        """Hold both tables to their seals.

        Raises:
            Broken: a row is not what was stored; it is named.

        """
        for table in KEYS:
            for first, second, _, sound in rows(self._connection, table):
                if not sound:
                    raise Broken(f"{table} {first} {second}")


def rows(
    connection: sqlite3.Connection, table: str, where: str = "", values: Sequence[object] = ()
) -> Iterator[tuple[str, Any, bytes, bool]]:
    """Give rows of one of the two tables, all if not said: key, body, and whether that is what was stored."""
    query = f"SELECT {KEYS[table]}, body, crc FROM {table} {where or f'ORDER BY {KEYS[table]}'}"  # noqa: S608  # our own names
    found = connection.execute(query, values)
    for first, second, body, crc in found:
        yield first, second, body, whole(table, first, second, body, crc)


def place_of(body: bytes) -> tuple[str, int] | None:
    """Give the epoch and the number of an entry; None where a payload is none."""
    try:
        said = json.loads(body)
        n = said["detail"]["trail"]["n"]
        return (str(said["epoch"]), n) if type(n) is int else None
    except (ValueError, LookupError, TypeError):
        return None


def packed(text: str) -> bytes:
    """Give a configuration as it is kept."""
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 6)


def unpacked(body: bytes) -> str:
    """Give the text of a configuration as it is kept."""
    return zlib.decompress(body).decode("utf-8", "surrogatepass")
