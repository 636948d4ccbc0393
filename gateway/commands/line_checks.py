"""Every line opened and every instrument read once, through the real drivers; or as the running agent has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from parkgate.config.derived import Derived
from parkgate.config.flag import Flag
from parkgate.config.language import say
from parkgate.config.site import Instrument, Line
from parkgate.drivers.driver import Driver, Now
from parkgate.drivers.faults import Fault, Unreachable
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.commands.finding import Finding, Result
from parkgate.gateway.messages.table import Reading, flag_words
from parkgate.gateway.processing.derive import derivers
from parkgate.gateway.processing.validity import Judge

Open = Callable[[Line, Sequence[Instrument], Now], Driver]
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
    standing, alone = driver.standing(instrument), _alone(driver.described(instrument))
    derive = derivers([alone])[alone.name]
    readings = tuple(_readings(alone, derive(Judge.of(alone)(snapshots[-1]))))
    found = say(
        "{count} points in {ms} ms, {flagged} of them flagged", count=len(readings), ms=took, flagged=_flagged(readings)
    )
    return [
        Finding("instrument", instrument.name, Result.OK, found, readings=readings),
        *_points(instrument.name, readings),
        *_otherwise(instrument.name, readings, dict(standing.units), standing.reasons),
    ]


def _alone(instrument: Instrument) -> Instrument:
    """Give an instrument without the derived points that need another one's: that is not read at the same time."""
    derived: list[Derived] = []
    there = {point.name for point in instrument.points}
    for each in instrument.derived:
        if all(not source.instrument and source.point in there for source in each.inputs):
            derived.append(each)
            there.add(each.name)
    return instrument.model_copy(update={"derived": tuple(derived)})


def _readings(instrument: Instrument, snapshot: Snapshot) -> Iterator[Reading]:
    for place, point in enumerate(instrument.quantities):
        flag = snapshot.flags.get(place, "")
        yield Reading(point.name, point.title, snapshot.values[place], point.unit, flag)


def _flagged(readings: Iterable[Reading]) -> int:
    return sum(1 for each in readings if each.flag)


def _points(instrument: str, readings: Iterable[Reading]) -> list[Finding]:
    """Name the flagged points, those of one flag together."""
    named: dict[Flag, list[str]] = {}
    for each in readings:
        if each.flag:
            said = each.name if each.value is None else f"{each.name} {each.value} {each.unit}".rstrip()
            named.setdefault(Flag(each.flag), []).append(said)
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


def _otherwise(
    instrument: str, readings: Iterable[Reading], units: Mapping[str, str], reasons: Mapping[str, str]
) -> list[Finding]:
    """Name the points that an instrument has otherwise than its profile says, and what they are there."""
    differ = [say("{point} is in {unit} on the server; the profile's unit is told", point=point, unit=unit)
              for point, unit in units.items()]  # fmt: skip
    advice = say("Compare with the display: if the server is right, correct unit in the profile, or give it a scale.")
    findings = [Finding("points", instrument, Result.WARNING, found, advice) for found in differ]
    advice = say("Correct at or type in the profile; an OPC UA browser shows what the node is.")
    return findings + [
        Finding("points", instrument, Result.PROBLEM, f"{each.name}: {reasons[each.name]}", advice)
        for each in readings
        if each.flag == Flag.BAD_CONFIGURATION and each.name in reasons
    ]


def _advice(flag: Flag) -> str:
    if flag is Flag.STALE:
        return say("It does not move, or says so itself: compare with the display, then with the profile's heartbeat.")
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


def of_running_agent(answer: Mapping[str, Any], site: Path) -> list[Finding]:
    """Give the lines and instruments as a running agent of this site file tells of them in its `status`."""
    findings = []
    for line in answer["lines"]:
        if line["state"] == "up":
            findings.append(Finding("line", line["name"], Result.OK, say("open in the running agent")))
        else:
            findings.append(_down("line", line, say("not open yet"), site))
        findings += [
            finding
            for each in answer["instruments"]
            if each["line"] == line["name"]
            for finding in _instrument_of_agent(each, answer["now"], site)
        ]
    return findings


def _down(what: str, told: Mapping[str, Any], otherwise: str, site: Path) -> Finding:
    """Give what does not answer the agent: its fault is a whole sentence and says what to do itself."""
    if told["fault"]:
        return Finding(what, told["name"], Result.PROBLEM, told["fault"])
    return Finding(what, told["name"], Result.PROBLEM, otherwise, say("See: parkgate status {site}", site=site))


def _instrument_of_agent(told: Mapping[str, Any], now: int, site: Path) -> list[Finding]:
    name = told["name"]
    if told["state"] != "answering":
        return [_down("instrument", told, say("no answer yet"), site)]
    readings = tuple(
        Reading(point, each["title"], each["value"], each["unit"], each["flag"] or "")
        for point, each in told["points"].items()
    )
    found = say(
        "{count} points, {age} s ago, {flagged} of them flagged",
        count=len(readings),
        age=max(0, now - told["at"]) // 1000,
        flagged=_flagged(readings),
    )
    return [
        Finding("instrument", name, Result.OK, found, readings=readings),
        *_points(name, readings),
        *_otherwise(name, readings, told.get("units", {}), told.get("reasons", {})),
    ]
