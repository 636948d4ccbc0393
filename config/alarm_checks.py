"""What an alarm must be beyond its types: that it can be raised, and can return. Pure: keys and sentence out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from parkgate.config.alarm import STANDARD, Alarm, Kind
from parkgate.config.derived import Derived
from parkgate.config.language import say
from parkgate.config.profile import STRING_TYPE, Point

Finding = tuple[tuple[str | int, ...], str]
"""The keys below `alarms` of a point, and what is wrong there."""

SUBSCRIBED = 60_000
"""Milliseconds: an OPC UA server tells a value that does not change at least so often."""
_PLAIN = frozenset({"bool", "int16", "int32", "int64", "uint16", "uint32", "uint64", "bcd16", "bcd32"})


def alarm_findings(point: Point | Derived) -> Iterator[Finding]:
    """Give everything that is wrong with the alarms of a point; a standard's are looked at once they are known."""
    names: set[str] = set()
    for place, alarm in enumerate(point.alarms):
        found = list(_findings(point, alarm))
        if alarm.standard is None:
            if not alarm.name:
                found.append(("name", say("is missing; add it")))
            elif alarm.name in names:
                found.append(("name", say('"{name}" stands there twice; names must differ', name=alarm.name)))
            names.add(alarm.name)
        for key, text in found:
            yield (place, key), text


def _findings(point: Point | Derived, alarm: Alarm) -> Iterator[tuple[str, str]]:
    kinds = alarm.kinds
    if alarm.standard is not None:
        if isinstance(point, Derived):
            yield "standard", say("is for what a detector measures; write the alarms of a computed point out")
        if others := sorted(alarm.model_fields_set - {"standard", "basis"}):
            yield others[0], say("does not go with a standard; write the alarm out, or leave this out")
        return
    if len(kinds) != 1:
        text = say("an alarm has exactly one of above, below, equals, rate, fault = true or standard")
        yield kinds[1] if kinds else "name", text
        return
    (kind,) = kinds
    yield from _kind_findings(point, alarm, kind)
    if alarm.deadband < 0:
        yield "deadband", say("must not be negative: it is how far the value must be back from the limit")
    elif alarm.deadband and kind in {"equals", "fault"}:
        yield "deadband", say("goes only with above, below and rate; leave it out")
    if alarm.per is not None and kind != "rate":
        yield "per", say("goes only with rate; leave it out")


def _kind_findings(point: Point | Derived, alarm: Alarm, kind: Kind) -> Iterator[tuple[str, str]]:
    text = STRING_TYPE.fullmatch(point.type) is not None
    if kind in {"above", "below", "rate"} and (text or point.type == "bool"):
        yield kind, say("does not go with {type}: there is no more or less", type=point.type)
    elif kind in {"above", "below"}:
        yield from _limit_findings(point, alarm, kind)
    elif kind == "rate":
        yield from _rate_findings(point, alarm)
    elif kind == "equals":
        yield from _equals_findings(point, alarm)


def _limit_findings(point: Point | Derived, alarm: Alarm, kind: Kind) -> Iterator[tuple[str, str]]:
    if point.range is None:
        return
    (low, high), limit = point.range, float(alarm.limit or 0)
    if not low <= limit <= high:
        yield kind, say(
            "{limit} lies outside the measuring range, {low} to {high}: it would never be reached",
            limit=_short(limit), low=_short(low), high=_short(high),
        )  # fmt: skip
    elif limit - alarm.deadband <= low if kind == "above" else limit + alarm.deadband >= high:
        yield "deadband", say("with it the alarm would never return: nothing in the range is so far from the limit")


def _rate_findings(point: Point | Derived, alarm: Alarm) -> Iterator[tuple[str, str]]:
    rate = abs(alarm.rate or 0)
    if not rate:
        yield "rate", say("must not be 0; positive where it rises, negative where it falls")
    elif point.range is not None and rate > point.range[1] - point.range[0]:
        yield "rate", say("is more than the whole measuring range: it would never be reached")
    elif alarm.deadband >= rate:
        yield "deadband", say("must be less than the rate, or the alarm would never return")
    if alarm.per is None:
        yield "per", say('is missing: the time within which it changes so much, as "1min"')


def _equals_findings(point: Point | Derived, alarm: Alarm) -> Iterator[tuple[str, str]]:
    if point.type not in _PLAIN or (point.scale, point.offset) != (1, 0):
        yield "equals", say("goes only with a bool or a whole number without scale; take above or below")
    elif point.type == "bool" and alarm.equals not in {0, 1}:
        yield "equals", say("must be true or false, without quotes")


def standard_trouble(point: Point, gas: str | None, gases: str) -> str:
    """Say what keeps a standard's alarms from being known: the gas, or else the unit."""
    if gas is None:
        return say('{standard} needs to know the gas: give the point a factor or gas = "…"; known: {gases}',
                   standard=STANDARD, gases=gases)  # fmt: skip
    return say('{standard} has no set points for {gas} in "{unit}"; use mg/m3, ppm or %LEL, oxygen in %',
               standard=STANDARD, gas=gas, unit=point.unit)  # fmt: skip


def unconfirmed(alarms: Sequence[Alarm], unit: str) -> str:
    """Say which limits a standard gives that nobody has confirmed for the site."""
    limits = ", ".join(f"{each.name} {each.limit:g}" for each in alarms if each.limit is not None)
    return say(
        "{basis} gives {limits} {unit}, as defaults: have them confirmed for this site, then write "
        '{{ standard = "{standard}", basis = "who confirmed them" }}',
        basis=alarms[0].basis, limits=limits, unit=unit, standard=STANDARD,
    )  # fmt: skip


def period_findings(point: Point | Derived, least: int) -> Iterator[Finding]:
    """Give the alarms of a point whose rate is to be told within less than `least` ms."""
    for place, alarm in enumerate(point.alarms):
        if alarm.per is not None and alarm.per < least:
            text = say("must be at least {least} ms: twice the period of the readings, and 1 min on an OPC UA line",
                       least=least)  # fmt: skip
            yield (place, "per"), text


def _short(number: float) -> str:
    return f"{number:g}"
