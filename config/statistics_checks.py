"""What the statistics of a site must be beyond their types. Pure: keys and sentence out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from parkgate.config.amounts import amount_per_second
from parkgate.config.derived import Derived
from parkgate.config.explain import unknown_word
from parkgate.config.language import say
from parkgate.config.problem import suggestion
from parkgate.config.profile import STRING_TYPE, Point
from parkgate.config.site import Instrument, Statistics, periods_of

Finding = tuple[str, str]
"""A key, and what is wrong with it."""

_MINUTES = (2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
"""HJ 212-2017, command 1063: what may lie between a minute and an hour."""


def statistics_findings(statistics: Statistics) -> Iterator[Finding]:
    """Give what is wrong with `[statistics]`: the period between minute and hour must divide an hour."""
    if statistics.period not in {minutes * 60_000 for minutes in _MINUTES}:
        allowed = ", ".join(map(str, _MINUTES))
        yield "period", say("must be one of {minutes} minutes, as HJ 212 has them", minutes=allowed)


def chosen_findings(instrument: Instrument, statistics: Statistics) -> Iterator[Finding]:
    """Give what is wrong with the periods that an instrument's statistics are wanted for."""
    if not isinstance(instrument.statistics, bool):
        known = periods_of(statistics)
        for name in instrument.statistics:
            if name not in known:
                yield "statistics", unknown_word("period", name, known)


def averaging_findings(point: Point | Derived, names: Collection[str]) -> Iterator[Finding]:
    """Give what is wrong with how a point is averaged and added up, among the points of these names."""
    wanted = {"sum": point.sum, "weight": point.weight, "mean": point.mean if point.mean == "direction" else None}
    given = [key for key, value in wanted.items() if value is not None]
    if STRING_TYPE.fullmatch(point.type) or point.as_ == "string":
        for key in given:
            yield key, say("does not go with a text; leave it out")
        return
    if point.mean == "direction":
        for key in ("sum", "weight"):
            if key in given:
                yield key, say("does not go with a direction; leave it out")
    elif point.sum is not None and amount_per_second(point.unit, point.sum) is None:
        text = say(
            '"{unit}" does not add up to "{sum}"; a rate such as "kg/h" or "L/s" adds up to "kg" or "m3"',
            unit=point.unit,
            sum=point.sum,
        )
        yield "sum", text
    if point.weight is not None and (point.weight not in names or point.weight == point.name):
        others = [name for name in names if name != point.name]
        text = say('there is no other point "{name}"', name=point.weight)
        yield "weight", text + suggestion(point.weight, others)


def weight_findings(points: Sequence[Point | Derived]) -> Iterator[tuple[str, str, str]]:
    """Give the point, the key and what is wrong, over all points of an instrument."""
    names = [point.name for point in points]
    for point in points:
        for key, text in averaging_findings(point, names):
            yield point.name, key, text
