"""How `probe` shows what it read: a table of points with their registers, one of candidates a doubtful point."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parkgate.config.language import say
from parkgate.config.site import Line
from parkgate.drivers.modbus.assistant import Advice, Candidate, shown
from parkgate.drivers.modbus.meaning import exception
from parkgate.drivers.modbus.plan import Field
from parkgate.drivers.modbus.probing import Probe
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.messages.table import flag_words


def show(
    console: Console,
    line: Line,
    probe: Probe,
    snapshot: Snapshot,
    advices: Mapping[str, Advice],
    points: Collection[str],
    wanted: Collection[str],
) -> None:
    """Print some points of an instrument, its states, and the candidates of those that are doubtful or `wanted`."""
    instrument = probe.instrument
    where = say("unit {unit} on {line} ({url}), profile {profile}", unit=instrument.unit, line=line.name, url=line.url,
                profile=instrument.profile)  # fmt: skip
    name = f"{instrument.name} {instrument.title}".rstrip()
    console.print(Text.assemble((name, "bold"), "  ", where), soft_wrap=True)
    console.print(_table(probe, snapshot, advices, points))
    for field, code in _refusals(probe, points):
        console.print(Text(f"{_name(probe, field)}: {exception(code)}", style="red"), soft_wrap=True)
    for name, advice in advices.items():
        if name in points and (advice.doubtful or name in wanted):
            console.print()
            told = Text.assemble((name, "bold"), f" ({advice.place.point.at}): ", advice.words())
            console.print(told, style="yellow" if advice.doubtful else "", soft_wrap=True)
            console.print(_candidates(advice))


def as_json(
    line: Line, probe: Probe, snapshot: Snapshot, advices: Mapping[str, Advice], points: Collection[str]
) -> dict[str, object]:
    """Give the same for machines."""
    told: dict[str, object] = {}
    states: list[dict[str, object]] = []
    for field in probe.fields():
        each: dict[str, object] = {"at": _at(probe, field), "registers": _words(field, probe.words(field))}
        if (code := probe.exception(field)) is not None:
            each["exception"] = code
        if field.role == "state":
            states.append({**each, "value": snapshot.states[field.index]})
            continue
        point = probe.instrument.points[field.index]
        if point.name in points:
            value = {"value": snapshot.values[field.index], "unit": point.unit, "flag": snapshot.flags.get(field.index)}
            each |= {name: given for name, given in value.items() if given not in (None, "")}
            told[point.name] = each | _advice_as_json(advices[point.name])
    instrument = probe.instrument
    return {"instrument": instrument.name, "line": line.name, "url": line.url, "unit": instrument.unit,
            "at": snapshot.at, "points": told, "states": states}  # fmt: skip


def _advice_as_json(advice: Advice) -> dict[str, object]:
    candidates = [
        {
            "order": each.order,
            "base": each.base,
            "register": each.register,
            "registers": [f"{word:04X}" for word in each.cells],
            "value": each.value,
            "plausible": each.plausible,
            "configured": each.configured,
        }
        for each in advice.candidates
    ]
    return {"doubtful": advice.doubtful, "verdict": advice.verdict, "advice": advice.words(), "candidates": candidates}


def _table(probe: Probe, snapshot: Snapshot, advices: Mapping[str, Advice], points: Collection[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for header in (say("point"), say("address"), say("registers")):
        table.add_column(header, overflow="fold")
    table.add_column(say("value"), justify="right", overflow="fold")
    for header in (say("unit"), say("flag"), ""):
        table.add_column(header, overflow="fold")
    words = flag_words()
    for field in probe.fields():
        cells: Sequence[str]
        style = ""
        if field.role == "state":
            value = snapshot.states[field.index]
            cells = ("-" if value is None else str(value), "", "", "")
        else:
            point = probe.instrument.points[field.index]
            if point.name not in points:
                continue
            value_, flag = snapshot.values[field.index], snapshot.flags.get(field.index, "")
            doubtful = say("doubtful") if advices[point.name].doubtful else ""
            cells = ("-" if value_ is None else str(value_), point.unit, words.get(flag, flag), doubtful)
            style = "yellow" if flag or doubtful else ""
        first = (_name(probe, field), _at(probe, field), _shown(field, probe.words(field)))
        table.add_row(*map(Text, (*first, *cells)), style=style)
    return table


def _refusals(probe: Probe, points: Collection[str]) -> Iterator[tuple[Field, int]]:
    for field in probe.fields():
        code = probe.exception(field)
        if code is not None and (field.role == "state" or probe.instrument.points[field.index].name in points):
            yield field, code


def _candidates(advice: Advice) -> Table:
    point = advice.place.point
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for header in (say("order"), say("counting from"), say("register"), say("registers")):
        table.add_column(header, no_wrap=True, justify="right" if header == say("register") else "left")
    table.add_column(say("value"), justify="right", overflow="fold")
    for header in (say("unit"), say("plausible"), ""):
        table.add_column(header, overflow="fold")
    for each in advice.candidates:
        note = say("as configured") if each.configured else ""
        cells = (each.order, str(each.base), str(each.register), _shown(advice.place.field, each.cells),
                 shown(each.value), point.unit, say("yes") if each.plausible else say("no"), note)  # fmt: skip
        table.add_row(*map(Text, cells), style=_style(each))
    return table


def _style(candidate: Candidate) -> str:
    return "green" if candidate.plausible else "dim"


def _name(probe: Probe, field: Field) -> str:
    if field.role == "point":
        return probe.instrument.points[field.index].name
    return say("state {number}", number=field.index + 1)


def _at(probe: Probe, field: Field) -> str:
    things = probe.instrument.points if field.role == "point" else probe.instrument.states
    return things[field.index].at


def _words(field: Field, words: Sequence[int]) -> list[str]:
    return [str(word) if field.table in {"coil", "discrete"} else f"{word:04X}" for word in words]


def _shown(field: Field, words: Sequence[int]) -> str:
    return " ".join(_words(field, words)) or "-"
