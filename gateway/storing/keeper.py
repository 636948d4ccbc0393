"""Keeps the outbox within what the site allows: removes in batches what `retention` chooses, and declares what expired.

A removal and the event that declares it are one transaction: whatever happens, nothing is gone undeclared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from parkgate.config.site import Outbox as Limits
from parkgate.gateway.clock import Clock
from parkgate.gateway.storing.database import Database
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.reader import Reader
from parkgate.gateway.storing.retention import BATCH, Expired, Stored, outdated, rows_over, to_remove

PERIOD = 30.0
"""Seconds between two looks; while there is more to remove, the next pass follows at once."""
PAGES = 512
"""Pages given back to the file system after a pass."""
Tell = Callable[..., int]
"""Store an event: `tell(name, subject, **detail)`; gives the row that it will be."""


class Keeper:
    """Removes what is old or too much from an outbox that `readers` forward."""

    def __init__(self, outbox: Outbox, limits: Limits, readers: Sequence[Reader], clock: Clock, tell: Tell) -> None:
        self._outbox = outbox
        self._limits = limits
        self._readers = readers
        self._clock = clock
        self._tell = tell
        self._old_until = 0

    async def run(self) -> None:
        """Look once a period; for ever."""
        while True:
            while not self._outbox.fault and (await self.make_room() or await self.remove_old()):
                await self._outbox.ask(lambda database: database.give_back(PAGES))
            await self._clock.sleep(PERIOD)

    async def remove_old(self) -> bool:
        """Remove one batch of delivered rows that are past their time; tell whether there may be more."""
        rows = await self._rows(self._old_until)
        gone = set(outdated(rows, self._clock.now(), self._kept))
        if gone:
            await self._outbox.commit(sorted(gone))
        # What is kept longer (events) stays behind at the front: the next pass begins where this one found young rows.
        kept = [row.id for row in rows if row.id not in gone and row.kind == "data"]
        self._old_until = kept[0] - 1 if kept else rows[-1].id if rows else 0
        return bool(gone)

    async def make_room(self) -> bool:
        """Remove one batch of the oldest rows if the file is over its budget; tell whether there may be more."""
        used = await self._outbox.ask(Database.size)
        oldest = await self._outbox.ask(lambda database: database.rows(0, 1))
        count = self._outbox.newest - oldest[0][0] + 1 if oldest else 0
        over = rows_over(used, self._limits.max_size, count)
        if not over or not oldest:
            return False
        # Delivered rows go first, even where undelivered ones stand before them.
        passed = max(each.state.progress.begins_again for each in self._readers)
        rows = {row.id: row for after in (0, passed - 1) for row in await self._rows(after)}
        free = [row for row in rows.values() if not any(each.handed_out(row.id) for each in self._readers)]
        gone, expired = to_remove(free, over)
        self._declare(gone, expired)
        await self._outbox.commit(gone)
        return bool(gone)

    def _declare(self, gone: Sequence[int], expired: Sequence[Expired]) -> None:
        """Tell every expired range, and which uplinks never get it; `low` does not pass it before that is delivered."""
        now = self._clock.now()
        rows = [(row, row) for row in gone]
        without = [each.state.name for each in self._readers if each.expire(rows, now)]
        for run in expired:
            series = self._outbox.by_id[run.series]
            declared = self._tell("expired", series.instrument, **{
                "kind": series.kind, "epoch": series.epoch, "from": run.first, "to": run.last, "count": run.count,
                "reason": "disk-budget", "uplinks": without})  # fmt: skip
            for reader in self._readers:
                reader.bar(declared)

    async def _rows(self, after: int) -> list[Stored]:
        """Give the oldest rows after row `after` as retention sees them."""
        found = await self._outbox.ask(lambda database: database.rows(after, 2 * BATCH))
        progress = [reader.state.progress for reader in self._readers]
        return [
            Stored(row, series, seq, ts, self._outbox.by_id[series].kind, all(each.covers(row) for each in progress))
            for row, series, seq, ts in found
        ]

    def _kept(self, kind: str) -> int:
        keep = self._limits.keep
        return keep.data if kind == "data" else keep.events
