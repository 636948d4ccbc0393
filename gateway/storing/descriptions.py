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
        """Keep the description of each (instrument, rev, payload) for as long as a row may be sent under it."""
        with Transaction(self._connection):
            self._connection.executemany(
                "INSERT OR IGNORE INTO meta VALUES (?, ?, ?, ?)", [(*each, since) for each in metas]
            )
            self._connection.executemany("DELETE FROM cleared WHERE instrument = ?", [each[:1] for each in metas])

    def all(self) -> list[tuple[str, str, bytes]]:
        """Give every kept (instrument, rev, payload), the oldest rev first."""
        return self._connection.execute("SELECT instrument, rev, body FROM meta ORDER BY since").fetchall()

    def cleared(self, uplink: str) -> set[str]:
        """Give the instruments whose retained topics this uplink was told to forget."""
        rows = self._connection.execute("SELECT instrument FROM cleared WHERE uplink = ?", (uplink,))
        return {instrument for (instrument,) in rows}

    def note_cleared(self, uplink: str, instruments: Iterable[str]) -> None:
        """Note that an uplink was told to forget the retained topics of instruments."""
        rows = [(uplink, instrument) for instrument in instruments]
        with Transaction(self._connection):
            self._connection.executemany("INSERT OR IGNORE INTO cleared VALUES (?, ?)", rows)
