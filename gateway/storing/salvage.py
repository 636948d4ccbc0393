"""Reads what can be read of a damaged outbox, page by page, and carries it over into a new one.

A record comes over as it was stored: its row, series, number and bytes, if its checksum says so. Of the rows that hold
state only what is sealed is believed: a series without one is told by what its newest record says itself, and an uplink
without one is sent everything again. What is missing then is declared.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from parkgate.gateway.storing import pages, wal
from parkgate.gateway.storing.database import PackedRow, Series, UplinkState
from parkgate.gateway.storing.holes import Hole, Seen, holes, missing
from parkgate.gateway.storing.intervals import Intervals, Kept
from parkgate.gateway.storing.progress import Progress
from parkgate.gateway.storing.seal import sealed, unpacked, whole
from parkgate.gateway.storing.standing_alarms import key_of
from parkgate.gateway.storing.trail import MARK, place_of
from parkgate.gateway.storing.transaction import Transaction

_BATCH = 5_000
_ENDLESS = 0xFFFFFFFE
_NONE = (0, 0, b"")
_KINDS = {"values": "data", "event": "event", "alarm": "alarm", "streams": "ledger", "period": "stats"}
"""What only the records of a kind say."""
_PLACES = {
    "series": 7, "uplink": 8, "identity": 4, "meta": 5, "alarm": 5, "interval": 8, "trail": 4, "configuration": 4,
}  # fmt: skip
"""The columns of the sealed tables."""

Wanted = Callable[[int], bool]


@dataclass(slots=True)
class Found:
    """What a damaged outbox says of itself, believed only where it is sealed."""

    epochs: set[str] = field(default_factory=set)
    series: dict[int, Series] = field(default_factory=dict)
    uplinks: dict[str, UplinkState] = field(default_factory=dict)
    metas: dict[tuple[object, ...], tuple[object, ...]] = field(default_factory=dict)
    alarms: dict[tuple[str, str, str], tuple[tuple[str, int], bytes, bool]] = field(default_factory=dict)
    """By instrument, point and alarm: the epoch and number of its newest record, that record, and whether it stands."""
    trail: dict[tuple[object, ...], tuple[object, ...]] = field(default_factory=dict)
    configurations: dict[tuple[object, ...], tuple[object, ...]] = field(default_factory=dict)
    aside: set[tuple[object, ...]] = field(default_factory=set)
    intervals: dict[tuple[object, ...], Kept] = field(default_factory=dict)
    newest: dict[int, tuple[int, int, bytes]] = field(default_factory=dict)
    """By series: row, seq and payload of the newest record that was read."""

    def settled(self, row: int) -> bool:
        """Tell whether every uplink that is known has had a row."""
        return bool(self.uplinks) and all(each.progress.covers(row) for each in self.uplinks.values())

    def take(self, row: pages.Row) -> None:
        """Take a row that holds state, or leave it."""
        number, *columns = row
        if len(columns) == 3 and list(map(type, columns)) == [str, int, str]:  # noqa: PLR2004  # uplink, row, reason
            self.aside.add(tuple(columns))
        if isinstance(number, int) and columns and columns[0] is None:
            columns[0] = number
        for table, places in _PLACES.items():
            if len(columns) == places and whole(table, *columns):
                getattr(self, f"_{table}")(*columns[:-1])

    def _series(self, *columns: object) -> None:
        new = Series(*columns)  # type: ignore[arg-type]  # it is sealed: what we wrote
        old = self.series.get(new.id, new)
        new.seq, new.low = max(new.seq, old.seq), max(new.low, old.low)
        self.series[new.id] = new
        self.epochs.add(new.epoch)

    def _uplink(self, name: str, born: int, position: int, ahead: str, *counts: int) -> None:
        new = UplinkState(name, born, Progress.parse(position, ahead), *counts)
        old = self.uplinks.get(name, new)
        if new.progress.settled >= old.progress.settled:
            self.uplinks[name] = new

    def _identity(self, epoch: str, *_: object) -> None:
        self.epochs.add(epoch)

    def _interval(self, *columns: object) -> None:
        new = Kept(*columns)  # type: ignore[arg-type]  # it is sealed: what we wrote
        old = self.intervals.get(new[:3], new)
        self.intervals[new[:3]] = max(old, new, key=lambda each: (each.upto, each.revision))

    def _meta(self, *columns: object) -> None:
        key, old = columns[:2], self.metas.get(columns[:2])
        # Of several versions the one that is needed longest: sending a description once more does no harm.
        if old is None or columns[3] is None:
            self.metas[key] = columns

    def _trail(self, *columns: object) -> None:
        self.trail[columns[:2]] = columns  # written once: every version of it is the same

    def _configuration(self, *columns: object) -> None:
        self.configurations[columns[:2]] = columns

    def _alarm(self, instrument: str, _point: str, _alarm: str, body: bytes) -> None:
        self.stands(instrument, body)

    def stands(self, instrument: str, body: bytes) -> None:
        """Take what a record, or a row made of one, says of an alarm, unless a newer one is known."""
        told = key_of(body)
        if told is None:
            return
        record, key = json.loads(body), (instrument, *told[:2])
        age = str(record.get("epoch")), int(record.get("seq", 0))
        if age >= self.alarms.get(key, (("", 0), b"", False))[0]:
            self.alarms[key] = age, body, told[2]


class Damaged:
    """A damaged outbox, read only."""

    def __init__(self, path: Path) -> None:
        self._log: list[tuple[int, bytes]] = []
        with suppress(OSError):
            self._log = wal.pages(Path(f"{path}-wal").read_bytes())
        self._newest = dict(self._log)
        self._file: BinaryIO | None = None
        self._count = 0
        with suppress(OSError):
            self._file = path.open("rb")
            self._count = path.stat().st_size // wal.PAGE

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def rows(self) -> Iterator[pages.Row]:
        """Give every row of every version of every page; what was removed may be among them."""
        for number in range(1, self._count + 1):
            yield from pages.rows(self._read(number), self._fetch)
        for _, content in self._log:
            yield from pages.rows(content, self._fetch)

    def _fetch(self, number: int) -> bytes:
        return self._newest[number] if number in self._newest else self._read(number)

    def _read(self, number: int) -> bytes:
        """Give a page of the file; nothing where there is none, or a bad block: the others may be whole."""
        if self._file is None or number < 1:
            return b""
        try:
            self._file.seek((number - 1) * wal.PAGE)
            return self._file.read(wal.PAGE)
        except OSError:
            return b""

    def state(self) -> Found:
        """Give what it says of itself."""
        found = Found()
        for row in self.rows():
            found.take(row)
        return found

    def records(self, found: Found, wanted: Wanted) -> Iterator[PackedRow]:
        """Give every record that is whole and wanted, once or more often; take what else is there into `found`."""
        for row in self.rows():
            match row:
                case (
                    int() as number,
                    None,
                    int() as series,
                    int() as seq,
                    int() as ts,
                    int() as crc,
                    bytes() as packed,
                ):
                    if not wanted(number):
                        continue
                    body = unpacked(number, series, seq, ts, crc, packed)
                    if body is not None:
                        if number > found.newest.get(series, _NONE)[0]:
                            found.newest[series] = number, seq, body
                        if MARK in body and (place := place_of(body)) is not None:
                            found.trail.setdefault(place, (*place, body))
                        yield number, series, seq, ts, crc, packed
                case _:
                    found.take(row)


@dataclass(frozen=True, slots=True)
class Carried:
    """What came over: how many records, which epochs are known, and behind which row they begin.

    `holes` are the numbers that are lost; `lost` counts the records of which nothing says that they were delivered.
    """

    rows: int
    epochs: set[str]
    since: int
    holes: list[Hole]
    lost: int


def carry_over(path: Path, into: sqlite3.Connection, committed: int, *, waiting: bool, stays: bool = False) -> Carried:
    """Carry what can be read of the outbox `path` over into an empty one; it itself is not touched.

    It had a row `committed`, if that is known. With `waiting` only what some uplink has not had comes over. Where the
    outbox `stays` in use, what finds no room is not lost.
    """
    with closing(Damaged(path)) as damaged:
        found = damaged.state() if waiting else Found()
        _write_records(damaged, found, into, lambda row: not (waiting and found.settled(row)))
        # Whatever there is room for: what holds state must come over.
        into.execute(f"PRAGMA max_page_count = {_ENDLESS}")
    _name_series(found)
    progress = {each.name: each.progress for each in found.uplinks.values()}
    gaps = missing((row for row, _, _ in _seen(into)), progress.values(), committed)
    lost = holes(_seen(into), found.series, progress, gaps)
    (rows,) = into.execute("SELECT count(*) FROM record").fetchone()
    begin = gaps[0][1] if rows and gaps and gaps[0][0] == 1 else 0
    counts = [sum(last - first + 1 for first, last in gaps if first > begin)] if not found.uplinks else []
    for uplink in found.uplinks.values():
        before = uplink.progress.settled
        for first, last in gaps:
            uplink.progress.settle(first, last)
        count = uplink.progress.settled - before
        counts.append(count)
        # What still stands on the disk did not expire: for this outbox it was there before the uplink was.
        uplink.born += count if stays else 0
        uplink.expired += 0 if stays else count
    _write_state(found, into)
    return Carried(rows, found.epochs, begin, [] if stays else lost, max(counts))


def _write_records(damaged: Damaged, found: Found, into: sqlite3.Connection, wanted: Wanted) -> None:
    batch: list[PackedRow] = []
    try:
        for row in damaged.records(found, wanted):
            batch.append(row)
            if len(batch) == _BATCH:
                _insert(into, batch)
                batch = []
        _insert(into, batch)
    except sqlite3.Error as error:
        # What finds no room stays where it is: nowhere sent, but kept, and declared.
        if getattr(error, "sqlite_errorname", "") != "SQLITE_FULL":
            raise


def _insert(into: sqlite3.Connection, batch: list[PackedRow]) -> None:
    with Transaction(into):
        into.executemany("INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, ?)", batch)


def _name_series(found: Found) -> None:
    """Tell from its newest record what a series is whose own row is lost, and how far it came at least."""
    for number, (_, seq, body) in found.newest.items():
        try:
            record = json.loads(body)
            epoch, low = str(record["epoch"]), int(record["low"])
            instrument = "/".join(str(record["source"]).split("/")[2:])
            kind = next(kind for name, kind in _KINDS.items() if name in record)
            kind = f"stats/{record['period']}" if kind == "stats" else kind
        except (ValueError, LookupError, TypeError, StopIteration):
            continue
        known = found.series.setdefault(number, Series(number, epoch, kind, instrument, seq, low))
        known.seq, known.low = max(known.seq, seq), max(known.low, low)
        found.epochs.add(epoch)


def _seen(into: sqlite3.Connection) -> Iterator[Seen]:
    yield from into.execute("SELECT id, series, seq FROM record ORDER BY id")


def _write_state(found: Found, into: sqlite3.Connection) -> None:
    alarms = [each.id for each in found.series.values() if each.kind == "alarm"]
    aside = [row for row in found.aside if row[0] in found.uplinks]
    for each in found.series.values():
        if each.kind == "alarm":
            for (packed,) in into.execute("SELECT body FROM record WHERE series = ?", (each.id,)):
                found.stands(each.instrument, zlib.decompress(packed))
    standing = [sealed("alarm", *key, body) for key, (_, body, stands) in found.alarms.items() if stands]
    with Transaction(into):
        many = into.executemany
        many("INSERT OR IGNORE INTO series VALUES (?, ?, ?, ?, ?, ?, ?)",
             [sealed("series", *each.row()) for each in found.series.values()])  # fmt: skip
        many("INSERT INTO uplink VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
             [sealed("uplink", *each.row()) for each in found.uplinks.values()])  # fmt: skip
        many("INSERT INTO meta VALUES (?, ?, ?, ?, ?)", [sealed("meta", *each) for each in found.metas.values()])
        many("INSERT INTO alarm VALUES (?, ?, ?, ?, ?)", standing)
        Intervals(into).keep(found.intervals.values())
        many("INSERT INTO trail VALUES (?, ?, ?, ?)", [sealed("trail", *each) for each in found.trail.values()])
        many("INSERT INTO configuration VALUES (?, ?, ?, ?)",
             [sealed("configuration", *each) for each in found.configurations.values()])  # fmt: skip
        many("INSERT INTO quarantine VALUES (?, ?, ?)", aside)
        many("INSERT INTO urgent SELECT id FROM record WHERE series = ?", [(number,) for number in alarms])
