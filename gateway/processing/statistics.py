"""What the statistics of an instrument are, pure: which points, of which periods, and when an interval is valid.

An interval is valid by a count, as HJ 212-2017 (appendix D.2) and HJ 76-2017 want it: 12 usable samples a minute, 45
valid minutes an hour, 20 valid hours a day. What is sampled more rarely than every 5 s must give every sample it can;
what is sampled more rarely than once a minute has no minutes, and its shortest period stands for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from parkgate.config.amounts import amount_per_second
from parkgate.config.derived import Derived
from parkgate.config.flag import Flag
from parkgate.config.profile import STRING_TYPE, Point
from parkgate.config.site import Instrument, Statistics
from parkgate.gateway.processing.periods import HOUR, MINUTE, Period
from parkgate.gateway.processing.validity import PRECEDENCE

SIGNIFICANT = 9
"""Digits of a mean of a point without `digits`: as many as name every float32."""
_RANK: Mapping[str, int] = {flag.value: rank for rank, flag in enumerate(PRECEDENCE)}


class Figures(NamedTuple):
    """What an interval says of a point. `flag` is empty where the interval is valid, else why it is not.

    `n` snapshots named the point, `valid` of them with a usable value. `avg`, `least` and `most` are None where there
    is nothing to tell; `amount` is what a rate added up to while it was usable; `weight` is what the mean weighs beside
    others.
    """

    n: int
    valid: int
    avg: float | None
    least: float | None
    most: float | None
    amount: float | None
    weight: float
    flag: str


NOTHING = Figures(0, 0, None, None, None, None, 0.0, Flag.NO_COMMUNICATION.value)
"""An interval in which nobody looked."""


class Standing(NamedTuple):
    """What stands: a usable value, or else the flag that says why there is none."""

    value: float
    flag: str


@dataclass(frozen=True, slots=True)
class Measure:
    """A point as it is averaged: its place in a snapshot, its digits, and what is special about its mean.

    `amount`: what a rate of 1 adds up to in a second, in the unit of the point's `sum`. `weight`: the place of the
    point that the mean is weighted by. `unit`: of the point and of its sum; figures of another are never put together.
    """

    name: str
    place: int
    digits: int | None
    direction: bool = False
    amount: float | None = None
    weight: int | None = None
    unit: str = ""

    def rounded(self, value: float) -> float:
        """Round a mean, half to even: to one digit more than the point's own, since a mean knows more than a sample."""
        if self.digits is None:
            return significant(value)
        return round(value, self.digits + 1) + 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The statistics of one instrument, compiled once. `periods` begins with that which is made of samples.

    Of `expected` samples that the shortest interval can have, `needed` must be usable. `sent` names the periods that
    are sent. `changes`: the instrument reports changes, so that means are weighted by time.
    """

    measures: tuple[Measure, ...]
    every: int
    periods: tuple[Period, ...]
    expected: int
    needed: int
    rules: Statistics
    sent: frozenset[str]
    changes: bool = False

    @classmethod
    def of(
        cls, instrument: Instrument, rules: Statistics, periods: Sequence[Period], *, changes: bool = False
    ) -> Plan | None:
        """Give the plan of an instrument; None where there is nothing to average, or it is switched off."""
        chosen = instrument.statistics
        sent = frozenset(each.name for each in periods if chosen is True or (chosen and each.name in chosen))
        measures = tuple(_measures(instrument.quantities))
        if not (sent and measures):
            return None
        base = next(each for each in periods if each.length >= min(instrument.every, HOUR))
        expected = max(1, base.length // instrument.every)
        needed = min(expected, rules.samples * base.length // MINUTE)
        used = tuple(each for each in periods if each.length >= base.length)
        return cls(measures, instrument.every, used, expected, needed, rules, sent, changes)

    @property
    def base(self) -> Period:
        """The period whose intervals are made of samples."""
        return self.periods[0]

    def part(self, period: Period) -> Period:
        """Give the period that an interval of this one is made of: a day of hours, all others of the shortest."""
        return next(each for each in reversed(self.periods) if each.length < period.length and self._is_part(each))

    def _is_part(self, period: Period) -> bool:
        return period.length == HOUR or period == self.base

    def enough(self, period: Period, count: int) -> int:
        """Give how many of `count` parts of an interval must be valid: 45 minutes of 60, 20 hours of 24."""
        part, whole = (self.rules.minutes, 60) if period.length <= HOUR else (self.rules.hours, 24)
        return max(1, -(-count * part // whole))


def _measures(points: Sequence[Point | Derived]) -> list[Measure]:
    """Give the points that are numbers; a boolean is 0 or 1, and its mean the part of the time in which it was true."""
    places = {point.name: place for place, point in enumerate(points)}
    return [
        Measure(
            name=point.name,
            place=place,
            digits=point.digits,
            direction=point.mean == "direction",
            amount=None if point.sum is None else amount_per_second(point.unit, point.sum),
            weight=None if point.weight is None else places.get(point.weight),
            unit=point.unit if point.sum is None else f"{point.unit} {point.sum}",
        )
        for place, point in enumerate(points)
        if not STRING_TYPE.fullmatch(point.type) and point.as_ == "number"
    ]


def longest(durations: Mapping[str, float]) -> str:
    """Give the flag that stood for the longest time; of several the one that is told first."""
    if not any(durations.values()):
        return Flag.NO_COMMUNICATION.value
    return min(durations, key=lambda flag: (-durations[flag], _RANK[flag]))


def added(total: float, column: Iterable[float]) -> float:
    """Give a sum, infinite where it is beyond what a number can be."""
    try:
        return math.fsum((total, math.fsum(column)))
    except (OverflowError, ValueError):
        return math.inf


def significant(value: float) -> float:
    """Round to nine significant digits."""
    return float(f"{value:.{SIGNIFICANT}g}") + 0.0


def bearing(cosines: float, sines: float, count: float) -> float | None:
    """Give the direction (degrees) of a sum of `count` unit vectors; None where they cancel out.

    The mean of unit vectors: US EPA-454/R-99-005, 6.2.
    """
    if math.hypot(cosines, sines) <= 1e-9 * count:
        return None
    return math.degrees(math.atan2(sines, cosines)) % 360.0
