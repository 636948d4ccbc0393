"""The load of every Modbus line said in sentences: how much of its time is spoken for, and who does not fit."""

from __future__ import annotations

from collections.abc import Iterator

from parkgate.config.language import say
from parkgate.config.line_checks import kind_of
from parkgate.config.site import Line, Site
from parkgate.drivers.modbus.wire_time import FULL, Load, load, worth_telling

MUCH = 80.0
"""Percent of a line's time above which a silent unit, which costs a timeout each turn, makes others miss theirs."""


def loads(site: Site) -> dict[str, Load]:
    """Give the load of every line that can be overbooked, by name."""
    return {each.name: load(each, site.on(each)) for each in site.lines if worth_telling(each, site.on(each))}


def told(line: Line, found: Load) -> str:
    """Say how much of a line's time is spoken for."""
    numbers = {
        "line": line.name,
        "percent": _rounded(found.percent),
        "instruments": len(found.shares),
        "requests": sum(each.requests for each in found.shares),
    }
    if kind_of(line) == "tcp":
        return say(
            'line "{line}": load {percent} % ({instruments} instruments, {requests} requests a cycle)', **numbers
        )
    return say(
        'line "{line}": load {percent} % at {baudrate} baud ({instruments} instruments, {requests} requests a cycle)',
        baudrate=line.baudrate,
        **numbers,
    )


def overbooked(line: Line, found: Load) -> Iterator[tuple[str, str]]:
    """Give each instrument that does not fit on its line, by name, and what to do."""
    before = 0.0
    for each in found.shares:
        if each.name in found.excess:
            text = say(
                'does not fit on line "{line}": its requests ({requests}) take {ms} ms every {every} ms, that is '
                "{percent} % of the time, and {before} % is taken by what is read as often or oftener",
                line=line.name,
                requests=each.requests,
                ms=_rounded(each.ms),
                every=each.every,
                percent=_rounded(each.percent),
                before=_rounded(before),
            )
            yield each.name, f"{text}; {_remedy(line)}"
        before += each.percent


def nearly_full(line: Line, found: Load) -> str | None:
    """Say that a line has hardly any time left and what to do, None if it has, or none at all."""
    if not MUCH < found.percent <= FULL:
        return None
    text = say(
        "its load is {percent} %, and an instrument that does not answer costs up to {timeout} ms more each turn",
        percent=_rounded(found.percent),
        timeout=line.timeout,
    )
    return f"{text}; {_remedy(line)}"


def held_up(line: Line, found: Load) -> Iterator[tuple[str, str]]:
    """Give each instrument that holds up the one read most often, by name, and what to do."""
    for each, first in found.holding_up:
        text = say(
            'one of its requests takes {ms} ms, longer than the {every} ms in which instrument "{other}" on line '
            '"{line}" is to be read',
            ms=_rounded(each.longest),
            every=first.every,
            other=first.name,
            line=line.name,
        )
        yield each.name, f"{text}; {_remedy(line)}"


def _remedy(line: Line) -> str:
    if kind_of(line) == "tcp":
        return say("make every longer, read fewer points, or use a second line")
    return say("make every longer or the baudrate higher, read fewer points, or use a second line")


def as_json(found: Load) -> dict[str, object]:
    """Give it for machines."""
    return {
        "line": found.line,
        "percent": _rounded(found.percent),
        "fits": found.fits,
        "instruments": {
            each.name: {
                "requests": each.requests,
                "ms": _rounded(each.ms),
                "percent": _rounded(each.percent),
                "fits": each.name not in found.excess,
            }
            for each in found.shares
        },
    }


def _rounded(number: float) -> float:
    return round(number, 1)
