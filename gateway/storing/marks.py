"""How far the histories of instruments were read: a mark a series, stored with the record that it is true behind.

Only instruments that keep a history have one, so that others cost no page of the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from parkgate.gateway.storing.seal import sealed, whole


class Marks:
    """The table `mark` of an outbox file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def keep(self, marks: Mapping[int, bytes]) -> None:
        """Keep marks by series, within the transaction that is under way."""
        rows = [sealed("mark", *each) for each in marks.items()]
        self._connection.executemany("INSERT OR REPLACE INTO mark VALUES (?, ?, ?)", rows)

    def all(self) -> Mapping[int, bytes]:
        """Give the marks by series; one that is not what was stored is left out: then a gap is not filled."""
        rows = self._connection.execute("SELECT series, mark, crc FROM mark")
        return {row[0]: row[1] for row in rows if whole("mark", *row)}
