"""The statistics of every instrument: closes intervals in time, stores their records, and goes on behind a restart.

Once a minute, a moment behind its end, what has ended is closed. What came late is collected until then, so that a
correction is sent once a minute at most. An interval is kept in the transaction of its record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from parkgate.config.site import Instrument, Site
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.clock import Clock
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.messages import encode
from parkgate.gateway.messages.decode import snapshot_of
from parkgate.gateway.processing.averager import (
    Averager,
    Named,
    figures_alike,
    figures_of,
    other_units,
    packed,
    units_of,
)
from parkgate.gateway.processing.means import combined
from parkgate.gateway.processing.periods import HOUR, MINUTE, Period, periods
from parkgate.gateway.processing.risk import Risk
from parkgate.gateway.processing.statistics import Figures, Plan
from parkgate.gateway.storing.database import Database, Record
from parkgate.gateway.storing.intervals import Kept, Place
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.timekeeping import RELEASED

LAG = 1_500
"""Milliseconds behind its end that an interval is closed: an answer on its way still belongs to it."""
LOOK = 5.0
"""Seconds: the longest between two looks at the clock, which may have been stepped."""
MOST_GIVEN = 1_500
"""Intervals without a snapshot that are given behind a time in which nobody looked: a day of minutes."""
LONGEST_PASS = 120.0
"""Seconds that one pass may take while the disk is slow."""
_PASS = 50
_CHUNK = 200
_BEFORE = 20_000
_ROWS = 5_000
Tell = Callable[..., object]
Key = tuple[str, str, int]
"""Instrument, period and beginning of an interval."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the statistics are given: as the other loops are. `rev` names an instrument's description of now."""

    outbox: Outbox
    clock: Clock
    tell: Tell
    trusted: Callable[[], int]
    rev: Callable[[str], str]
    heart: Heart
    source: str


@dataclass(slots=True)
class Course:
    """The statistics of one instrument as they go.

    `cursor`: every interval before it was closed. `newest`: the end of the latest interval that was ever closed.
    `stale`: the longer intervals of which a part was closed since they were. `others`: the places of the points whose
    readings before the start were in another unit.
    """

    instrument: Instrument
    averager: Averager
    cursor: int
    newest: int = 0
    stale: set[tuple[Period, int]] = field(default_factory=set)
    risk: Risk = field(default_factory=Risk)
    others: frozenset[int] = frozenset()

    @property
    def plan(self) -> Plan:
        """What is averaged, and how."""
        return self.averager.plan


class Statistics:
    """Takes every snapshot that is stored, and stores the records of the statistics."""

    def __init__(
        self, site: Site, given: Surroundings, changes: Callable[[Instrument], bool] = lambda _: False
    ) -> None:
        self._given = given
        self._outbox = given.outbox
        self._corrections = site.statistics.corrections
        self._periods = periods(site.statistics, site.gateway.timezone)
        self._recent: dict[Key, Kept] = {}
        self._courses: dict[str, Course] = {}
        given.outbox.followers.append(self._committed)
        now = given.clock.now()
        for each in site.instruments:
            plan = Plan.of(each, site.statistics, self._periods, changes=changes(each))
            if plan is not None:
                start = plan.base.start(now)
                self._courses[each.name] = Course(each, Averager(plan, start), start)

    def take(self, snapshot: Snapshot, row: int) -> None:
        """Take a snapshot as it is stored in a row."""
        course = self._courses.get(snapshot.instrument)
        if course is not None:
            course.averager.take(snapshot, row)

    async def run(self) -> None:
        """Close what has ended, once a minute; for ever."""
        clock, heart = self._given.clock, self._given.heart
        closed = 0
        while True:
            minute = (clock.now() - LAG) // MINUTE
            if minute != closed:
                heart.expect(LONGEST_PASS)
                await self.close()
                closed = minute
            left = (MINUTE - (clock.now() - LAG) % MINUTE) / 1000
            heart.expect(LOOK + LONGEST_PASS)
            await clock.sleep(min(LOOK, left + 0.001))

    async def close(self) -> None:
        """Close every interval that has ended and correct those that something came late for."""
        now = self._given.clock.now()
        await self._outbox.commit()
        for course in self._courses.values():
            await self._close(course, now)
        await self._outbox.commit()
        before = self._periods[-1].start(max(0, self._given.trusted() - self._corrections))
        if now // HOUR != (now - MINUTE) // HOUR:
            await self._outbox.write(lambda database: database.intervals.forget(before))

    async def _close(self, course: Course, now: int) -> None:
        base, name = course.plan.base, course.instrument.name
        ended = base.start(now - LAG)
        late: list[int] = []
        for count, start in enumerate(self._due(course, ended)):
            if self._too_old(start):
                course.averager.drop(start)
                late.append(start)
                continue
            kept = await self._kept(name, base, start) if start < course.newest else None
            if kept is None and start < course.cursor and start not in course.averager.open:
                course.averager.drop(start)  # something came late for it, and it is not kept any more
                late.append(start)
                continue
            if kept is None or start in course.averager.waiting():
                await self._close_interval(course, start, kept, now)
            if count % _PASS == _PASS - 1:
                await self._pause()
        if not ended < course.cursor <= ended + base.length:  # else the first interval has not ended yet
            course.cursor = ended  # also back, where the clock was put back
        if late:
            self._given.tell("statistics-too-late", name, count=len(late), **{"from": min(late), "to": max(late)})
        await self._close_longer(course, now)
        await asyncio.sleep(0)

    async def _pause(self) -> None:
        """Let the other loops turn, and the disk take what was closed."""
        self._given.heart.expect(LONGEST_PASS)
        await self._outbox.commit()
        await asyncio.sleep(0)

    def _committed(self, records: Sequence[Record]) -> None:
        """Forget the intervals that the file has by now."""
        for record in records:
            for row in record.beside:
                if self._recent.get(row[:3]) is row:
                    del self._recent[row[:3]]

    def _due(self, course: Course, ended: int) -> Iterator[int]:
        """Give the beginnings of what is to be closed: what ended by itself, then what came for anything else.

        What came for a time well ahead of the clock is closed too: that time may never come.
        """
        base, cursor = course.plan.base, course.cursor
        first = base.start(ended - MOST_GIVEN * base.length)
        if cursor < first:
            self._given.tell("statistics-gap", course.instrument.name, **{"from": cursor, "to": first})
        fresh = list(base.starts(max(cursor, first), ended))
        yield from fresh
        done, ahead = set(fresh), ended + 2 * base.length
        while others := sorted(
            each for each in course.averager.waiting() - done
            if each < ended or (each > ahead and each in course.averager.open)
        ):  # fmt: skip
            done.add(others[0])
            yield others[0]

    def _too_old(self, start: int) -> bool:
        return RELEASED <= start < self._given.trusted() - self._corrections

    async def _close_interval(self, course: Course, start: int, kept: Kept | None, now: int) -> None:
        """Close an interval of samples; adding up is done on the outbox's thread, where nobody's turn waits for it."""
        plan, name, averager = course.plan, course.instrument.name, course.averager
        ended, body = averager.end(start), kept.body if kept else None
        closed = await self._outbox.ask(lambda _: averager.close(ended, body))
        course.newest = max(course.newest, plan.base.end(start))
        revision = 0 if kept is None else kept.revision
        changed = kept is None or figures_of(kept.body) != closed.figures
        if kept is not None and changed:
            revision += 1
        row = Kept(name, plan.base.name, start, ended.upto, ended.since, revision, closed.body)
        self._store(course, plan.base, row, closed.figures if changed else {})
        if changed:
            course.stale.update((period, period.start(start)) for period in plan.periods[1:])
            self._warn(course, start, closed.figures, now)

    def _store(self, course: Course, period: Period, row: Kept, figures: Named) -> None:
        """Keep an interval and store its record, if that is sent; both in one transaction.

        Of several records it is kept with the last: it must not count as told while one of them may be lost.
        """
        given, outbox, name = self._given, self._outbox, course.instrument.name
        records: list[encode.Encode] = []
        if figures and period.name in course.plan.sent:
            source, rev = f"{given.source}/{name}", given.rev(name)
            points = {point: _told(each) for point, each in figures.items()}
            records += encode.statistics(source, outbox.epoch, rev, period.name, row.start, row.revision, points)
            series = outbox.series(f"stats/{period.name}", name)
        for record in records[:-1]:
            outbox.store(series, row.start, record)
        self._recent[row[:3]] = row
        outbox.beside.append(row)
        for record in records[-1:]:
            outbox.store(series, row.start, record)

    async def _close_longer(self, course: Course, now: int) -> None:
        """Close the tens, hours and days that have ended and of which a part was closed, the shorter first."""
        for period in course.plan.periods[1:]:
            ended = sorted(start for each, start in course.stale if each == period and period.end(start) <= now - LAG)
            for count, start in enumerate(ended):
                course.stale.discard((period, start))
                await self._combine(course, period, start)
                if count % _PASS == _PASS - 1:
                    await self._pause()

    async def _combine(self, course: Course, period: Period, start: int) -> None:
        """Close an interval that is made of shorter ones, or correct it where they say something else now."""
        plan, name = course.plan, course.instrument.name
        end, part = period.end(start), plan.part(period)
        rows = await self._read(name, part, start, end)

        def combine(_: Database) -> dict[str, Figures]:
            found = {each.start: figures_alike(each.body, plan.measures) for each in rows}
            parts = [found.get(each) for each in part.starts(start, end)]
            return combined(plan.measures, parts, plan.enough(period, len(parts)))

        figures, kept = await self._outbox.ask(combine), await self._kept(name, period, start)
        if kept is None or figures_of(kept.body) != figures:
            revision = 0 if kept is None else kept.revision + 1
            upto, units = max((each.upto for each in rows), default=0), units_of(plan.measures)
            self._store(
                course,
                period,
                Kept(name, period.name, start, upto, 0, revision, packed(figures, {"units": units})),
                figures,
            )

    def _warn(self, course: Course, start: int, figures: Named, now: int) -> None:
        """Tell of the points whose hour can still be valid, but only if nothing more goes wrong in it."""
        plan, hours = course.plan, self._periods[2]
        hour = hours.start(now - LAG)
        if plan.base.length == HOUR or not hour <= start < now - LAG:
            return
        count = sum(1 for _ in plan.base.starts(hour, hours.end(hour)))
        spare = count - plan.enough(hours, count)
        if points := course.risk.take(hour, start, figures, spare):
            self._given.tell("hour-at-risk", course.instrument.name, hour=hour, points=points, invalid=spare)

    async def _kept(self, name: str, period: Period, start: int) -> Kept | None:
        found = await self._read(name, period, start, start + 1)
        return found[0] if found else None

    async def _read(self, name: str, period: Period, first: int, end: int) -> Sequence[Kept]:
        """Give what is kept of these intervals, in the file or on its way there."""
        waiting = [row for row in self._recent.values() if row[:2] == (name, period.name) and first <= row.start < end]
        rows = await self._outbox.ask(lambda database: database.intervals.read(name, period.name, first, end))
        found = {row.start: row for row in (*rows, *waiting)}
        return [found[start] for start in sorted(found)]

    async def resume(self) -> None:
        """Go on from what the outbox has kept: take again what stands in no interval yet.

        Raises:
            sqlite3.Error: the file cannot be read.

        """
        places = await self._outbox.ask(lambda database: database.intervals.places())
        known: dict[str, dict[str, list[Place]]] = {}
        for place in places:
            known.setdefault(place.instrument, {}).setdefault(place.period, []).append(place)
        begins: dict[str, int] = {}
        for name, course in self._courses.items():
            begins[name] = await self._go_on(course, known.get(name, {}))
        bases = {(name, course.plan.base.name) for name, course in self._courses.items()}
        counted = {(each.instrument, each.start): each.upto for each in places if each[:2] in bases}
        await self._take_again(begins, counted)
        for course in self._courses.values():
            course.averager.nobody_looked()
            if not course.newest:
                course.cursor = min(course.averager.open, default=course.cursor)
            await self._resume_risk(course)

    async def _go_on(self, course: Course, known: Mapping[str, Sequence[Place]]) -> int:
        """Set a course behind its newest interval; give the row from which on its snapshots are taken again."""
        base, name = course.plan.base, course.instrument.name
        mine = known.get(base.name, ())
        if not mine:
            return max(1, self._outbox.newest - _BEFORE)
        upto, now = max(each.upto for each in mine), self._given.clock.now()
        newest = max(mine, key=lambda each: (each.start <= now, each.start))
        course.newest = base.end(max(each.start for each in mine))
        course.cursor = base.end(newest.start)
        if (kept := await self._kept(name, base, newest.start)) is not None:
            course.averager.resume(newest.start, kept.body, upto)
            others = other_units(kept.body, course.plan.measures)
            course.others = frozenset(each.place for each in course.plan.measures if each.name in others)
        for period in course.plan.periods[1:]:
            course.stale |= {(period, start) for start in _stale(course.plan, period, known)}
        return min(each.since for each in mine if each.upto == upto)

    async def _take_again(self, begins: Mapping[str, int], counted: Mapping[tuple[str, int], int]) -> None:
        """Take again the snapshots of rows that stand in no interval yet."""
        outbox = self._outbox
        series = {each.id: each.instrument for each in outbox.by_id.values()
                  if each.kind == "data" and each.instrument in begins}  # fmt: skip
        rest = [(min(begins.values(), default=1), outbox.newest)]
        while rows := await outbox.ask(lambda database: database.rows(rest, _ROWS, list(series))):
            rest[0] = rows[-1][0] + 1, outbox.newest
            wanted = [
                row
                for row, of, _, ts in rows
                if row >= begins[series[of]] and _is_open(self._courses[series[of]], row, ts, counted)
            ]
            for first in range(0, len(wanted), _CHUNK):
                for record in await outbox.ask(_reading(wanted[first : first + _CHUNK], outbox)):
                    course = self._courses[record.series.instrument]
                    snapshot = snapshot_of(course.instrument, record.body)
                    course.averager.take(_without(snapshot, course.others), record.id)
                    self._given.heart.expect(LONGEST_PASS)

    async def _resume_risk(self, course: Course) -> None:
        """Count again which minutes of this hour are not valid."""
        plan, hours = course.plan, self._periods[2]
        hour = hours.start(course.cursor)
        found = {each.start: each for each in await self._read(course.instrument.name, plan.base, hour, course.cursor)}
        everything = dict.fromkeys((each.name for each in plan.measures), _NOTHING)
        for start in plan.base.starts(hour, course.cursor):
            course.risk.take(hour, start, figures_of(found[start].body) if start in found else everything, -1)


_NOTHING = Figures(0, 0, None, None, None, None, 0.0, "no-communication")


def _without(snapshot: Snapshot, places: frozenset[int]) -> Snapshot:
    """Give a snapshot as if it did not name the points of these places."""
    if not places:
        return snapshot
    flags = {place: flag for place, flag in snapshot.flags.items() if place not in places}
    return replace(snapshot, flags=flags, absent=snapshot.absent | places)


def _is_open(course: Course, row: int, ts: int, counted: Mapping[tuple[str, int], int]) -> bool:
    """Tell whether a row's snapshot stands in no interval yet."""
    start = course.plan.base.start(ts)
    if not course.newest and start < course.cursor - course.plan.base.length:
        return False  # it was stored before there were statistics
    return row > counted.get((course.instrument.name, start), 0)


def _stale(plan: Plan, period: Period, known: Mapping[str, Sequence[Place]]) -> Iterable[int]:
    """Give the intervals of a period that know less than their parts do: the agent ended between the two."""
    done = {each.start: each.upto for each in known.get(period.name, ())}
    for each in known.get(plan.part(period).name, ()):
        if done.get(start := period.start(each.start), -1) < each.upto:
            yield start


def _told(figures: Figures) -> Mapping[str, object]:
    return {
        "avg": figures.avg, "min": figures.least, "max": figures.most, "n": figures.n, "valid": figures.valid,
        "sum": figures.amount, "flag": figures.flag,
    }  # fmt: skip


def _reading(rows: Sequence[int], outbox: Outbox) -> Callable[[Database], list[Record]]:
    def read(database: Database) -> list[Record]:
        found = [each for row in rows for each in database.read(row - 1, row, 1, outbox.by_id)]
        return [each for each in found if isinstance(each, Record)]

    return read
