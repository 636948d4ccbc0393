"""The samples of one interval, added up, pure: of an instrument that is asked, where each answer is a sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from parkgate.config.flag import Flag
from parkgate.drivers.snapshot import Snapshot, Value
from parkgate.gateway.processing.reported import Late
from parkgate.gateway.processing.statistics import (
    Figures,
    Measure,
    Plan,
    added,
    bearing,
    longest,
    significant,
)

Column = Sequence[float]
_Group = tuple[tuple[tuple[int, Flag], ...], frozenset[int]]
_PLAIN: _Group = ((), frozenset())
FOLD = 2_000
"""Values that wait to be added together: more would save no time, and cost a large site tens of megabytes."""


class Part:
    """What the samples of one point add up to.

    `across` is the sum of sines where `along` is that of cosines, or the sum of weights where it is that of products.
    """

    __slots__ = ("across", "along", "flags", "least", "most", "n", "total", "valid")

    def __init__(self) -> None:
        self.n = 0
        self.valid = 0
        self.total = 0.0
        self.least = math.inf
        self.most = -math.inf
        self.along = 0.0
        self.across = 0.0
        self.flags: dict[str, int] = {}

    def flagged(self, flag: Flag, count: int) -> None:
        """Count samples that may not be used."""
        self.n += count
        self.flags[flag.value] = self.flags.get(flag.value, 0) + count

    def add(self, column: Column) -> None:
        """Add usable samples."""
        self.n += len(column)
        self.valid += len(column)
        self.total = added(self.total, column)
        least, most = min(column), max(column)
        self.least = min(self.least, least)
        self.most = max(self.most, most)

    def merge(self, other: Part) -> None:
        """Add what another part holds."""
        self.n += other.n
        self.valid += other.valid
        self.total += other.total
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)
        self.along += other.along
        self.across += other.across
        for flag, count in other.flags.items():
            self.flags[flag] = self.flags.get(flag, 0) + count

    def turn(self, column: Column) -> None:
        """Add the unit vectors of directions."""
        angles = [math.radians(each) for each in column]
        self.along += math.fsum(map(math.cos, angles))
        self.across += math.fsum(map(math.sin, angles))

    def weigh(self, column: Column, weights: Column) -> None:
        """Add samples each with its weight; what flows back weighs nothing."""
        positive = [max(each, 0.0) for each in weights]
        self.along = added(self.along, [value * weight for value, weight in zip(column, positive, strict=True)])
        self.across = added(self.across, positive)


class Sampled:
    """The tally of one interval: it takes the snapshots whose time lies in it, in any order."""

    __slots__ = ("_parts", "_plan", "before", "waiting")

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parts = [Part() for _ in plan.measures]
        self.waiting: list[Snapshot] = []
        self.before: dict[str, Late] = {}

    def take(self, snapshot: Snapshot) -> None:
        """Take a judged snapshot; many are added together, which costs a tenth of adding each."""
        self.waiting.append(snapshot)
        if len(self.waiting) * len(self._parts) >= FOLD:
            self.fold()

    def fold(self) -> None:
        """Add what waits; snapshots that are flagged alike are added together, column by column."""
        groups: dict[_Group, list[tuple[Value | None, ...]]] = {}
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            alike = (tuple(each.flags.items()), each.absent) if each.flags or each.absent else _PLAIN
            groups.setdefault(alike, []).append(each.values)
        for (flags, absent), rows in groups.items():
            self._add(dict(flags), absent, rows)

    def merge(self, other: Sampled) -> None:
        """Add what came behind the end of the interval."""
        self.waiting += other.waiting
        self.fold()
        for mine, new in zip(self._parts, other._parts, strict=True):
            mine.merge(new)

    def after(self) -> dict[str, Late]:
        """Give what stands at the end of the interval: a sample does not stand."""
        return {}

    def _add(self, flags: Mapping[int, Flag], absent: frozenset[int], rows: list[tuple[Value | None, ...]]) -> None:
        columns = list(zip(*rows, strict=True))
        for measure, part in zip(self._plan.measures, self._parts, strict=True):
            place = measure.place
            if place in flags:
                part.flagged(flags[place], len(rows))
            elif place not in absent:
                column = cast("Column", columns[place])  # neither flagged nor absent: a number
                part.add(column)
                if measure.direction:
                    part.turn(column)
                elif measure.weight is not None and not (measure.weight in flags or measure.weight in absent):
                    part.weigh(column, cast("Column", columns[measure.weight]))

    def figures(self, length: int) -> dict[str, Figures]:
        """Give what the interval says of every point; `length` says nothing that a count of samples does not."""
        del length
        self.fold()
        pairs = zip(self._plan.measures, self._parts, strict=True)
        return {measure.name: self._figures(measure, part) for measure, part in pairs}

    def _figures(self, measure: Measure, part: Part) -> Figures:
        plan = self._plan
        amount = part.total * (measure.amount or 0.0) * plan.every / 1000
        bounds = part.valid > 0 and not measure.direction
        return Figures(
            n=part.n,
            valid=part.valid,
            avg=_mean(measure, part),
            least=part.least if bounds else None,
            most=part.most if bounds else None,
            amount=significant(amount) if measure.amount is not None and part.valid and math.isfinite(amount) else None,
            weight=part.across if measure.weight is not None else 0.0,
            flag="" if part.valid >= plan.needed else _longest(part, plan.expected),
        )

    def state(self) -> dict[str, list[Any]]:
        """Give what it holds of each point as JSON can say it, for `of`."""
        self.fold()
        return {
            measure.name: [part.n, part.valid, part.total, part.least, part.most, part.along, part.across, part.flags]
            for measure, part in zip(self._plan.measures, self._parts, strict=True)
        }

    @classmethod
    def of(cls, plan: Plan, state: Mapping[str, Sequence[Any]]) -> Sampled:
        """Make the tally that `state` was taken of; the configuration may have changed since."""
        tally = cls(plan)
        for measure, part in zip(plan.measures, tally._parts, strict=True):
            if measure.name in state:
                part.n, part.valid, *sums, part.flags = state[measure.name]
                part.total, part.least, part.most, part.along, part.across = map(_whole, sums, _INFINITE)
        return tally


class Samples:
    """The open tallies of one instrument, by the interval's start."""

    __slots__ = ("_base", "_plan", "open")

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._base = plan.base
        self.open: dict[int, Sampled] = {}

    def take(self, snapshot: Snapshot) -> Iterable[int]:
        """Take a snapshot; give the beginning of its interval."""
        start = self._base.start(snapshot.at)
        if start not in self.open:
            self.open[start] = Sampled(self._plan)
        self.open[start].take(snapshot)
        return (start,)


_INFINITE = (math.inf, math.inf, -math.inf, math.inf, math.inf)


def _whole(value: float | None, infinite: float) -> float:
    """Give infinity where JSON has null in its place."""
    return infinite if value is None else value


def _mean(measure: Measure, part: Part) -> float | None:
    if not part.valid:
        return None
    if measure.direction:
        mean = bearing(part.along, part.across, part.valid)
        return None if mean is None else measure.rounded(mean) % 360.0
    weighted = measure.weight is not None and part.across > 0
    mean = part.along / part.across if weighted else part.total / part.valid
    return measure.rounded(mean) if math.isfinite(mean) else None


def _longest(part: Part, expected: int) -> str:
    """Give the flag that most samples had, those among them that should have come and did not."""
    missing = {Flag.NO_COMMUNICATION.value: part.flags.get(Flag.NO_COMMUNICATION.value, 0) + max(0, expected - part.n)}
    return longest({**part.flags, **missing})
