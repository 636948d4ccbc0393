"""The descriptions that stored rows refer to, and which instruments an uplink was told to forget."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from parkgate.gateway.storing.transaction import Transaction


class Descriptions:
    """The tables `meta` and `cleared` of an outbox file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def keep(self, metas: Sequence[tuple[str, str, bytes]], since: int) -> None:
        """Keep the (instrument, rev, payload) of every instrument of the site, in use behind the row `since`."""
        with Transaction(self._connection):
            execute = self._connection.executemany
            execute("INSERT OR IGNORE INTO meta (instrument, rev, body, until) VALUES (?, ?, ?, NULL)", metas)
            # What is in use no more was in use until now; what comes back is in use again.
            self._connection.execute("UPDATE meta SET until = ? WHERE until IS NULL", (since,))
            execute("UPDATE meta SET until = NULL WHERE instrument = ? AND rev = ?", [each[:2] for each in metas])
            execute("DELETE FROM cleared WHERE instrument = ?", [each[:1] for each in metas])

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
