"""The alarms that stand, kept in the transaction of the records that tell of them: no power cut comes in between."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from parkgate.gateway.storing.seal import sealed
from parkgate.gateway.storing.standing import whole_rows
from parkgate.gateway.storing.transaction import Transaction

Row = tuple[str, str, str, bytes]
"""An alarm's instrument, point and name, and its newest record."""


class StandingAlarms:
    """The table `alarm` of an outbox file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self) -> list[Row]:
        """Give every alarm that stands.

        Raises:
            Broken: one of them is not what was stored.

        """
        return [(row[0], row[1], row[2], row[3]) for row in whole_rows(self._connection, "alarm", _COLUMNS)]

    def note(self, records: Iterable[tuple[str, bytes]]) -> None:
        """Note what records (instrument, payload) tell of, within the transaction that stores them."""
        for instrument, body in records:
            key = key_of(body)
            if key is None:
                continue
            point, alarm, stands = key
            if stands:
                row = sealed("alarm", instrument, point, alarm, body)
                self._connection.execute("INSERT OR REPLACE INTO alarm VALUES (?, ?, ?, ?, ?)", row)
            else:
                gone = "DELETE FROM alarm WHERE instrument = ? AND point = ? AND alarm = ?"
                self._connection.execute(gone, (instrument, point, alarm))

    def add(self, records: Iterable[tuple[str, bytes]]) -> None:
        """Note what records (instrument, payload) tell of that are stored elsewhere."""
        with Transaction(self._connection):
            self.note(records)


_COLUMNS = "instrument, point, alarm, body"


def key_of(body: bytes) -> tuple[str, str, bool] | None:
    """Give the point and the alarm that a record tells of, and whether it stands; None where it is no such record."""
    try:
        said = json.loads(body)
        return str(said["point"]), str(said["alarm"]), said["state"] == "active"
    except (ValueError, LookupError, TypeError):
        return None
