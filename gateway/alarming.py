"""The alarms of a gateway: each snapshot is held against them before it is sent, and what changes is stored at once.

What stands is told from what was committed, never from what only waits: the retained set, the answer to `parkgate
alarms` and what the next start begins with are one and the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from parkgate.config.language import say
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.clock import Clock
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.messages import alarms
from parkgate.gateway.processing.alarms import Restored, Transition, Watch
from parkgate.gateway.storing.database import Record
from parkgate.gateway.storing.described import Described
from parkgate.gateway.storing.outbox import Outbox

AGAIN = 1.0
"""Seconds until what the outbox did not take is offered again."""
SLACK = 60.0
"""Seconds that the loop may be late by."""
LONGEST = 500
"""Characters of a name, or of a reason, that an acknowledgement may have."""

Tell = Callable[..., int]
"""Store an event: `tell(name, subject, **detail)`; gives the row that it will be."""
Entry = dict[str, object]
Answer = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the alarms of a gateway are given.

    `source` is the gateway's; `unsynced` tells whether a stamp (ms UTC) was taken from a clock that cannot be believed.
    """

    source: str
    outbox: Outbox
    described: Described
    clock: Clock
    tell: Tell
    unsynced: Callable[[int], bool]
    heart: Heart


class Alarming:
    """Watches the instruments that have alarms, and keeps what stands."""

    def __init__(self, desk: Desk, instruments: Iterable[Instrument], standing: Mapping[alarms.Place, Entry]) -> None:
        self._desk = desk
        self._standing = dict(standing)
        self._wake = asyncio.Event()
        self._watches: dict[str, Watch] = {}
        for each in instruments:
            restored = {key[1:]: Restored.of(entry) for key, entry in standing.items() if key[0] == each.name}
            if watch := Watch(each, restored):
                self._watches[each.name] = watch
        self._removed = [key for key in standing if key[1:] not in self._watches.get(key[0], ())]
        desk.outbox.followers.append(self._committed)

    @classmethod
    async def of(cls, desk: Desk, instruments: Iterable[Instrument]) -> Alarming:
        """Go on with what stood when the gateway stopped."""
        kept = await desk.outbox.ask(lambda database: database.alarms.all())
        told = (alarms.told(name, body) for name, _, _, body in kept)
        return cls(desk, instruments, dict(each for each in told if each is not None))

    def watcher(self, instrument: Instrument) -> Callable[[Snapshot], None] | None:
        """Give what is to be called with each judged snapshot of an instrument; None where it has no alarm."""
        watch = self._watches.get(instrument.name)
        return None if watch is None else partial(self._take, watch)

    def describe(self, instrument: Instrument) -> None:
        """Hold the readings of an instrument that is described anew against its alarms as it is known by now."""
        if (watch := self._watches.get(instrument.name)) is not None:
            watch.describe(instrument)

    def payload(self) -> bytes:
        """Give the payload of the retained set, as it stands now."""
        return alarms.standing(self._desk.clock.now(), self._standing.values())

    async def run(self) -> None:
        """Clear what the configuration has no more, then end delays when they are over; for ever."""
        clock = self._desk.clock
        while True:
            self._wake.clear()
            self._removed = [key for key in self._removed if not self._clear(key)]
            taken = [self._store(each, each.due(clock.monotonic(), clock.now())) for each in self._watches.values()]
            wait = min((each.next for each in self._watches.values()), default=math.inf) - clock.monotonic()
            wait = max(0.0, wait) if all(taken) and not self._removed else AGAIN
            self._desk.heart.expect(wait + SLACK)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(wait) else wait):
                    await self._wake.wait()

    def standing(self) -> Sequence[alarms.Fields]:
        """Give what stands, the most urgent first."""
        return alarms.by_urgency(self._standing.values())

    async def answer(self, request: Mapping[str, object]) -> Answer:
        """Answer the verb `alarms`: what stands; `request` says nothing more."""
        del request
        return {"now": self._desk.clock.now(), "standing": self.standing()}

    async def acknowledge(self, request: Mapping[str, object]) -> Answer:
        """Answer the verb `acknowledge`: `{"instrument":…,"point":…,"alarm":…,"by":…,"why":…}`.

        Without an alarm all of the point are meant, without a point all of the instrument. Gives what was
        `acknowledged`, once it is on the disk.
        """
        instrument, point, alarm, by, why = (request.get(key) for key in ("instrument", "point", "alarm", "by", "why"))
        if not (_said(by) and _said(why) and isinstance(instrument, str)):
            return {"error": say("an acknowledgement needs an instrument, who makes it (by) and why")}
        watch = self._watches.get(instrument)
        wanted = [None if each is None else str(each) for each in (point, alarm)]
        found = watch.acknowledge(self._desk.clock.now(), *wanted) if watch else ()
        if watch is None or not found:
            return {"acknowledged": []}
        taken = [each for each in found if self._store(watch, [each], by=by, why=why)]
        for each in taken:
            self._desk.tell("acknowledged", instrument, point=each.point, alarm=each.alarm.name, by=by, why=why)
        await self._desk.outbox.commit()
        return {"acknowledged": [{"instrument": instrument, **each.fields()} for each in taken]}

    def _take(self, watch: Watch, snapshot: Snapshot) -> None:
        found = watch.take(snapshot, self._desk.clock.monotonic())
        if not self._store(watch, found) or watch.delayed:
            watch.delayed = False
            self._wake.set()

    def _store(self, watch: Watch, found: Sequence[Transition], **more: object) -> bool:
        """Store what changes, and let it be so; what the outbox does not take stays as it was, and comes again."""
        desk, taken = self._desk, True
        for each in found:
            if self._put(watch.instrument, each.at, desk.described.rev(watch.instrument), {**each.fields(), **more}):
                watch.apply(each)
            else:
                taken = False
        return taken

    def _put(self, instrument: str, at: int, rev: str, fields: alarms.Fields) -> int:
        """Give the row that a transition will be, 0 where there is no room for it."""
        desk = self._desk
        encode = alarms.transition(
            f"{desk.source}/{instrument}", desk.outbox.epoch, at, rev, fields, unsynced=desk.unsynced(at)
        )
        return desk.outbox.store(desk.outbox.series("alarm", instrument), at, encode, urgent=True)

    def _clear(self, key: alarms.Place) -> int:
        """Clear an alarm that stands and that the configuration has no more, and say why; give the row of it."""
        entry = self._standing[key]
        about = {name: value for name, value in entry.items() if name not in {"instrument", "ts", "rev", "returned"}}
        fields = {**about, "state": "cleared", "reason": "configuration"}
        return self._put(key[0], self._desk.clock.now(), str(entry.get("rev", "")), fields)

    def _committed(self, records: Sequence[Record]) -> None:
        """Take what was committed: from now on it stands, or stands no more."""
        for record in records:
            if record.series.kind == "alarm":
                told = alarms.told(record.series.instrument, record.body)
                if told is not None and told[1].get("state") == "active":
                    self._standing[told[0]] = told[1]
                elif told is not None:
                    self._standing.pop(told[0], None)


def _said(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text.strip()) <= LONGEST
