"""Opens the outbox of a data folder, whatever stands there: a sound file, a damaged one, or a disk that takes nothing.

A damaged file is set aside whole, and what can be read of it is carried over into a new one under a new epoch. Where
the disk takes nothing, an outbox in memory stands in. Only what is another's is refused, untouched.
"""

from __future__ import annotations

import errno
import json
import logging
import random
import sqlite3
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from parkgate.config.language import say
from parkgate.gateway.storing import space
from parkgate.gateway.storing.database import (
    Connect,
    Database,
    OutboxFault,
    Record,
    Series,
    connect,
    foreign,
    unusable,
)
from parkgate.gateway.storing.epoch import machine, next_epoch, note_epoch, read_epoch, same_file
from parkgate.gateway.storing.folder import Folder
from parkgate.gateway.storing.intervals import Kept
from parkgate.gateway.storing.migrations import VERSION, create, migrate, shape, statements
from parkgate.gateway.storing.salvage import Carried, carry_over
from parkgate.gateway.storing.standing import Broken, Standing
from parkgate.gateway.storing.wal import PAGE

IN_MEMORY = 64_000_000
"""Bytes of an outbox in memory; what it is kept below leaves room for what comes between two looks."""
IN_ALL = 2**45
"""Bytes that no outbox reaches."""
CHECKING = 3.0
"""Seconds that the check of a file's structure may take: a large file is believed as far as it was read by then."""
_STEPS = 20_000
_log = logging.getLogger("parkgate.outbox")
_CHUNK = 1_000

News = tuple[str, str, dict[str, object]]
"""An event that opening found out: its name, its subject and its details."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open outbox: its file and folder, its epoch, behind which row a new uplink begins, and what is to be told."""

    database: Database
    folder: Folder
    epoch: str
    since: int | None
    durable: bool
    news: list[News]


@dataclass(frozen=True, slots=True)
class Opener:
    """How an outbox is opened: its data folder, SQLite's door, chance, and the time (ms UTC) that names a bad file."""

    data: Path
    connect: Connect
    rng: random.Random
    now: Callable[[], int]

    def open(self) -> Opened:
        """Open the outbox; in memory where the disk takes nothing.

        Raises:
            OutboxFault: another agent has it, or what stands there is not ours to touch.

        """
        folder = Folder(self.data)
        try:
            folder.lock()
            _probe(folder)
            return self.on_disk(folder)
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, NotADirectoryError | FileExistsError):
                raise _no_folder(self.data, error) from error
            return self._in_memory(folder, error)
        except BaseException:
            folder.unlock()
            raise

    def on_disk(self, folder: Folder) -> Opened:
        """Open the file of a folder, or what can be carried over of it.

        Raises:
            OSError, sqlite3.Error: the disk does not take it.
            OutboxFault: as for `open`.

        """
        folder.switch()
        reason = folder.damage()
        try:
            database = None if reason else open_file(folder.outbox, self.connect, folder.committed() or 0)
        except (Broken, ValueError, TypeError, sqlite3.Error) as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise unusable(folder.outbox, error) from error
            if name == "SQLITE_FULL":
                folder.gave_up()
                raise
            database, reason = None, str(error)
        epochs: set[str] = set()
        if database is None:
            epochs = self._carry_over(folder, reason)
            database = open_file(folder.outbox, self.connect, 0)
        return self._begin(database, folder, epochs)

    def _carry_over(self, folder: Folder, reason: str) -> set[str]:
        folder.restore()
        building = folder.carry(self.now())
        connection = prepared(building, self.connect)
        try:
            # Where not everything finds room, what is waiting goes first: the rest is kept with the damaged file.
            free = space.room(Database(connection), folder.path, IN_ALL)
            carried = carry_over(folder.outbox, connection, folder.committed() or 0, waiting=folder.size() > free)
            aside = building.name.partition(".sqlite")[0] + ".sqlite"
            told: News = ("outbox-damaged", "", {
                "reason": reason, "file": aside, "records": carried.rows, "lost": carried.lost})  # fmt: skip
            news = [told, *_declared(carried, reason)]
            standing = Standing(connection)
            standing.keep_news(map(json.dumps, news))
            standing.begin("", "", carried.since)
        except BaseException:
            connection.close()
            building.unlink()
            raise
        connection.close()
        folder.switch(building)
        _log.error(say("the outbox was damaged ({reason}): it is kept as {file}, {records} records were carried over",
                       reason=reason, file=aside, records=carried.rows))  # fmt: skip
        return carried.epochs

    def _begin(self, database: Database, folder: Folder, epochs: Iterable[str]) -> Opened:
        """Go on in the file's epoch, or begin another: on another machine, behind damage, in a copy put back."""
        try:
            epoch, since = self._name(database, folder, epochs)
            # Written each time: from now on there is a WAL, and it is synced, as the marker says.
            database.standing.begin(epoch, machine(), since)
            folder.opened(database.last_id())
            news = [(name, subject, detail) for name, subject, detail in map(json.loads, database.standing.news())]
        except BaseException:
            database.close()
            folder.gave_up()
            raise
        return Opened(database, folder, epoch, since, durable=True, news=news)

    def _name(self, database: Database, folder: Folder, epochs: Iterable[str]) -> tuple[str, int | None]:
        epoch, there, since = database.standing.identity() or ("", "", None)
        known = {epoch, read_epoch(folder.counter), *epochs, *(each.epoch for each in database.series())}
        same = same_file(folder.counter, folder.outbox)
        if (epoch, there) != (read_epoch(folder.counter), machine()) or same is False or epoch != max(known):
            epoch, same = next_epoch(known, self.rng), None
        if same is None:
            note_epoch(folder.counter, epoch, folder.outbox)
        return epoch, since

    def _in_memory(self, folder: Folder, error: Exception) -> Opened:
        """Stand in for a disk that takes nothing; what waits on it, if it can be read, is sent from here."""
        connection = connect(Path(":memory:"))
        create(connection)
        connection.execute(f"PRAGMA max_page_count = {IN_MEMORY // 2 // PAGE}")
        carried = carry_over(folder.outbox, connection, 0, waiting=True, stays=True)
        database = Database(connection)
        database.limit(IN_MEMORY, IN_MEMORY)
        epoch = next_epoch({read_epoch(folder.counter), *carried.epochs}, self.rng)
        database.standing.begin(epoch, machine(), carried.since)
        _log.error(say("the disk takes nothing ({reason}): the outbox is in memory until it does", reason=error))
        news: list[News] = [("not-durable", "", {"reason": str(error), "records": carried.rows})]
        return Opened(database, folder, epoch, carried.since, durable=False, news=news)

    def close(self, opened: Opened) -> None:
        """Close an outbox. What waits in one in memory moves to the disk, if that takes things again."""
        # Whatever fails here, the next start finds what was committed.
        with suppress(OSError, sqlite3.Error, OutboxFault):
            if opened.durable:
                if opened.since is not None:  # by now every uplink of the site has its row
                    opened.database.standing.begin(opened.epoch, machine(), None)
                opened.folder.closing()
            else:
                self._move_back(opened)
        opened.database.close()
        opened.folder.unlock()

    def _move_back(self, memory: Opened) -> None:
        memory.folder.lock()
        memory.folder.probe()
        opened = self.on_disk(memory.folder)
        _append(memory.database, memory.epoch, opened.database)
        memory.folder.closing()
        opened.database.close()


def open_file(path: Path, connect: Connect, committed: int) -> Database:
    """Open an outbox file, made if absent, migrated if older; row `committed` was stored in it for certain.

    Raises:
        Broken: it is not what was stored.
        OutboxFault: it is newer than this program, or no outbox.

    """
    connection = prepared(path, connect)
    try:
        database = Database(connection)
        _check(database, committed)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return database


def prepared(path: Path, connect: Connect) -> sqlite3.Connection:
    """Open a file, as sound as it may be, for one writer that never loses a commit."""
    connection = connect(path)
    try:
        version = _version(connection, path)
        # Order matters: auto_vacuum and the page size are ignored once WAL is on or a table exists.
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if version:
            _check_structure(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # What leaves is not written over with zeros: flash is spared, and rows can leave a disk that is nearly full.
        connection.execute("PRAGMA secure_delete = OFF")
        if version < VERSION:
            migrate(connection) if version else create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Give the file's version, 0 for a new one.

    Raises:
        Broken: the version is not the one of its tables.
        OutboxFault: the file is newer than this program, or no outbox.

    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = shape(connection)
    if version > VERSION or (tables and not version):
        if tables == set(statements()):
            raise Broken(f"its version says {version}")
        raise foreign(path, version)
    return int(version)


def _check_structure(connection: sqlite3.Connection) -> None:
    """Let SQLite check the file's structure, as far as it comes within a few seconds."""
    end = time.monotonic() + CHECKING
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "") != "SQLITE_INTERRUPT":
            raise
        found = "ok"
    finally:
        connection.set_progress_handler(None, 0)
    if found != "ok":
        raise Broken(found.splitlines()[-1])


def _check(database: Database, committed: int) -> None:
    """Hold the file to its seals, and to what was committed for certain."""
    database.standing.identity()
    database.series()
    if not database.descriptions.whole():
        raise Broken("meta")
    database.alarms.all()
    database.trail.check()
    if database.last_id() < committed:
        raise Broken(f"it ends before row {committed}, which was committed")


def _declared(carried: Carried, reason: str) -> Iterable[News]:
    """Give the event that declares each hole: its numbers never come."""
    for hole in carried.holes:
        series = hole.series
        yield "damaged", series.instrument, {
            "kind": series.kind, "epoch": series.epoch, "from": hole.first, "to": hole.last,
            "count": hole.last - hole.first + 1, "reason": reason, "uplinks": list(hole.uplinks)}  # fmt: skip


def _append(memory: Database, epoch: str, disk: Database) -> None:
    """Append what waits of an epoch in memory to the file; what older epochs have stands there already."""
    disk.descriptions.add(memory.descriptions.needed(0))
    uplinks = memory.uplinks()
    series = {each.id: each for each in memory.series()}
    new = max((each.id for each in disk.series()), default=0)
    moved = {each.id: Series(new + each.id, epoch, each.kind, each.instrument, each.seq, each.low)
             for each in series.values() if each.epoch == epoch}  # fmt: skip
    after, last, came, told = 0, disk.last_id(), list[int](), list[tuple[str, bytes]]()
    while found := memory.read(after, memory.last_id(), _CHUNK, series):
        after = found[-1].id
        waiting: list[Record] = []
        for each in found:
            if isinstance(each, Record) and each.series.kind == "alarm" and each.series.id in moved:
                told.append((each.series.instrument, each.body))
            settled = uplinks and all(uplink.progress.covers(each.id) for uplink in uplinks)
            if isinstance(each, Record) and each.series.id in moved and not settled:
                came.append(each.id)
                waiting.append(Record(last + len(came), moved[each.series.id], each.seq, each.ts, each.body))
        disk.commit(waiting, ())
    disk.intervals.add(_renumbered(each, last, came) for each in memory.intervals.all())
    disk.alarms.add([*told, *((name, body) for name, _, _, body in memory.alarms.all())])
    disk.trail.add(memory.trail.all(), memory.trail.configurations())


def _renumbered(kept: Kept, last: int, came: Sequence[int]) -> Kept:
    """Give an interval with the rows that it names as the file has them: those that `came` stand behind row `last`."""
    upto, since = kept.upto, kept.since
    return kept._replace(
        upto=upto if upto <= last else last + bisect_right(came, upto),
        since=since if since <= last else last + 1 + bisect_left(came, since),
    )


def _probe(folder: Folder) -> None:
    """Try the disk. A full one may still take what is removed."""
    try:
        folder.probe()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _no_folder(data: Path, error: OSError) -> OutboxFault:
    return OutboxFault(
        say("the data folder cannot be used: {error}", error=error.strerror or error),
        where=str(data),
        hint=say("Give [gateway] data a folder that this user may write to."),
    )
