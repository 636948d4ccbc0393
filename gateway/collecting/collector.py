"""One loop a line: ask who is due, read, judge, encode, store. A fault of an instrument becomes flagged snapshots.

Every turn of every instrument stores a snapshot: a silent instrument, or a line that is down, stands as
`no-communication`, never as nothing.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from parkgate.config.language import say
from parkgate.config.site import Instrument, Line
from parkgate.drivers.driver import Driver, Now
from parkgate.drivers.faults import Fault, Unreachable
from parkgate.drivers.snapshot import Snapshot, unread
from parkgate.gateway.backoff import next_delay
from parkgate.gateway.clock import Clock
from parkgate.gateway.collecting.schedule import Schedule
from parkgate.gateway.messages.encode import SnapshotEncoder
from parkgate.gateway.processing.validity import Judge
from parkgate.gateway.storing.database import Series
from parkgate.gateway.storing.outbox import Outbox

LONGEST_WAIT = 10.0
"""Seconds: a line that is down is tried again at least so often."""
_log = logging.getLogger("parkgate.line")

Open = Callable[[Line, Sequence[Instrument], Now], Driver]
Tell = Callable[..., None]
"""Store an event: `tell(name, subject, **detail)`."""


@dataclass(slots=True)
class Station:
    """An instrument as its line's loop keeps it: how it is judged and encoded, and what became of its turns."""

    instrument: Instrument
    series: Series
    judge: Judge
    encode: SnapshotEncoder
    reads: int = 0
    failed: int = 0
    fault: str = ""
    latest: Snapshot | None = None

    @property
    def silent(self) -> bool:
        """Tell whether the last turn brought no answer."""
        return bool(self.fault)


@dataclass(slots=True)
class LineState:
    """What a line is like now, for `status`."""

    up: bool = False
    since: int = 0
    fault: str = ""
    stations: dict[str, Station] = field(default_factory=dict)


class Collector:
    """Reads the instruments of one line in time."""

    def __init__(
        self, line: Line, stations: Sequence[Station], *, outbox: Outbox, clock: Clock, rng: random.Random,
        open_driver: Open, tell: Tell, changed: Callable[[], None],
    ) -> None:  # fmt: skip
        self.line = line
        self.state = LineState(since=clock.now(), stations={each.instrument.name: each for each in stations})
        self.schedule = Schedule([each.instrument for each in stations], clock.monotonic() * 1000)
        self._outbox = outbox
        self._clock = clock
        self._rng = rng
        self._opening = open_driver(line, [each.instrument for each in stations], clock.now)
        self._tell = tell
        self._changed = changed
        self._stack = AsyncExitStack()
        self._driver: Driver | None = None
        self._attempt = 0
        self._retry_at = float("-inf")
        self._fault: Unreachable | None = None

    async def run(self) -> None:
        """Take turns; for ever."""
        clock, schedule = self._clock, self.schedule
        async with self._stack:
            while True:
                instrument = schedule.take(clock.monotonic() * 1000, clock.now())
                if instrument is None:
                    await clock.sleep(schedule.next() / 1000 - clock.monotonic())
                else:
                    await self.turn(self.state.stations[instrument.name])

    async def turn(self, station: Station) -> None:
        """Read one instrument and store what came of it."""
        station.reads += 1
        try:
            driver = await self._opened()
            snapshots = await driver.read(station.instrument)
        except Fault as fault:
            if isinstance(fault, Unreachable):
                await self._down(fault)
            self._silent(station, fault)
            snapshots = (unread(station.instrument, self._clock.now()),)
        else:
            self._answered(station)
        for snapshot in snapshots:
            self._store(station, station.judge(snapshot))

    def _store(self, station: Station, snapshot: Snapshot) -> None:
        station.latest = snapshot
        encode = station.encode
        self._outbox.store(station.series, snapshot.at, lambda seq, low: encode(snapshot, seq, low))

    async def _opened(self) -> Driver:
        """Give the open driver; while the line is down, try it no more often than the back-off allows."""
        if self._driver is None:
            if self._fault and self._clock.monotonic() < self._retry_at:
                raise self._fault.with_traceback(None)
            self._driver = await self._stack.enter_async_context(self._opening)
        return self._driver

    async def _down(self, fault: Unreachable) -> None:
        """Leave the line and note when to try it again."""
        if fault is self._fault:
            return
        self._fault = fault
        self._driver = None
        await self._stack.aclose()
        self._retry_at = self._clock.monotonic() + next_delay(self._attempt, self._rng, cap=LONGEST_WAIT)
        self._attempt += 1
        if self.state.up or not self.state.fault:
            self.state.up, self.state.since = False, self._clock.now()
            self._tell("line-down", self.line.name, reason=fault.what)
            _log.warning("%s", fault)
        self.state.fault = str(fault)

    def _silent(self, station: Station, fault: Fault) -> None:
        station.failed += 1
        if not station.fault:
            self._tell("silent", station.instrument.name, reason=fault.what)
            if not isinstance(fault, Unreachable):
                _log.warning("%s", fault)
            station.fault = str(fault)
            self._changed()
        station.fault = str(fault)

    def _answered(self, station: Station) -> None:
        if not self.state.up:
            self.state.up, self.state.since, self.state.fault, self._attempt = True, self._clock.now(), "", 0
            self._tell("line-up", self.line.name)
            _log.info(say("line {name} is up", name=self.line.name))
        if station.fault:
            station.fault = ""
            self._tell("answering", station.instrument.name)
            self._changed()
