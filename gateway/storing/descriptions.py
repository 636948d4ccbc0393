"""The descriptions that stored rows refer to, and which instruments an uplink was told to forget."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from parkgate.gateway.storing.seal import sealed, whole
from parkgate.gateway.storing.transaction import Transaction


class Descriptions:
    """The tables `meta` and `cleared` of an outbox file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def keep(self, metas: Sequence[tuple[str, str, bytes]], since: int) -> None:
        """Keep the (instrument, rev, payload) of every instrument of the site, in use behind the row `since`."""
        kept = {row[:2]: row for row in self._connection.execute("SELECT instrument, rev, body, until FROM meta")}
        # What is in use no more was in use until now; what comes back is in use again.
        now = {key: (*row[:3], since if row[3] is None else row[3]) for key, row in kept.items()}
        for instrument, rev, body in metas:
            now[instrument, rev] = (*kept.get((instrument, rev), (instrument, rev, body))[:3], None)
        changed = [sealed("meta", *row) for key, row in now.items() if kept.get(key) != row]
        with Transaction(self._connection):
            execute = self._connection.executemany
            execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?, ?, ?)", changed)
            execute("DELETE FROM cleared WHERE instrument = ?", [each[:1] for each in metas])

    def add(self, metas: Sequence[tuple[str, str, bytes]]) -> None:
        """Add descriptions that rows put in from elsewhere refer to: in use until the next start says otherwise."""
        rows = [sealed("meta", *each, None) for each in metas]
        with Transaction(self._connection):
            self._connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?, ?, ?, ?)", rows)

    def whole(self) -> bool:
        """Tell whether every description is what was stored."""
        rows = self._connection.execute("SELECT instrument, rev, body, until, crc FROM meta")
        return all(whole("meta", *row) for row in rows)

    def all(self) -> list[tuple[str, str]]:
        """Give every (instrument, rev) that was ever in use."""
        return self._connection.execute("SELECT instrument, rev FROM meta").fetchall()

    def needed(self, position: int) -> list[tuple[str, str, bytes]]:
        """Give every (instrument, rev, payload) that rows behind row `position` may refer to, the oldest first."""
        query = "SELECT instrument, rev, body FROM meta WHERE until IS NULL OR until > ? ORDER BY until IS NULL, until"
        return self._connection.execute(query, (position,)).fetchall()

    def cleared(self, uplink: str) -> set[str]:
        """Give the instruments whose retained topics this uplink was told to forget."""
        rows = self._connection.execute("SELECT instrument FROM cleared WHERE uplink = ?", (uplink,))
        return {instrument for (instrument,) in rows}

    def note_cleared(self, uplink: str, instruments: Iterable[str]) -> None:
        """Note that an uplink was told to forget the retained topics of instruments."""
        rows = [(uplink, instrument) for instrument in instruments]
        with Transaction(self._connection):
            self._connection.executemany("INSERT OR IGNORE INTO cleared VALUES (?, ?)", rows)
