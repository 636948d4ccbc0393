"""The intervals of the statistics as they are kept: what a restart goes on from, and what late values correct."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from parkgate.gateway.storing.seal import sealed, whole
from parkgate.gateway.storing.transaction import Transaction


class Kept(NamedTuple):
    """An interval: when it began (ms UTC), up to which row it counts, and from which row on others may wait."""

    instrument: str
    period: str
    start: int
    upto: int
    since: int
    revision: int
    body: bytes


class Place(NamedTuple):
    """Where a kept interval stands, without what it says."""

    instrument: str
    period: str
    start: int
    upto: int
    since: int


class Intervals:
    """The table `interval` of an outbox file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def keep(self, rows: Iterable[Kept]) -> None:
        """Keep intervals, in place of what they were before; within the caller's transaction."""
        many = [sealed("interval", *row) for row in rows]
        self._connection.executemany("INSERT OR REPLACE INTO interval VALUES (?, ?, ?, ?, ?, ?, ?, ?)", many)

    def add(self, rows: Iterable[Kept]) -> None:
        """Keep intervals in a transaction of their own."""
        with Transaction(self._connection):
            self.keep(rows)

    def read(self, instrument: str, period: str, first: int, end: int) -> list[Kept]:
        """Give the intervals that begin from `first` on and before `end`, oldest first; none that is not as stored."""
        query = "SELECT * FROM interval WHERE instrument = ? AND period = ? AND start >= ? AND start < ? ORDER BY start"
        rows = self._connection.execute(query, (instrument, period, first, end))
        return [Kept(*row[:-1]) for row in rows if whole("interval", *row)]

    def places(self) -> list[Place]:
        """Give where every kept interval stands."""
        rows = self._connection.execute("SELECT instrument, period, start, upto, since FROM interval")
        return [Place(*row) for row in rows]

    def all(self) -> list[Kept]:
        """Give every interval that is as it was stored."""
        rows = self._connection.execute("SELECT * FROM interval")
        return [Kept(*row[:-1]) for row in rows if whole("interval", *row)]

    def forget(self, before: int, *, parts: bool = False, most: int = -1) -> bool:
        """Forget the intervals that began before a time, at most so many, or only the parts of hours; tell if any."""
        with Transaction(self._connection):
            self._connection.execute(_FORGET.format(_PARTS if parts else ""), (before, most))
            (count,) = self._connection.execute("SELECT changes()").fetchone()
            return bool(count)


_PARTS = "AND period NOT IN ('1h', '1d')"
_FORGET = """DELETE FROM interval WHERE (instrument, period, start) IN
    (SELECT instrument, period, start FROM interval WHERE start < ? {} LIMIT ?)"""
