"""The outbox: the only joint between collecting and forwarding.

What holds here:

- a record is numbered, encoded and queued in one step; `seq` has no holes, whatever happens in between;
- nothing is handed on before its commit; one transaction and one sync a window, at once when urgent;
- a record that could not be committed stays queued and is tried again; past `MAX_QUEUED` it is rejected and counted
  before it is numbered: collected = stored + rejected + queued;
- what does not fit is stored in part, as far as it fits, after what has to leave has left;
- what an uplink has had is recorded in a later commit than its PUBACK: a power cut repeats, it never loses;
- an I/O error of the disk ends the process: after a failed fsync the kernel has forgotten the pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from parkgate.config.language import say
from parkgate.gateway.clock import Clock
from parkgate.gateway.messages.encode import Encode
from parkgate.gateway.storing import space
from parkgate.gateway.storing.database import (
    Connect,
    Damaged,
    Database,
    OutboxFault,
    Record,
    Series,
    UplinkState,
    connect,
)
from parkgate.gateway.storing.folder import Folder
from parkgate.gateway.storing.intervals import Kept
from parkgate.gateway.storing.opening import IN_MEMORY, News, Opened, Opener
from parkgate.gateway.storing.pace import until_commit
from parkgate.gateway.storing.progress import Progress
from parkgate.gateway.storing.refusals import Refusals, Tell

MAX_QUEUED = 32_000_000
"""Bytes of encoded records that wait in memory while the disk takes none."""
NOTE_EVERY = 5.0
"""Seconds between two writings of what the uplinks have had, while records are stored anyway; in the first seconds
sooner, so that an agent that is killed again and again does not send the same again and again."""
_log = logging.getLogger("parkgate.outbox")
_T = TypeVar("_T")
_ENDING = ("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_READONLY")
Follower = Callable[[Sequence[Record]], None]


def own_thread() -> Executor:
    """Give the one thread that an outbox file is used on."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")


@dataclass(frozen=True, slots=True)
class Footing:
    """What an outbox stands on: how its file is opened, and the thread it is used on. Tests hand in their own."""

    connect: Connect = connect
    thread: Callable[[], Executor] = own_thread


REAL = Footing()


class Outbox:
    """An open outbox. `store` is for the collectors; readers (one an uplink) follow what was committed."""

    def __init__(self, opened: Opened, opener: Opener, clock: Clock, window: float, thread: Executor) -> None:
        database = opened.database
        self.epoch = opened.epoch
        self.durable = opened.durable
        self.budget = None if opened.durable else space.below(IN_MEMORY)
        self.news = opened.news
        self.tell: Tell | None = None
        self.window = window
        self.newest = database.last_id()
        self.collected = 0
        self.rejected = 0
        self.fault = ""
        self.followers: list[Follower] = []
        self.beside: list[Kept] = []
        """Intervals of the statistics that are to be kept in one transaction with the next record that is stored."""
        self.by_id = {each.id: each for each in database.series()}
        self._series = {(each.kind, each.instrument): each for each in self.by_id.values() if each.epoch == self.epoch}
        self._opened = opened
        self._opener = opener
        self._database = database
        self._clock = clock
        self._thread = thread
        self._queue: list[Record] = []
        self._queued_bytes = 0
        self._removed: list[int] = []
        self._declared: list[str] = []
        self._refusals = Refusals()
        self._most = 0
        self._told = not opened.news
        self._uplinks: dict[str, UplinkState] = {each.name: each for each in database.uplinks()}
        self._dirty: set[str] = set()
        self._next_id = self.newest + 1
        self._last_commit = self._noted = float("-inf")
        self._since = clock.monotonic()
        self._committing = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._urgent = asyncio.Event()

    @classmethod
    def open(cls, data: Path, clock: Clock, window: float, rng: random.Random, footing: Footing = REAL) -> Outbox:
        """Open the outbox in a data folder, both made if absent; in memory where the disk takes nothing.

        Raises:
            OutboxFault: another agent has it, or it is not ours to touch; it says why and what to do.

        """
        opener = Opener(data, footing.connect, rng, clock.now)
        return cls(opener.open(), opener, clock, window, footing.thread())

    @property
    def stored(self) -> int:
        """Give how many records were ever stored in this file."""
        return self.newest

    @property
    def queued(self) -> int:
        """Give how many records wait for their commit."""
        return len(self._queue)

    def series(self, kind: str, instrument: str) -> Series:
        """Give the series of a kind and instrument in this epoch; an instrument-less one is the gateway's own."""
        key = (kind, instrument)
        if key not in self._series:
            new = Series(max(self.by_id, default=0) + 1, self.epoch, kind, instrument, 0, 1)
            self._series[key] = self.by_id[new.id] = new
        return self._series[key]

    def store(
        self, series: Series, ts: int, encode: Encode, *, urgent: bool = False, late: bool = False, mark: bytes = b""
    ) -> int:
        """Queue a record for the next commit, numbered and encoded; `urgent` asks for that commit at once.

        A `late` one is sent as backfill; `mark` is kept for its series from then on.

        Gives the row that it will be, 0 where it was rejected.
        """
        if self._queued_bytes > MAX_QUEUED:
            self.collected += 1
            self.rejected += 1
            self._refusals.add(series, ts)
            return 0
        body = encode(series.seq + 1, series.low)
        self.collected += 1
        series.seq += 1
        beside: tuple[Kept, ...] = ()
        if self.beside:
            beside, self.beside = tuple(self.beside), []
        self._queue.append(Record(self._next_id, series, series.seq, ts, body, beside, late, mark))
        self._next_id += 1
        self._queued_bytes += _size(self._queue[-1])
        self._wanted.set()
        if urgent:
            self._urgent.set()
        return self._next_id - 1

    def uplink(self, name: str) -> UplinkState:
        """Give what an uplink has had; a new one begins with what is stored from now on.

        Behind damage that may have taken what it has had, it begins with everything that is there.
        """
        if name not in self._uplinks:
            begin = self.newest if self._opened.since is None else self._opened.since
            self._uplinks[name] = UplinkState(name, begin, Progress(begin), 0, 0)
            self._dirty.add(name)
        return self._uplinks[name]

    def note(self, state: UplinkState) -> None:
        """Note that what an uplink has had changed: the next commit records it."""
        self._dirty.add(state.name)
        self._wanted.set()

    async def run(self) -> None:
        """Commit once a window while there is something to commit; for ever."""
        while True:
            await self._wanted.wait()
            paused = self._clock.monotonic() - self._last_commit
            wait = until_commit(self.window, self._clock.now() / 1000, paused, queued=bool(self._queue))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._urgent.wait()
            await self.commit()

    async def commit(
        self, removed: Sequence[int] = (), *, progress: bool = False, declared: Sequence[News] = ()
    ) -> None:
        """Store everything that is queued and hand it to the followers; remove rows in the same transaction.

        `declared` are the queued events that declare what is removed: no power cut comes between the two.

        What the uplinks have had is written now and then, and when `progress` asks for it: a power cut in between only
        repeats a few records.

        What a full disk refuses is kept, rows to remove too, for the next commit.

        Raises:
            OutboxFault: the disk failed in a way after which nothing it says can be believed.

        """
        async with self._committing:
            self._wanted.clear()
            self._urgent.clear()
            self._removed += removed
            self._declared += map(json.dumps, declared)
            records, self._queue = self._queue, []
            gone, self._removed = self._removed, []
            news, self._declared = self._declared, []
            now = self._clock.monotonic()
            due = now - self._noted >= min(NOTE_EVERY, (now - self._since) / 4)
            if not (progress or gone or not records or due):
                dirty = set()
            else:
                dirty, self._dirty, self._noted = self._dirty, set(), now
            self._last_commit = now
            if not (records or dirty or gone):
                return
            try:
                count = await self._on_thread(self._storing(records, dirty, gone, news))
            except sqlite3.Error as error:
                self._queue = records + self._queue
                self._removed = gone + self._removed
                self._declared = news + self._declared
                self._dirty |= dirty
                believe(error, self._opened.folder)
                self._full(error)
                return
            self._queue = records[count:] + self._queue
            if count < len(records):  # what did not fit was stored without what the uplinks have had
                self._dirty |= dirty
            self._committed(records[:count], left=len(records) - count)

    def _storing(self, records: list[Record], dirty: set[str], gone: list[int], news: list[str]) -> Callable[[], int]:
        """Give the work that stores what fits, and tells how many records that are."""
        uplinks, untold = [self._uplinks[name].row() for name in dirty], not self._told
        database, folder = self._database, self._opened.folder
        most = self._most if self.fault and self.durable else 0

        def stored() -> int:
            if most:  # what the file was held to while the disk was full may be less than there is room for now
                space.room(database, folder.path, most)
            count = space.stored(database, records, uplinks, gone, news)
            if count:
                folder.mark(records[count - 1].id)
            if untold and count == len(records) > 0:
                database.standing.forget_news()
            return count

        return stored

    def _committed(self, records: Sequence[Record], left: int) -> None:
        if left:
            self._full(say("full: {count} records wait", count=left))
        elif self.fault:
            _log.warning(say("the outbox stores again"))
            self._refusals.declare(self.tell, self.fault)
            self.fault = ""
        if not records:
            return
        self._told = not left
        self._queued_bytes -= sum(_size(each) for each in records)
        self.newest = records[-1].id
        for follower in self.followers:
            follower(records)

    def _full(self, reason: object) -> None:
        if not self.fault:
            _log.error(say("the outbox cannot store: {error}; kept in memory and tried again", error=reason))
        self.fault = str(reason)
        self._wanted.set()

    async def read(self, after: int, last: int, limit: int) -> list[Record | Damaged]:
        """Give stored rows after row `after`, none behind `last`, oldest first."""
        return await self._on_thread(lambda: self._database.read(after, last, limit, self.by_id))

    async def ask(self, work: Callable[[Database], _T]) -> _T:
        """Do something with the file on its own thread, between two commits.

        Raises:
            OutboxFault: the disk failed in a way after which nothing it says can be believed.

        """
        try:
            return await self._on_thread(lambda: work(self._database))
        except sqlite3.Error as error:
            believe(error, self._opened.folder)
            raise

    async def write(self, work: Callable[[Database], object]) -> bool:
        """Write what is no record; tell whether the disk had room for it: where not, it is for later.

        Raises:
            OutboxFault: the disk failed in a way after which nothing it says can be believed.

        """
        try:
            await self.ask(work)
        except sqlite3.Error as error:
            if not space.is_full(error):
                raise
            return False
        return True

    async def room(self, most: int) -> int:
        """Give the bytes that the outbox may use now, at most `most`: less where the disk, or memory, has no more."""
        if self.budget is not None:
            return min(most, self.budget)
        self._most = most
        return await self.ask(lambda database: space.room(database, self._opened.folder.path, most))

    async def writable(self) -> bool:
        """Tell whether the disk takes things (again)."""
        try:
            await self._on_thread(self._opened.folder.probe)
        except OSError:
            return False
        return True

    async def close(self) -> None:
        """Close the file; what is queued and not committed is gone. In memory, it moves to the disk if it can."""
        await self._on_thread(lambda: self._opener.close(self._opened))
        self._thread.shutdown()

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _size(record: Record) -> int:
    return len(record.body) + sum(len(each.body) for each in record.beside)


def believe(error: sqlite3.Error, folder: Folder) -> None:
    """Go on where an error says only that there is no room.

    Raises:
        OutboxFault: the disk can no longer be believed: only a new start can tell what is on it.

    """
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        folder.distrust(f"{name} {error}")
    if name.startswith(_ENDING):
        raise OutboxFault(
            say("the disk failed while storing: {error}", error=f"{name} {error}"),
            where=say("outbox"),
            hint=say("The agent ends and is started again by systemd. If this repeats, replace the storage."),
        ) from error
