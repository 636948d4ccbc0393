"""Keeps the outbox within what the site allows: removes in batches what `retention` chooses, and declares what expires.

A removal and the event that declares it are one transaction: whatever happens, nothing is gone undeclared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain

from parkgate.config.site import Outbox as Limits
from parkgate.gateway.clock import Clock
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.storing.database import Database, Record, Row
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.reader import LATELY, Reader
from parkgate.gateway.storing.retention import (
    DECLARING,
    Declared,
    Rank,
    Span,
    Stored,
    above,
    merged,
    others,
    outdated,
    rank_of,
    rows_over,
    runs,
    settled_by_all,
    to_remove,
)

PIECE = 1_000
"""Rows looked at in one go: the loop and the outbox's thread are busy for a few milliseconds."""
PERIOD = 5.0
"""Seconds between two looks at the budget; while there is more to remove, the next pass follows at once."""
LONGEST_PASS = 120.0
"""Seconds that one pass may take on a slow disk."""
AGEING = 30.0
"""Seconds between two looks at the ages."""
PAGES = 512
"""Pages given back to the file system after a pass."""
_HOUR, _TODAY = 65 * 60_000, 25 * 3_600_000
"""Milliseconds: the running hour is made of parts that began within the first, the running day of hours within both."""
_DAY = 86_400.0
Tell = Callable[..., int]
"""Store an event: `tell(name, subject, **detail)`; gives the row that it will be."""


class Keeper:
    """Removes what is old or too much from an outbox that `readers` forward.

    `safety` names the instruments whose undelivered snapshots go last. `trusted` (ms UTC) is the time by which ages are
    judged: a wrong clock must not empty the outbox.
    """

    def __init__(
        self, outbox: Outbox, limits: Limits, readers: Sequence[Reader], clock: Clock, tell: Tell, *,
        trusted: Callable[[], int], safety: Collection[str], heart: Heart,
    ) -> None:  # fmt: skip
        self._outbox = outbox
        self._limits = limits
        self._readers = readers
        self._clock = clock
        self._tell = tell
        self._trusted = trusted
        self._safety = safety
        self._heart = heart
        self._old_until = 0
        self._swept = clock.monotonic()
        self._ordinary_from = 0
        self._away: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look once a period; for ever."""
        aged = float("-inf")
        while True:
            self._heart.expect(PERIOD + LONGEST_PASS)
            while await self.make_room():
                await self._give_back()
            if self._clock.monotonic() - aged >= AGEING:
                aged = self._clock.monotonic()
                while await self.remove_old():
                    await self._give_back()
            await self._clock.sleep(PERIOD)

    async def _give_back(self) -> None:
        """Give free pages back to the disk; where a full one has no room to log their moving, records fill them."""
        self._heart.expect(PERIOD + LONGEST_PASS)
        await self._outbox.write(lambda database: database.give_back(PAGES))

    async def remove_old(self) -> bool:
        """Remove one batch of rows that are past their time; tell whether there may be more.

        An uplink that was not reached for long holds nothing back beyond that time: what it lacks is declared.
        """
        if self._clock.monotonic() - self._swept > _DAY:
            self._swept, self._old_until = self._clock.monotonic(), 0
        waiting = above(self._had(self._living()), self._old_until)
        oldest = self._free(await self._rows(waiting, 1, None))
        if not (oldest and (outdated(oldest, self._trusted(), self._kept) or oldest[0].kind != "data")):
            return False  # what follows is younger still
        found = await self._read(waiting, PIECE)
        gone = outdated(found, self._trusted(), self._kept)
        done = await self._remove(gone, "keep")
        # What is kept longer (events) stays behind at the front: the next pass begins where this one found young rows.
        young = {row.id for row in found if row.kind == "data"}.difference(row.id for row in gone)
        self._old_until = min(young) - 1 if young else found[-1].id if found else self._old_until
        return done or (not young and len(found) == PIECE)  # only what is kept longer: there may be old ones behind it

    async def make_room(self) -> bool:
        """Remove one batch of rows if the file is over its budget; tell whether there may be more."""
        allowed = await self._outbox.room(self._limits.max_size)
        used = await self._outbox.ask(Database.size)
        newest = self._outbox.newest
        oldest = await self._rows([(1, newest)], 1, None)
        over = rows_over(used, allowed, newest - oldest[0][0] + 1 if oldest else 0)
        if not over:
            return False
        chosen = to_remove(await self._candidates(over), over)
        if any(row.lacking for row in chosen) and await self._intervals_go():
            return True
        return await self._remove(chosen, "disk-budget")

    async def _intervals_go(self) -> bool:
        """Forget the intervals that only late values might correct: they go before records; tell if there were any."""
        now, gone = self._trusted(), list[bool]()

        def forget(database: Database) -> None:
            gone.append(database.intervals.forget(now - _HOUR, parts=True, most=PIECE))
            gone.append(database.intervals.forget(now - _TODAY, most=PIECE))

        await self._outbox.write(forget)
        return any(gone)

    async def _candidates(self, count: int) -> list[Stored]:
        """Give at least `count` rows that may go, if there are so many, of the lowest ranks first."""
        living = self._living()
        delivered = self._had(living)
        found = await self._read(self._had(self._readers), count)
        if len(found) < count and len(living) < len(self._readers):
            found = await self._read(delivered, count)
        if len(found) < count:
            waiting = others(delivered, self._outbox.newest)
            found += await self._ordinary(waiting, count - len(found))
            if len(found) < count:
                found += await self._read(waiting, count - len(found), self._series(Rank.SAFETY))
        return found

    async def _ordinary(self, waiting: Sequence[Span], count: int) -> list[Stored]:
        """Give undelivered rows of ordinary instruments; it does not look again at what stays behind of others."""
        series, ahead = self._series(Rank.ORDINARY), above(waiting, self._ordinary_from)
        first = await self._rows(ahead, 1, series)
        self._ordinary_from = first[0][0] - 1 if first else self._outbox.newest
        return await self._read(above(ahead, self._ordinary_from), count, series)

    async def _read(self, spans: Sequence[Span], count: int, series: Sequence[int] | None = None) -> list[Stored]:
        """Give the oldest `count` rows of these ranges (and series) but for those that are with a session's lanes."""
        found: list[Stored] = []
        rest = list(spans)
        while rest and len(found) < count:
            rows = await self._rows(rest, PIECE, series)
            found += self._free(rows)
            rest = above(rest, rows[-1][0]) if len(rows) == PIECE else []
        return found[:count]

    async def _rows(self, spans: Sequence[Span], count: int, series: Sequence[int] | None) -> list[Row]:
        return await self._outbox.ask(lambda database: database.rows(spans, count, series))

    def _free(self, rows: Sequence[Row]) -> list[Stored]:
        """Give rows as retention sees them, without those that are with the lanes of a session."""
        free = (row for row in rows if not any(each.handed_out(row[0]) for each in self._readers))
        return [self._stored(*row) for row in free]

    def _stored(self, row: int, series: int, seq: int, ts: int) -> Stored:
        about = self._outbox.by_id[series]
        lacking = tuple(each.state.name for each in self._readers if not each.state.progress.covers(row))
        rank = rank_of(about.kind, safety=about.instrument in self._safety, lacking=lacking, away=self._away)
        return Stored(row, series, seq, ts, about.kind, rank, lacking)

    def _series(self, rank: Rank) -> list[int]:
        """Give the series whose undelivered records are of a rank."""
        kinds = ((each.id, each.kind, each.instrument in self._safety) for each in self._outbox.by_id.values())
        return [each for each, kind, safety in kinds if rank_of(kind, safety=safety, lacking=("",), away=()) is rank]

    def _living(self) -> Sequence[Reader]:
        """Give the uplinks that were reached lately; all of them if none was.

        If the only way out is down, what waits for it is what the outbox is for.
        """
        now = self._trusted()
        living = [each for each in self._readers if now - each.state.reached <= LATELY] or self._readers
        away = frozenset(each.state.name for each in self._readers if each not in living)
        if away != self._away:
            self._away, self._ordinary_from = away, 0
        return living

    def _had(self, readers: Sequence[Reader]) -> list[Span]:
        """Give the rows that all of these uplinks have had."""
        return settled_by_all([each.state.progress for each in readers], self._outbox.newest)

    async def _remove(self, gone: Sequence[Stored], reason: str) -> bool:
        """Remove rows and declare in the same commit what expires by it; tell whether the disk took it."""
        if not gone:
            return False
        said = await self._declared_by(gone)
        again = merged(said.values())
        declared = [*self._expired(gone, reason), *again]
        if len(again) >= len(said) or (said and len(declared) >= len(gone)):  # no room is won by saying it again
            gone = [row for row in gone if row.id not in said]
            declared = [*self._expired(gone, reason)]
        if not gone:
            return False
        rows = [row.id for row in gone]
        now = self._trusted()
        lacking = set(chain.from_iterable(row.lacking for row in gone))
        for reader in self._readers:
            if reader.state.name in lacking:
                reader.expire(((row, row) for row in rows), now)
        for name, subject, detail in declared:
            row = self._tell(name, subject, **detail)
            for reader in self._readers:
                reader.bar(row)
        await self._outbox.commit(rows, declared=[(name, subject, dict(detail)) for name, subject, detail in declared])
        return not self._outbox.fault

    def _expired(self, gone: Sequence[Stored], reason: str) -> Iterator[Declared]:
        """Give the events that declare what these rows are to the uplinks that lack them."""
        for run in runs(gone):
            series = self._outbox.by_id[run.series]
            yield "expired", series.instrument, {
                "kind": series.kind, "epoch": series.epoch, "from": run.first, "to": run.last, "count": run.count,
                "reason": reason, "uplinks": list(run.lacking)}  # fmt: skip

    async def _declared_by(self, gone: Sequence[Stored]) -> dict[int, Declared]:
        """Give what events among these rows declare to uplinks that never got them, by row: it must be said again."""
        found: dict[int, Declared] = {}
        for row in gone:
            if row.kind == "event" and row.lacking:
                for record in await self._outbox.read(row.id - 1, row.id, 1):
                    event = json.loads(record.body) if isinstance(record, Record) else {}
                    if event.get("event") in DECLARING:
                        found[row.id] = event["event"], event["subject"], event["detail"]
        return found

    def _kept(self, kind: str) -> int:
        keep = self._limits.keep
        return keep.data if kind == "data" else keep.stats if kind.startswith("stats/") else keep.events
