"""How `probe` shows what an OPC UA server said: value and flag, and beside them type, status and both times. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from parkgate.config.language import say
from parkgate.config.site import Line
from parkgate.drivers.opcua.meaning import meaning
from parkgate.drivers.opcua.probing import Near, Probe
from parkgate.drivers.opcua.space import Answer
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.commands.browse_tree import answer_as_json, shown
from parkgate.gateway.messages.table import age, flag_words

_SHORT = 100.0
_AHEAD = 2_000
"""Milliseconds that a server's time may be ahead of ours before it is said."""
_LAST = 253_402_214_400_000


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe and its judged snapshot, on a line, at a time (ms UTC), and the zone that times are shown in."""

    probe: Probe
    snapshot: Snapshot
    line: Line
    now: int
    zone: tzinfo


def table(probed: Probed, points: Collection[str]) -> RenderableType:
    """Give some points of an instrument and its states, and below them what needs words."""
    instrument, line = probed.probe.instrument, probed.line
    where = say("{line} ({url}), profile {profile}, times of {zone}", line=line.name, url=line.url,
                profile=instrument.profile, zone=probed.zone)  # fmt: skip
    head = Text.assemble((f"{instrument.name} {instrument.title}".rstrip(), "bold"), "  ", where)
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    grid.add_column(say("point"), overflow="fold")
    headers = (say("value"), say("flag"), say("at the server"), say("status"), say("source time"),
               say("server time"), say("age"), say("node id"))  # fmt: skip
    for header in headers:
        grid.add_column(header, overflow="fold")
    for role, number, at, answer, _ in probed.probe.rows():
        if role == "state" or instrument.points[number].name in points:
            name, value, flag = _judged(probed, role, number)
            said = f"{shown(answer)} {_type(answer)}".rstrip()
            times = (_time(answer.source, probed), _time(answer.server, probed), _age(answer, probed.now))
            cells = (name, value, flag, said, answer.said, *times, at)
            grid.add_row(*map(Text, cells), style="yellow" if flag or answer.status >> 30 else "")
    words = [Text(each, style="yellow", no_wrap=False) for each in remarks(probed, points)]
    return Group(head, grid, *words)


def _judged(probed: Probed, role: str, number: int) -> tuple[str, str, str]:
    """Give the name, the value in its unit and the flag of a point or a state as the agent has them."""
    snapshot = probed.snapshot
    if role == "state":
        reading = snapshot.states[number]
        return say("state {number}", number=number + 1), "-" if reading is None else str(reading), ""
    point = probed.probe.instrument.points[number]
    value, flag = snapshot.values[number], snapshot.flags.get(number, "")
    words = flag_words()
    said = words.get(flag, flag) or (say("uncertain") if number in snapshot.uncertain else "")
    return point.name, "-" if value is None else f"{value} {point.unit}".rstrip(), said


def _type(answer: Answer) -> str:
    return answer.kind if answer.size is None else f"{answer.kind}[{answer.size}]"


def _time(at: int | None, probed: Probed) -> str:
    real = _real(at)
    if real is None:
        return "-"
    local = datetime.fromtimestamp(real / 1000, UTC).astimezone(probed.zone)
    told = f"{local:%H:%M:%S}.{real % 1000:03d}"
    here = datetime.fromtimestamp(probed.now / 1000, UTC).astimezone(probed.zone)
    return told if local.date() == here.date() else f"{local:%Y-%m-%d} {told}"


def _real(at: int | None) -> int | None:
    """Give a time that is one: the year 1601 or 9999 says none (OPC 10000-6, 5.2.2.5)."""
    return at if at is not None and 0 < at < _LAST else None


def _measured(answer: Answer) -> int | None:
    source = _real(answer.source)
    return _real(answer.server) if source is None else source


def _age(answer: Answer, now: int) -> str:
    at = _measured(answer)
    if at is None:
        return "-"
    seconds = (now - at) / 1000
    return f"{seconds:.1f} s" if abs(seconds) < _SHORT else age(at, now)


def remarks(probed: Probed, points: Collection[str]) -> Iterator[str]:
    """Give what a status means, what may have been meant by a node that is not there, and whose clock is ahead."""
    instrument = probed.probe.instrument
    ahead = 0
    for role, number, at, answer, near in probed.probe.rows():
        name = _judged(probed, role, number)[0]
        if role == "point" and instrument.points[number].name not in points:
            continue
        if told := meaning(answer.said, answer.status):
            yield f"{name}: {answer.said}: {told}"
        yield from (f"{name}: {each}" for each in _meant(at, near))
        if answer.readable and answer.kind and (misfit := _misfit(probed, role, number, answer)):
            yield f"{name}: {misfit}"
        times = (answer.source, answer.server)
        ahead = max(ahead, *((_real(each) or probed.now) - probed.now for each in times))
    if ahead > _AHEAD:
        yield say("The server's clock is {seconds} s ahead of this gateway's.", seconds=round(ahead / 1000, 1))


def _meant(at: str, near: Near) -> Iterator[str]:
    if near.namespaces:
        yield say("the server has no such namespace; it has {uris}", uris=", ".join(near.namespaces))
    if near.nodes:
        yield say("{at} is not there; did you mean {nodes}?", at=at, nodes=", ".join(near.nodes))


def _misfit(probed: Probed, role: str, number: int, answer: Answer) -> str:
    """Tell where a value came that the point's type does not take."""
    if role == "state" or probed.probe.snapshot.flags.get(number) != "bad-configuration":
        return ""
    kind = probed.probe.instrument.points[number].type
    return say("the server has {kind}, the profile says {type}", kind=_type(answer), type=kind)


def as_json(probed: Probed, points: Collection[str]) -> Mapping[str, object]:
    """Give the same for machines."""
    told: dict[str, object] = {}
    states: list[object] = []
    for role, number, at, answer, near in probed.probe.rows():
        each: dict[str, object] = {"at": at, "server": _told(answer, probed.now), **_near(near)}
        if role == "state":
            states.append({**each, "value": probed.snapshot.states[number]})
            continue
        point = probed.probe.instrument.points[number]
        if point.name in points:
            value = probed.snapshot.values[number]
            judged = {"value": value, "unit": point.unit, "flag": probed.snapshot.flags.get(number)}
            each |= {key: given for key, given in judged.items() if given not in (None, "")}
            each |= {"uncertain": True} if number in probed.snapshot.uncertain else {}
            told[point.name] = each
    return {"instrument": probed.probe.instrument.name, "line": probed.line.name, "url": probed.line.url,
            "at": probed.snapshot.at, "points": told, "states": states,
            "remarks": list(remarks(probed, points))}  # fmt: skip


def _told(answer: Answer, now: int) -> Mapping[str, object]:
    at = _measured(answer)
    told = {
        **answer_as_json(answer),
        "type": _type(answer),
        "meaning": meaning(answer.said, answer.status),
        "age": None if at is None else now - at,
    }
    return {key: value for key, value in told.items() if value not in (None, "")}


def _near(near: Near) -> Mapping[str, object]:
    told = {"near": list(near.nodes), "namespaces": list(near.namespaces)}
    return {key: value for key, value in told.items() if value}
