"""One loop a line: ask who is due, read, judge, derive, encode, store.

A fault of an instrument becomes flagged snapshots.
Every turn of every instrument stores a snapshot: a silent instrument, or a line that is down, stands as
`no-communication`, never as nothing. A fault of our own code or of a library's costs the instrument that met it its
turn, and its neighbours nothing. Behind its first answer an instrument is asked once what it is.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from parkgate.config.language import say
from parkgate.config.site import Instrument, Line
from parkgate.drivers.driver import Driver, Now, Standing
from parkgate.drivers.faults import Fault, Unreachable
from parkgate.drivers.identity import Identity
from parkgate.drivers.snapshot import Snapshot, onto, unread
from parkgate.gateway.backoff import next_delay
from parkgate.gateway.clock import Clock
from parkgate.gateway.collecting.origins import Origins
from parkgate.gateway.collecting.recalling import Recaller
from parkgate.gateway.collecting.schedule import Schedule
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.messages.encode import SnapshotEncoder
from parkgate.gateway.processing.validity import Judge
from parkgate.gateway.storing.database import Series
from parkgate.gateway.storing.outbox import Outbox

LONGEST_WAIT = 10.0
"""Seconds: a line that is down is tried again at least so often."""
_STRETCH = 0.5
"""Part of its period within which an instrument's turn lets others between its questions."""
LONGEST_TURN, _TIMEOUTS = 60.0, 20
"""Seconds, and so many times the line's `timeout` besides, within which a turn ends, whatever is asked in it."""
MOST_ASKED = 2
"""Times that an instrument is asked what it is, where the question costs the connection: a cut may hit one of them."""
MOST_UNSTORED = 1_000
"""Snapshots of an instrument that are held while it cannot be described; then the oldest leave, declared."""
_log = logging.getLogger("parkgate.line")

Result = TypeVar("Result")
Open = Callable[[Line, Sequence[Instrument], Now], Driver]
Tell = Callable[..., object]
"""Store an event: `tell(name, subject, **detail)`."""
Take = Callable[[Snapshot, int], object]
"""Average a snapshot that is stored, told its row: it stands on the far side of the outbox."""
Derive = Callable[[Snapshot], Snapshot]
"""Put an instrument's derived points behind the measured ones."""


class Describe(Protocol):
    """How an instrument that turns out to be another than configured is told of."""

    async def __call__(self, instrument: Instrument, *, simulated: bool) -> SnapshotEncoder:
        """Describe an instrument anew, everywhere; give the encoder of its snapshots from now on."""
        ...


def nothing_derived(snapshot: Snapshot) -> Snapshot:
    """Give the snapshot of an instrument without derived points."""
    return snapshot


@dataclass(slots=True)
class Station:
    """An instrument as its line's loop keeps it: how it is judged, derived, encoded, and what became of its turns.

    `unstored` is what was read and waits to be stored. `latest` is what was said of every point by the last snapshot.
    `watch` holds each snapshot against the instrument's alarms; None where it has none.
    """

    instrument: Instrument
    series: Series
    judge: Judge
    encode: SnapshotEncoder
    derive: Derive = nothing_derived
    began: float = 0.0
    asked: int = 0
    identity: Identity | None = None
    reads: int = 0
    failed: int = 0
    dropped: int = 0
    fault: str = ""
    unstored: deque[Snapshot] = field(default_factory=deque)
    latest: Snapshot | None = None
    units: tuple[tuple[str, str], ...] = ()
    watch: Callable[[Snapshot], None] | None = None

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


@dataclass(frozen=True, slots=True)
class Given:
    """What the loops of all lines are given.

    `changed` is called when an instrument falls silent or answers again, or turns out to be simulated; `unsynced` tells
    whether a stamp (ms UTC) was taken from a clock that cannot be believed.
    """

    outbox: Outbox
    clock: Clock
    rng: random.Random
    open_driver: Open
    tell: Tell
    changed: Callable[[], None]
    unsynced: Callable[[int], bool]
    origins: Origins
    describe: Describe
    average: Take = lambda _snapshot, _row: None


class Collector:
    """Reads the instruments of one line in time."""

    def __init__(self, line: Line, stations: Sequence[Station], given: Given, heart: Heart) -> None:
        clock = given.clock
        self.line = line
        self.state = LineState(since=clock.now(), stations={each.instrument.name: each for each in stations})
        self.schedule = Schedule([each.instrument for each in stations], clock.monotonic() * 1000)
        self._outbox = given.outbox
        self._clock = clock
        self._rng = given.rng
        self._opening = given.open_driver(line, [each.instrument for each in stations], clock.now)
        self._tell = given.tell
        self._recaller = Recaller(self._opening, given.outbox, given.tell)
        self._changed = given.changed
        self._unsynced = given.unsynced
        self._origins = given.origins
        self._describe = given.describe
        self._average = given.average
        self._heart = heart
        self._stack = AsyncExitStack()
        self._driver: Driver | None = None
        self._attempt = 0
        self._retry_at = float("-inf")
        self._fault: Fault | None = None
        self._turnstile = asyncio.Lock()  # what people ask passes it between the turns: docs/decisions/0019
        self._broken = 0  # reads that ended in a fault of ours since the line last gave an answer

    async def run(self) -> None:
        """Take turns; for ever."""
        clock, schedule = self._clock, self.schedule
        await self._recaller.resume({name: each.series.id for name, each in self.state.stations.items()})
        async with self._stack:
            while True:
                instrument = schedule.take(clock.monotonic() * 1000, clock.now())
                if instrument is None:
                    pause = schedule.next() / 1000 - clock.monotonic()
                    self._heart.expect(pause + LONGEST_TURN)
                    await clock.sleep(pause)
                else:
                    async with self._turnstile:
                        await self.turn(self.state.stations[instrument.name])

    async def visit(self, work: Callable[[Driver], Awaitable[Result]]) -> Result:
        """Do what somebody asks of the line's open driver, when no turn is under way.

        Raises:
            Fault: whatever the work raises; the line is left where it is lost, and tried again at the next turn.

        """
        async with self._turnstile:
            self._heart.expect(LONGEST_TURN + _TIMEOUTS * self.line.timeout / 1000)
            try:
                return await work(await self._opened())
            except Unreachable:
                await self._leave()
                raise

    def standing(self, station: Station) -> Standing:
        """Tell what an instrument refuses, and whether it is asked more rarely than configured."""
        return self._opening.standing(station.instrument)

    async def _between(self, instrument: Instrument) -> None:
        """Read those of shorter periods that are due between two questions of an instrument's turn, each once.

        Not in a turn that has taken half its period: its values, and the states that judge them, are to be of one time.
        """
        clock, read = self._clock, set[str]()
        began = self.state.stations[instrument.name].began
        while clock.monotonic() - began < _STRETCH * instrument.every / 1000:
            sooner = self.schedule.take(clock.monotonic() * 1000, clock.now(), within=instrument, but=read)
            if sooner is None:
                return
            read.add(sooner.name)
            await self.turn(self.state.stations[sooner.name])

    async def turn(self, station: Station) -> None:
        """Read one instrument and store what came of it: its answer, or that there is none."""
        station.reads += 1
        station.began = self._clock.monotonic()
        self._heart.expect(LONGEST_TURN + _TIMEOUTS * self.line.timeout / 1000)
        try:
            self._hold(station, await self._read(station.instrument))
            await self._learn(station)
            await self._identify(station)
            while station.unstored:
                snapshot = station.unstored.popleft()
                unsynced = not snapshot.late and self._unsynced(snapshot.at)  # sees a step first: windows move along
                mark = b"" if station.unstored else self._recaller.mark(station.instrument)
                judged = self._origins.judge(station.judge(snapshot))
                if self._store(station, judged, unsynced=unsynced, mark=mark):
                    self._recaller.keep(station.instrument, mark)
                self._declare(station, snapshot.dropped)
            self._recaller.report(station.instrument)
        except Fault as fault:
            self._failed(station, fault)
        except Exception as error:  # noqa: BLE001  # one instrument's turn: the others on its line go on
            self._failed(station, self._ours(station, error), error)
        else:
            self._answers(station)

    async def _read(self, instrument: Instrument) -> Sequence[Snapshot]:
        """Ask an instrument; leave a line that was lost."""
        driver = None
        try:
            driver = await self._opened()
            snapshots = await driver.read(instrument, self._between)
        except Unreachable:
            if driver is not None and self._driver is not driver and self._fault is not None:
                raise self._fault.with_traceback(None) from None  # it was lost in a turn between: that tells why
            await self._leave()
            raise
        self._up()
        return snapshots

    async def _learn(self, station: Station) -> None:
        """Describe and judge an instrument anew where its driver knows more of it by now, before that is stored."""
        instrument, units = self._opening.described(station.instrument), self.standing(station).units
        if instrument is not station.instrument:
            simulated = self._origins.simulated.get(instrument.name, False)
            station.encode = await self._describe(instrument, simulated=simulated)
            station.judge = replace(
                Judge.of(instrument), freshness=station.judge.freshness, recalled=station.judge.recalled,
                windows=station.judge.windows,
            )  # fmt: skip
            station.instrument = instrument
        if units != station.units:
            station.units = units
            self._tell("unit-differs", instrument.name, points=dict(units))
            for point, unit in units:
                said = say("{point} is in {unit} on the server; the profile's unit is told", point=point, unit=unit)
                _log.warning("%s: %s", instrument.name, said)

    async def _identify(self, station: Station) -> None:
        """Ask an instrument that answered what it is, once; one that is simulated is described so before it is stored.

        What the question does to the line costs no reading: that was taken before.
        """
        instrument = station.instrument
        if instrument.name in self._origins.simulated:
            return
        if self._driver is not None and station.asked < MOST_ASKED:
            station.asked += 1
            try:
                station.identity = await self._driver.identify(instrument)
            except Unreachable:
                await self._leave()
                if station.asked < MOST_ASKED:
                    return
            station.asked = MOST_ASKED
        simulated = station.identity is not None and station.identity.simulated
        if simulated:
            station.encode = await self._describe(instrument, simulated=True)
        for refused in self._origins.note(instrument.name, station.identity):
            self._tell("simulated-refused", refused)
            _log.error("%s", self._origins.fault(refused))
        if simulated:
            self._changed()

    async def _opened(self) -> Driver:
        """Give the open driver; while the line is down, try it no more often than the back-off allows."""
        if self._broken > 1:
            await self._leave()  # nobody was answered in between: what broke may be the connection, so make a new one
        if self._driver is None:
            if self._fault and self._clock.monotonic() < self._retry_at:
                raise self._fault.with_traceback(None)
            self._driver = await self._stack.enter_async_context(self._opening)
        return self._driver

    async def _leave(self) -> None:
        self._driver = None
        self._broken = 0
        await self._stack.aclose()

    def _hold(self, station: Station, snapshots: Sequence[Snapshot]) -> None:
        """Hold what was read until it is stored: a driver says it once, and describing its instrument may fail."""
        station.unstored.extend(snapshots)
        left = [station.unstored.popleft() for _ in range(len(station.unstored) - MOST_UNSTORED)]
        self._declare(station, sum(1 + each.dropped for each in left))

    def _store(self, station: Station, snapshot: Snapshot, *, unsynced: bool, mark: bytes = b"") -> int:
        """Give the row that a judged snapshot will be; 0 where the outbox does not take it."""
        snapshot = station.derive(snapshot)
        if not snapshot.late:
            station.latest = onto(snapshot, station.latest)
        encode = station.encode
        row = self._outbox.store(
            station.series, snapshot.at, lambda seq, low: encode(snapshot, seq, low, unsynced=unsynced),
            late=snapshot.late, mark=mark,
        )  # fmt: skip
        if station.watch is not None:
            station.watch(snapshot)
        if row:  # what was rejected never had a number: it counts nowhere
            self._average(snapshot, row)
        return row

    def _declare(self, station: Station, dropped: int) -> None:
        """Say that changes of an instrument were never told to us."""
        if dropped:
            station.dropped += dropped
            self._tell("overflow", station.instrument.name, count=dropped)

    def _up(self) -> None:
        self._broken = 0
        if not self.state.up:
            self.state.up, self.state.since, self.state.fault, self._attempt = True, self._clock.now(), "", 0
            self._tell("line-up", self.line.name)
            _log.info(say("line {name} is up", name=self.line.name))

    def _down(self, fault: Fault, error: Exception | None) -> None:
        """Note when to try the line again."""
        if fault is self._fault:
            return
        self._fault = fault
        self._retry_at = self._clock.monotonic() + next_delay(self._attempt, self._rng, cap=LONGEST_WAIT)
        self._attempt += 1
        if self.state.up or not self.state.fault:
            self.state.up, self.state.since = False, self._clock.now()
            self._tell("line-down", self.line.name, reason=fault.what)
            _log.warning("%s", fault, exc_info=error)
        self.state.fault = str(fault)

    def _ours(self, station: Station, error: Exception) -> Fault:
        """Give the fault that a technician reads where our own code, or a library, failed at what nobody thought of."""
        where = f'line "{self.line.name}"'
        if self._driver is not None:
            self._broken += 1
            where += f', instrument "{station.instrument.name}"'
        return Fault(
            say("a fault of the agent: {error}", error=f"{type(error).__name__}: {error}"),
            where=where,
            hint=say("The others go on and it is tried again. Send the log to the developers."),
        )

    def _failed(self, station: Station, fault: Fault, error: Exception | None = None) -> None:
        """Store that a turn brought nothing; say so the first time, of the whole line where it is down."""
        down, known = self._driver is None, station.silent
        if down:
            self._down(fault, error)
        station.failed += 1
        station.fault = str(fault)
        if not known:
            self._tell("silent", station.instrument.name, reason=fault.what)
            if not down:
                _log.warning("%s", fault, exc_info=error)
            self._changed()
        nothing = unread(station.instrument, self._clock.now())
        self._store(station, nothing, unsynced=self._unsynced(nothing.at))

    def _answers(self, station: Station) -> None:
        if station.silent:
            station.fault = ""
            self._tell("answering", station.instrument.name)
            self._changed()
