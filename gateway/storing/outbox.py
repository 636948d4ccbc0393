"""The outbox: the only joint between collecting and forwarding.

What holds here:

- a record is numbered, encoded and queued in one step; `seq` has no holes, whatever happens in between;
- nothing is handed on before its commit; one transaction and one sync a window, at once when urgent;
- a record that could not be committed stays queued and is tried again; past `MAX_QUEUED` it is rejected and counted
  before it is numbered: collected = stored + rejected + queued;
- what an uplink has had is recorded in a later commit than its PUBACK: a power cut repeats, it never loses;
- an I/O error of the disk ends the process: after a failed fsync the kernel has forgotten the pages.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from parkgate.gateway.storing.database import (
    Connect,
    Damaged,
    Database,
    OutboxFault,
    Record,
    Series,
    UplinkState,
    connect,
    unusable,
)
from parkgate.gateway.storing.epoch import machine, next_epoch, read_epoch
from parkgate.gateway.storing.progress import Progress

MAX_QUEUED = 32_000_000
"""Bytes of encoded records that wait in memory while the disk takes none."""
NOTE_EVERY = 5.0
"""Seconds between two writings of what the uplinks have had, while records are stored anyway."""
LAG = 0.4
"""Seconds behind a multiple of the window that a commit waits: lines are read at multiples, answers go together."""
_QUIET = 0.1
_log = logging.getLogger("parkgate.outbox")
_T = TypeVar("_T")
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

    def __init__(self, database: Database, epoch: str, clock: Clock, window: float, thread: Executor) -> None:
        self.epoch = epoch
        self.window = window
        self.newest = database.last_id()
        self.collected = 0
        self.rejected = 0
        self.fault = ""
        self.followers: list[Follower] = []
        self.by_id = {each.id: each for each in database.series()}
        self._series = {(each.kind, each.instrument): each for each in self.by_id.values() if each.epoch == epoch}
        self._database = database
        self._clock = clock
        self._thread = thread
        self._queue: list[Record] = []
        self._queued_bytes = 0
        self._removed: list[int] = []
        self._changed: dict[int, Series] = {}
        self._uplinks: dict[str, UplinkState] = {each.name: each for each in database.uplinks()}
        self._dirty: set[str] = set()
        self._next_id = self.newest + 1
        self._last_commit = self._noted = float("-inf")
        self._committing = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._urgent = asyncio.Event()

    @classmethod
    def open(cls, data: Path, clock: Clock, window: float, rng: random.Random, footing: Footing = REAL) -> Outbox:
        """Open the outbox in a data folder, both made if absent.

        Raises:
            OutboxFault: the folder or the file cannot be used; it says why and what to do.

        """
        path = data / "outbox.sqlite"
        try:
            data.mkdir(parents=True, exist_ok=True)
            database = Database.open(path, footing.connect)
            epoch, there = database.identity() or ("", "")
            # Another machine, or a file that was put back from a copy, would use numbers again that are in use.
            if (epoch, there) != (read_epoch(data / "epoch"), machine()):
                epoch = next_epoch(data / "epoch", epoch, rng)
                database.begin_epoch(epoch, machine())
            return cls(database, epoch, clock, window, footing.thread())
        except OSError as error:
            raise OutboxFault(
                say("the data folder cannot be used: {error}", error=error.strerror or error),
                where=str(data),
                hint=say("Give [gateway] data a folder that this user may write to."),
            ) from error
        except (sqlite3.Error, ValueError) as error:
            raise unusable(path, error) from error

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

    def store(self, series: Series, ts: int, encode: Encode, *, urgent: bool = False) -> int:
        """Queue a record for the next commit, numbered and encoded; `urgent` asks for that commit at once.

        Gives the row that it will be, 0 where it was rejected.
        """
        if self._queued_bytes > MAX_QUEUED:
            self.collected += 1
            self.rejected += 1
            return 0
        body = encode(series.seq + 1, series.low)
        self.collected += 1
        series.seq += 1
        self._queue.append(Record(self._next_id, series, series.seq, ts, body))
        self._next_id += 1
        self._queued_bytes += len(body)
        self._changed[series.id] = series
        self._wanted.set()
        if urgent:
            self._urgent.set()
        return self._next_id - 1

    def uplink(self, name: str) -> UplinkState:
        """Give what an uplink has had; a new one begins with what is stored from now on."""
        if name not in self._uplinks:
            self._uplinks[name] = UplinkState(name, self.newest, Progress(self.newest), 0, 0)
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
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait()):
                    await self._urgent.wait()
            await self.commit()

    def _wait(self) -> float:
        """Give the seconds until the next commit: soon after a pause, else a fixed lag behind the next multiple."""
        if self._clock.monotonic() - self._last_commit > 2 * self.window and self._queue:
            return min(_QUIET, self.window)
        lag = min(LAG, 0.4 * self.window)
        return self.window - (self._clock.now() / 1000 - lag) % self.window

    async def commit(self, removed: Sequence[int] = (), *, progress: bool = False) -> None:
        """Store everything that is queued and hand it to the followers; remove rows in the same transaction.

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
            records, self._queue = self._queue, []
            gone, self._removed = self._removed, []
            series = [each.row() for each in self._changed.values()]
            now = self._clock.monotonic()
            if not (progress or gone or not records or now - self._noted >= NOTE_EVERY):
                dirty = set()
            else:
                dirty, self._dirty, self._noted = self._dirty, set(), now
            uplinks = [self._uplinks[name].row() for name in dirty]
            changed, self._changed = self._changed, {}
            self._last_commit = now
            if not (records or uplinks or gone):
                return
            try:
                await self._on_thread(lambda: self._database.commit(records, series, uplinks, gone))
            except sqlite3.Error as error:
                self._queue = records + self._queue
                self._removed = gone + self._removed
                self._changed = changed | self._changed
                self._dirty |= dirty
                self._failed(error)
                return
            self._committed(records)

    def _committed(self, records: Sequence[Record]) -> None:
        if self.fault:
            _log.warning(say("the outbox stores again"))
            self.fault = ""
        if not records:
            return
        self._queued_bytes -= sum(len(each.body) for each in records)
        self.newest = records[-1].id
        for follower in self.followers:
            follower(records)

    def _failed(self, error: sqlite3.Error) -> None:
        """Keep what was queued and say so once; end the process where the disk can no longer be believed."""
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise OutboxFault(
                say("the disk failed while storing: {error}", error=f"{name} {error}"),
                where=say("outbox"),
                hint=say("The agent ends and is started again by systemd. If this repeats, replace the storage."),
            ) from error
        if not self.fault:
            _log.error(say("the outbox cannot store: {error}; kept in memory and tried again", error=error))
        self.fault = str(error)
        self._wanted.set()

    async def read(self, after: int, last: int, limit: int) -> list[Record | Damaged]:
        """Give stored rows after row `after`, none behind `last`, oldest first."""
        return await self._on_thread(lambda: self._database.read(after, last, limit, self.by_id))

    async def ask(self, work: Callable[[Database], _T]) -> _T:
        """Do something with the file on its own thread, between two commits."""
        return await self._on_thread(lambda: work(self._database))

    async def close(self) -> None:
        """Close the file; what is queued and not committed is gone."""
        await self._on_thread(self._database.close)
        self._thread.shutdown()

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
