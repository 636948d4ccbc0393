"""Under which epoch an outbox file goes on, and what opening it found out that nobody was told yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from parkgate.gateway.storing.seal import sealed, whole
from parkgate.gateway.storing.transaction import Transaction


class Broken(Exception):  # it names what is
    """A table, or the whole file, does not say what was stored."""


def whole_rows(connection: sqlite3.Connection, table: str, columns: str) -> list[Any]:
    """Give the rows of a sealed table.

    Raises:
        Broken: one of them is not what was stored.

    """
    rows = connection.execute(f"SELECT {columns}, crc FROM {table}").fetchall()  # noqa: S608  # our own names
    if not all(whole(table, *row) for row in rows):
        raise Broken(table)
    return [row[:-1] for row in rows]


class Standing:
    """The tables `identity` and `news` of an outbox file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def identity(self) -> tuple[str, str, int | None] | None:
        """Give the file's epoch and machine, and behind which row a new uplink begins; None for a new file."""
        rows = whole_rows(self._connection, "identity", "epoch, machine, since")
        return rows[0] if rows else None

    def begin(self, epoch: str, machine: str, since: int | None) -> None:
        """Note under which epoch it goes on: in a new one series number from 1 again."""
        with Transaction(self._connection):
            self._connection.execute("DELETE FROM identity")
            row = sealed("identity", epoch, machine, since)
            self._connection.execute("INSERT INTO identity VALUES (?, ?, ?, ?)", row)

    def news(self) -> list[str]:
        """Give what opening the file found out and nobody was told, each as JSON."""
        return [event for (event,) in self._connection.execute("SELECT event FROM news ORDER BY rowid")]

    def keep_news(self, news: Iterable[str]) -> None:
        """Keep what opening found out until it was told."""
        with Transaction(self._connection):
            self._connection.executemany("INSERT INTO news VALUES (?)", [(event,) for event in news])

    def forget_news(self) -> None:
        """Note that the news were told: each is a record by now."""
        with Transaction(self._connection):
            self._connection.execute("DELETE FROM news")
