"""The change reports of one interval, pure: a value stands until the next, so means are weighted by time.

A full snapshot repeats what stands: a repeat is no sample. While nothing is known a point has a hole. What the
instrument's history tells later fills holes of `no-communication`; it stands until the next report, as in the
time-weighted aggregates of OPC 10000-13.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import mul, sub
from typing import Any, NamedTuple

from parkgate.config.flag import Flag
from parkgate.gateway.processing.statistics import (
    Figures,
    Measure,
    Plan,
    Standing,
    added,
    bearing,
    longest,
    significant,
)

UNKNOWN = Flag.NO_COMMUNICATION.value


NEVER = Standing(0.0, UNKNOWN)


class Hole(NamedTuple):
    """A time without a usable value, and why; `told` is when the newest report came that knew something."""

    since: int
    until: int
    flag: str
    told: int


class Late(NamedTuple):
    """What an instrument's history told of a time."""

    at: int
    value: float
    flag: str

    @property
    def standing(self) -> Standing:
        """What stands from that time on."""
        return Standing(self.value, self.flag)


class Course:
    """How one point went in one interval.

    `usable` milliseconds, `total` the integral of the value over them; `holes` and `late` are lists of what `Hole` and
    `Late` name; `ends` is what stood at the interval's end, `told` is when the newest report before it came that knew
    something.
    """

    __slots__ = ("across", "along", "ends", "holes", "late", "least", "most", "n", "told", "total", "usable", "valid")

    def __init__(self) -> None:
        self.n = 0
        self.valid = 0
        self.usable = 0
        self.total = 0.0
        self.least = math.inf
        self.most = -math.inf
        self.along = 0.0
        self.across = 0.0
        self.holes: list[list[Any]] = []
        self.late: list[list[Any]] = []
        self.ends = NEVER
        self.told = -1

    def changed(self, times: Sequence[int], values: Sequence[float]) -> None:
        """Add reports of usable values, each of which stood until the next; the last still stands."""
        self.n += len(times)
        self.valid += len(times)
        if len(times) > 1:
            self.usable += times[-1] - times[0]
            self.total = added(self.total, map(mul, values, map(sub, times[1:], times)))
            least, most = min(values[:-1]), max(values[:-1])
            self.least = min(self.least, least)
            self.most = max(self.most, most)

    def stood(
        self, since: int, until: int, standing: Standing, measure: Measure, weight: float | None, told: int
    ) -> None:
        """Add what stood from one time to another; `told` is when the newest report came that knew something."""
        value, flag = standing
        if flag:
            if self.holes and self.holes[-1][1:] == [since, flag, told]:
                self.holes[-1][1] = until
            else:
                self.holes.append([since, until, flag, told])
            return
        time = until - since
        self.usable += time
        self.total += value * time
        self.least = min(self.least, value)
        self.most = max(self.most, value)
        if measure.direction:
            self.along += math.cos(math.radians(value)) * time
            self.across += math.sin(math.radians(value)) * time
        elif weight is not None:
            self.along += value * max(weight, 0.0) * time
            self.across += max(weight, 0.0) * time

    def merge(self, other: Course) -> None:
        """Add what another course of the same interval holds, which came later."""
        self.n += other.n
        self.valid += other.valid
        self.usable += other.usable
        self.total += other.total
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)
        self.along += other.along
        self.across += other.across
        self.holes += other.holes
        self.late += other.late
        self.told = max(self.told, other.told)

    def state(self) -> list[Any]:
        """Give what it holds as JSON can say it, for `of`."""
        unknown = any(hole[2] == UNKNOWN for hole in self.holes)
        late = [each for each in self.late if unknown or each[0] > self.told]  # what can still say something
        sums = [self.total, self.least, self.most, self.along, self.across]
        finite = [each if math.isfinite(each) else None for each in sums]
        return [self.n, self.valid, self.usable, *finite, self.holes, late, list(self.ends), self.told]

    @classmethod
    def of(cls, state: Sequence[Any]) -> Course:
        """Make the course that `state` was taken of."""
        course = cls()
        course.n, course.valid, course.usable, total, least, most, along, across, holes, late, ends, course.told = state
        course.total, course.along, course.across = (
            math.inf if each is None else each for each in (total, along, across)
        )
        course.least = math.inf if least is None else least
        course.most = -math.inf if most is None else most
        course.holes, course.late, course.ends = (
            [list(each) for each in holes],
            [list(each) for each in late],
            Standing(*ends),
        )
        return course

    def filled(self, measure: Measure, before: Late | None) -> tuple[Course, Late | None]:
        """Give the course with its holes filled by what came late, and what of that stands at the end.

        `before` came late, too, and stands at the beginning.
        """
        if not self.late and before is None:
            return self, None
        whole = Course()
        whole.n, whole.valid, whole.usable, whole.total = self.n, self.valid, self.usable, self.total
        whole.least, whole.most, whole.along, whole.across = self.least, self.most, self.along, self.across
        told = sorted((Late(*each) for each in self.late), key=lambda each: each.at)
        told = told if before is None else [before, *told]
        for hole in self.holes:
            whole.fill(Hole(*hole), measure, told)
        return whole, told[-1] if told[-1].at > self.told else None

    def fill(self, hole: Hole, measure: Measure, told: Sequence[Late]) -> None:
        """Add a hole as far as what came late fills it.

        What was told before the newest report that came in time is over: that ended it.
        """
        since, standing = hole.since, Standing(0.0, hole.flag)
        if hole.flag == UNKNOWN:
            for each in told:
                if hole.told < each.at < hole.until:
                    if each.at > since:
                        self.stood(since, each.at, standing, measure, None, hole.told)
                        since = each.at
                    standing = each.standing
        self.stood(since, hole.until, standing, measure, None, hole.told)


class Reported:
    """The tally of one interval: a course for every point."""

    __slots__ = ("_plan", "before", "courses")

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.courses = [Course() for _ in plan.measures]
        self.before: dict[str, Late] = {}
        """What came late and stands at the beginning, by point."""

    def merge(self, other: Reported) -> None:
        """Add what came behind the end of the interval."""
        for mine, new in zip(self.courses, other.courses, strict=True):
            mine.merge(new)

    def figures(self, length: int) -> dict[str, Figures]:
        """Give what the interval, `length` milliseconds long, says of every point."""
        pairs = zip(self._plan.measures, self.courses, strict=True)
        return {each.name: self._figures(each, course, length) for each, course in pairs}

    def after(self) -> dict[str, Late]:
        """Give what came late and stands at the end, by point."""
        found: dict[str, Late] = {}
        for each, course in zip(self._plan.measures, self.courses, strict=True):
            _, late = course.filled(each, self.before.get(each.name))
            if late is not None:
                found[each.name] = late
        return found

    def _figures(self, measure: Measure, course: Course, length: int) -> Figures:
        whole, _ = course.filled(measure, self.before.get(measure.name))
        bounds = whole.usable > 0 and not measure.direction
        amount = whole.total / 1000 * measure.amount if measure.amount is not None and whole.usable else math.inf
        # As 45 minutes of 60 make an hour, so three quarters of the time make an interval without samples.
        enough = self._plan.rules.minutes * length <= 60 * whole.usable
        durations = Counter[str]()
        for since, until, flag, _ in whole.holes:
            durations[flag] += until - since
        return Figures(
            n=whole.n,
            valid=whole.valid,
            avg=_mean(measure, whole),
            least=whole.least if bounds else None,
            most=whole.most if bounds else None,
            amount=significant(amount) if math.isfinite(amount) else None,
            weight=whole.across if measure.weight is not None else 0.0,
            flag="" if enough else longest(durations),
        )

    def state(self) -> dict[str, list[Any]]:
        """Give what it holds of each point as JSON can say it, for `of`."""
        pairs = zip(self._plan.measures, self.courses, strict=True)
        before = {name: list(late) for name, late in self.before.items()}
        return {each.name: [*course.state(), before.get(each.name)] for each, course in pairs}

    @classmethod
    def of(cls, plan: Plan, state: Mapping[str, Sequence[Any]]) -> Reported:
        """Make the tally that `state` was taken of; the configuration may have changed since."""
        tally = cls(plan)
        for number, measure in enumerate(plan.measures):
            if measure.name in state:
                *course, before = state[measure.name]
                tally.courses[number] = Course.of(course)
                if before is not None:
                    tally.before[measure.name] = Late(*before)
        return tally


def _mean(measure: Measure, course: Course) -> float | None:
    if not course.usable:
        return None
    if measure.direction:
        mean = bearing(course.along, course.across, course.usable)
        return None if mean is None else measure.rounded(mean) % 360.0
    weighted = measure.weight is not None and course.across > 0
    mean = course.along / course.across if weighted else course.total / course.usable
    return measure.rounded(mean) if math.isfinite(mean) else None
