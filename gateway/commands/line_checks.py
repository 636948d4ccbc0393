"""Every line opened and every instrument read once, through the real drivers; or as the running agent has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any

from parkgate.config.flag import Flag
from parkgate.config.language import say
from parkgate.config.site import Instrument, Line
from parkgate.drivers.driver import Driver, Now
from parkgate.drivers.faults import Fault, Unreachable
from parkgate.drivers.snapshot import Snapshot, Value
from parkgate.gateway.commands.finding import Finding, Result
from parkgate.gateway.messages.table import flag_words
from parkgate.gateway.processing.validity import Judge

Open = Callable[[Line, Sequence[Instrument], Now], Driver]
Flagged = tuple[str, Value | None, str, Flag]
"""A point that may not be used as it is: its name, value, unit and flag."""

_SAYS_SO = frozenset({Flag.OUT_OF_SERVICE, Flag.MAINTENANCE, Flag.MANUAL, Flag.CALIBRATION, Flag.WARM_UP, Flag.STALE})
"""What an instrument says of itself in its daily life: to be known, but nothing that the installation got wrong."""


async def check_line(line: Line, instruments: Sequence[Instrument], open_driver: Open, now: Now) -> list[Finding]:
    """Open a line and read every instrument on it once; a line that goes down meanwhile is opened again."""
    findings: list[Finding] = []
    left = list(instruments)
    try:
        driver = open_driver(line, instruments, now)
        await _read_all(line, driver, left, findings)
        while left:  # the line went down under one of them
            await _read_all(line, driver, left, findings)
    except Fault as fault:
        findings.append(_faulty("line", line.name, fault))
        findings += [
            Finding("instrument", each.name, Result.PROBLEM, say("not read"), say("Put the line right first."))
            for each in left
        ]
    return findings


async def _read_all(line: Line, driver: Driver, left: list[Instrument], findings: list[Finding]) -> None:
    """Read the instruments that are left until there are none, or the line is gone."""
    async with driver:
        if not any(each.what == "line" for each in findings):
            findings.append(Finding("line", line.name, Result.OK, say("{url} is open", url=line.url)))
        while left:
            instrument = left.pop(0)
            try:
                findings += await _read(driver, instrument)
            except Fault as fault:
                findings.append(_faulty("instrument", instrument.name, fault))
                if isinstance(fault, Unreachable):
                    return


async def _read(driver: Driver, instrument: Instrument) -> list[Finding]:
    began = monotonic()
    snapshots = await driver.read(instrument)
    took = round((monotonic() - began) * 1000)
    flagged = list(_flagged(instrument, Judge.of(instrument)(snapshots[-1])))
    return [_answered(instrument.name, len(instrument.points), flagged, took), *_points(instrument.name, flagged)]


def _flagged(instrument: Instrument, snapshot: Snapshot) -> Iterator[Flagged]:
    for place, flag in sorted(snapshot.flags.items()):
        point = instrument.points[place]
        yield point.name, snapshot.values[place], point.unit, flag


def _answered(name: str, points: int, flagged: Sequence[Flagged], took: int) -> Finding:
    found = say("{count} points in {ms} ms, {flagged} of them flagged", count=points, ms=took, flagged=len(flagged))
    return Finding("instrument", name, Result.OK, found)


def _points(instrument: str, flagged: Iterable[Flagged]) -> list[Finding]:
    """Name the flagged points, those of one flag together."""
    named: dict[Flag, list[str]] = {}
    for name, value, unit, flag in flagged:
        said = name if value is None else f"{name} {value} {unit}".rstrip()
        named.setdefault(flag, []).append(said)
    words = flag_words()
    return [
        Finding(
            "points",
            instrument,
            Result.WARNING if flag in _SAYS_SO else Result.PROBLEM,
            f"{words[flag]}: {', '.join(names)}",
            _advice(flag),
        )
        for flag, names in named.items()
    ]


def _advice(flag: Flag) -> str:
    if flag in _SAYS_SO:
        return say("The instrument says so itself; look at its display if you did not expect it.")
    if flag is Flag.BAD_CONFIGURATION:
        return say("The instrument has no such register or node: compare the address in the profile with the manual.")
    if flag is Flag.NO_COMMUNICATION:
        return say("No answer for these alone: check the device behind it, and the address of a state in the profile.")
    if flag is Flag.OUT_OF_RANGE:
        return say("Compare with the display: if they differ, check type, order and scale; if they agree, check range.")
    return say("The instrument reports a fault or sends no number: look at its display, then at type and order.")


def _faulty(what: str, where: str, fault: Fault) -> Finding:
    return Finding(what, where, Result.PROBLEM, fault.what, fault.hint)


def of_running_agent(answer: Mapping[str, Any]) -> list[Finding]:
    """Give the lines and instruments as a running agent tells of them in its `status`."""
    findings = []
    for line in answer["lines"]:
        if line["state"] == "up":
            findings.append(Finding("line", line["name"], Result.OK, say("open in the running agent")))
        else:
            down = line["fault"] or say("not open yet")
            advice = say("See: parkgate status SITE.")
            findings.append(Finding("line", line["name"], Result.PROBLEM, down, advice))
        findings += [
            finding
            for each in answer["instruments"]
            if each["line"] == line["name"]
            for finding in _instrument_of_agent(each, answer["now"])
        ]
    return findings


def _instrument_of_agent(told: Mapping[str, Any], now: int) -> list[Finding]:
    name = told["name"]
    if told["state"] != "answering":
        found = told["fault"] or say("no answer yet")
        return [Finding("instrument", name, Result.PROBLEM, found, say("See: parkgate status SITE."))]
    flagged = [
        (point, each["value"], each["unit"], Flag(each["flag"]))
        for point, each in told["points"].items()
        if each["flag"] is not None
    ]
    found = say(
        "{count} points, {age} s ago, {flagged} of them flagged",
        count=len(told["points"]),
        age=max(0, now - told["at"]) // 1000,
        flagged=len(flagged),
    )
    return [Finding("instrument", name, Result.OK, found), *_points(name, flagged)]
