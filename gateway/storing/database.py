"""The outbox file: SQLite in WAL mode with synchronous=FULL, one writer, one transaction a commit.

Everything here is synchronous and runs on the outbox's own thread. FULL, not NORMAL: in WAL mode NORMAL does not sync
at a commit, and a power cut takes the last commits with it.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from parkgate.config.language import say
from parkgate.drivers.faults import Unusable
from parkgate.gateway.storing.descriptions import Descriptions
from parkgate.gateway.storing.intervals import Intervals, Kept
from parkgate.gateway.storing.marks import Marks
from parkgate.gateway.storing.migrations import VERSION
from parkgate.gateway.storing.progress import Progress
from parkgate.gateway.storing.seal import checksum, sealed, unpacked
from parkgate.gateway.storing.standing import Standing, whole_rows
from parkgate.gateway.storing.standing_alarms import StandingAlarms
from parkgate.gateway.storing.trail import Trail
from parkgate.gateway.storing.transaction import Transaction
from parkgate.gateway.storing.wal import PAGE

LOG = 4_096_000
"""Bytes of the WAL after which it is merged into the file."""
Row = tuple[int, int, int, int]
"""A stored row's id, series, seq and ts."""
SeriesRow = tuple[int, str, str, str, int, int]
PackedRow = tuple[int, int, int, int, int, bytes]
"""A stored row's id, series, seq, ts, CRC and packed payload."""
UplinkRow = tuple[str, int, int, str, int, int, int]
Connect = Callable[[Path], sqlite3.Connection]
"""Opens the file: tests hand in a connection over a file system that records, or fails."""

_KEEP_SERIES = """
    INSERT INTO series VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, low = excluded.low, crc = excluded.crc
"""
_KEEP_UPLINK = """
    INSERT INTO uplink VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET position = excluded.position, ahead = excluded.ahead,
        connections = excluded.connections, reached = excluded.reached, expired = excluded.expired,
        crc = excluded.crc
"""
_ROWS = "SELECT id, series, seq, ts, crc, body FROM record"
LEVEL = 1
"""zlib level: 4.6 times less flash wear than the plain payload; higher levels cost more and gain little."""


class OutboxFault(Unusable):
    """The outbox file cannot be used as it is."""


class Broken(Exception):  # it names what is
    """A table, or the whole file, does not say what was stored."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a file as SQLite does by itself; transactions are begun by us."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)


@dataclass(slots=True)
class Series:
    """A numbered series: the records of one kind and instrument within one epoch."""

    id: int
    epoch: str
    kind: str
    instrument: str
    seq: int
    low: int

    def row(self) -> SeriesRow:
        """Give the counters as they stand now."""
        return self.id, self.epoch, self.kind, self.instrument, self.seq, self.low


@dataclass(frozen=True, slots=True)
class Record:
    """A stored record: its row, its place in its series, when it was measured (ms UTC) and its payload.

    `beside`: intervals of the statistics that are kept in the same transaction.
    `late`: it is from before, and sent as backfill; known only until it is read again, when it is that anyway. `mark`
    is kept for its series from its commit on, if there is one.
    """

    id: int
    series: Series
    seq: int
    ts: int
    body: bytes
    beside: tuple[Kept, ...] = ()
    late: bool = False
    mark: bytes = b""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A row that is not what was stored: it is never sent. Its `series` and `seq` are what it says itself."""

    id: int
    series: Series | None
    seq: int


@dataclass(slots=True)
class UplinkState:
    """What one uplink has had, and how often it was connected."""

    name: str
    born: int
    progress: Progress
    connections: int
    reached: int
    expired: int = 0

    def row(self) -> UplinkRow:
        """Give what the uplink has had as it stands now."""
        progress = self.progress
        counts = self.connections, self.reached, self.expired
        return self.name, self.born, progress.position, progress.ahead, *counts


class Database:
    """One open outbox file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.largest = LOG
        """Bytes that a transaction may have: one that fills a small disk with its log could never be merged."""
        self._connection = connection
        self.descriptions = Descriptions(connection)
        self.standing = Standing(connection)
        self.alarms = StandingAlarms(connection)
        self.intervals = Intervals(connection)
        self.trail = Trail(connection)
        self.marks = Marks(connection)

    def close(self) -> None:
        """Close the file; the WAL is merged into it."""
        self._connection.close()

    def last_id(self) -> int:
        """Give the id of the newest row ever stored, 0 for none."""
        (newest,) = self._connection.execute("SELECT coalesce(max(id), 0) FROM record").fetchone()
        # Settled rows may have left already, and an id is never used again.
        return max([int(newest), *(each.progress.highest for each in self.uplinks())])

    def series(self) -> list[Series]:
        """Give all series of the file, those of past epochs too."""
        return [Series(*row) for row in whole_rows(self._connection, "series", "id, epoch, kind, instrument, seq, low")]

    def uplinks(self) -> list[UplinkState]:
        """Give what every uplink that was ever configured has had."""
        rows = whole_rows(self._connection, "uplink", "name, born, position, ahead, connections, reached, expired")
        return [UplinkState(row[0], row[1], Progress.parse(row[2], row[3]), *row[4:]) for row in rows]

    def commit(
        self,
        records: Sequence[Record],
        uplinks: Sequence[UplinkRow],
        removed: Sequence[int] = (),
        news: Sequence[str] = (),
    ) -> None:
        """Store records, their series' counters and what the uplinks have had, remove rows: one transaction.

        Rows leave first, so that in a full file others find room; `news` are events that are kept until they are told.
        """
        rows = [_packed(each) for each in records]
        counters = {each.series.id: replace(each.series, seq=each.seq) for each in records}
        alarms = [each for each in records if each.series.kind == "alarm"]
        marks = {each.series.id: each.mark for each in records if each.mark}
        with Transaction(self._connection):
            many = self._connection.executemany
            many("DELETE FROM record WHERE id = ?", [(row,) for row in removed])
            many("DELETE FROM urgent WHERE id = ?", [(row,) for row in removed])
            many(_KEEP_SERIES, [sealed("series", *each.row()) for each in counters.values()])
            many("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)", rows)
            many("INSERT INTO urgent VALUES (?)", [(each.id,) for each in alarms])
            self.alarms.note((each.series.instrument, each.body) for each in alarms)
            self.intervals.keep(row for each in records for row in each.beside)
            self.trail.note(each.body for each in records if each.series.kind == "event")
            many(_KEEP_UPLINK, [sealed("uplink", *row) for row in uplinks])
            many("INSERT INTO news VALUES (?)", [(event,) for event in news])
            self.marks.keep(marks)

    def read(self, after: int, last: int, limit: int, series: Mapping[int, Series]) -> list[Record | Damaged]:
        """Give up to `limit` rows after row `after`, none behind `last`; one that is not as stored is `Damaged`."""
        query = f"{_ROWS} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
        found: list[Record | Damaged] = []
        end = last
        while (left := limit - len(found)) and after < last:
            try:
                rows = self._connection.execute(query, (after, end, left)).fetchall()
            except sqlite3.DatabaseError:
                if end - after > left:  # there may be millions of rows missing before the damaged page: look nearer
                    end = after + max(left, (end - after) // 2)
                    continue
                found += self._read_singly(range(after + 1, end + 1), series)
            else:
                found += [_checked(row, series) for row in rows]
                if len(rows) == left:
                    break
            after, end = end, last
        return found

    def _read_singly(self, rows: Iterable[int], series: Mapping[int, Series]) -> list[Record | Damaged]:
        """Give what can be read of rows on pages that are damaged."""
        found: list[Record | Damaged] = []
        for number in rows:
            try:
                found += [_checked(row, series) for row in self._connection.execute(f"{_ROWS} WHERE id = ?", (number,))]
            except sqlite3.DatabaseError:
                found.append(Damaged(number, None, 0))
        return found

    def rows(self, spans: Iterable[tuple[int, int]], limit: int, series: Sequence[int] | None = None) -> list[Row]:
        """Give up to `limit` rows of these ranges, oldest first, without their bodies; of these series, if any."""
        wanted = "" if series is None else "AND series IN (SELECT value FROM json_each(?))"
        query = f"SELECT id, series, seq, ts FROM record WHERE id BETWEEN ? AND ? {wanted} ORDER BY id LIMIT ?"  # noqa: S608
        listed = () if series is None else (json.dumps(series),)
        found: list[Row] = []
        for span in spans:
            if len(found) == limit:
                break
            found += self._connection.execute(query, (*span, *listed, limit - len(found))).fetchall()
        return found

    def urgent(self, after: int, limit: int) -> list[int]:
        """Give up to `limit` rows of alarms after row `after`, oldest first."""
        query = "SELECT id FROM urgent WHERE id > ? ORDER BY id LIMIT ?"
        return [row for (row,) in self._connection.execute(query, (after, limit))]

    def give_back(self, pages: int) -> None:
        """Give up to so many free pages back to the file system, as many as one transaction may move."""
        # Not execute(): Python's steps the statement once and frees a single page.
        self._connection.executescript(f"PRAGMA incremental_vacuum({min(pages, max(1, self.largest // PAGE // 2))})")

    def oldest(self, after: int) -> int | None:
        """Give the time (ms UTC) of the first row behind the row `after`."""
        row = self._connection.execute("SELECT ts FROM record WHERE id > ? ORDER BY id LIMIT 1", (after,)).fetchone()
        return int(row[0]) if row else None

    def quarantine(self, uplink: str, rows: Iterable[int], reason: str) -> None:
        """Note that rows can never be sent to an uplink, and why."""
        aside = [(uplink, row, reason) for row in rows]
        with Transaction(self._connection):
            self._connection.executemany("INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?)", aside)

    def quarantined(self) -> dict[str, int]:
        """Give how many rows are quarantined, by uplink."""
        return dict(self._connection.execute("SELECT uplink, count(*) FROM quarantine GROUP BY uplink").fetchall())

    def usage(self) -> tuple[int, int]:
        """Give the bytes of the file that are in use and the rows that it holds, from the oldest to the newest."""
        ask = self._connection.execute
        (oldest,) = ask("SELECT coalesce(min(id), 0) FROM record").fetchone()
        (newest,) = ask("SELECT coalesce(max(id), -1) FROM record").fetchone()
        return self.size(), max(0, newest - oldest + 1)

    def size(self) -> int:
        """Give the bytes of the file that are in use, without its WAL and its free pages."""
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return self.allocated() - int(free) * PAGE

    def allocated(self) -> int:
        """Give the bytes of the file without its WAL."""
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        return int(pages) * PAGE

    def limit(self, most: int, log: int) -> None:
        """Let the file grow to so many bytes and no further: rows can still leave then. Its WAL is held to `log`."""
        self._connection.execute(f"PRAGMA max_page_count = {max(most // PAGE, 1)}")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {max(log // PAGE, 1)}")
        self._connection.execute(f"PRAGMA journal_size_limit = {log}")


def running(path: Path) -> OutboxFault:
    """Give the fault of an outbox that another agent has open."""
    what = say("an agent of this site is already running on this outbox")
    return OutboxFault(what, where=str(path), hint=say("Look at it with parkgate status, or stop it first."))


def unusable(path: Path, error: Exception) -> OutboxFault:
    """Give the fault of a file that SQLite, or we, cannot read or write, and what to do about just that."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return running(path)
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_READONLY", "SQLITE_FULL", "SQLITE_IOERR")):
        hint = say("Check that this user may write to the folder and that the disk is not full or read-only.")
    else:
        hint = say("To start a new outbox move the file aside; do not delete it: it is evidence.")
    return OutboxFault(say("the outbox cannot be used: {error}", error=error), where=str(path), hint=hint)


def foreign(path: Path, version: int) -> OutboxFault:
    """Give the fault of a file that is not ours to touch."""
    if version:
        what = say("the outbox was written by a newer version ({found}; known {known})", found=version, known=VERSION)
        hint = say("Install the newer Parkgate again, or give another data folder. The file is untouched.")
    else:
        what = say("this is a database, but no outbox")
        hint = say("Give [gateway] data a folder of its own. The file is untouched.")
    return OutboxFault(what, where=str(path), hint=hint)


def _packed(record: Record) -> PackedRow:
    head = (record.id, record.series.id, record.seq, record.ts)
    return *head, checksum(*head, record.body), zlib.compress(record.body, LEVEL)


def _checked(row: PackedRow, series: Mapping[int, Series]) -> Record | Damaged:
    number, kind, seq, ts, *_ = row
    body = unpacked(*row)
    if body is not None and kind in series:
        return Record(number, series[kind], seq, ts, body)
    return Damaged(number, series.get(kind), seq)
