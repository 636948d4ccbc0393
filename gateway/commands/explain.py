"""`parkgate explain SITE INSTRUMENT.POINT`: what a value was made of, from its registers or by its formula."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parkgate.config.derived import Derived
from parkgate.config.factors import known_factor
from parkgate.config.formulas import Quantity
from parkgate.config.language import language, say
from parkgate.config.load import load_site
from parkgate.config.profile import Point
from parkgate.config.site import Instrument, Site
from parkgate.gateway.commands.explaining import Computed, Measured, Told, explain
from parkgate.gateway.messages.table import flag_words

HELP = "explain a value: its registers, scale and states, or the inputs, numbers and formula of a derived point"

Cells = tuple[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("site", type=Path, metavar="SITE")
    parser.add_argument("point", metavar="INSTRUMENT.POINT")
    parser.add_argument("--json", action="store_true", help=say("print JSON"))


def run(arguments: argparse.Namespace) -> int:
    """Explain one point: 0; 1 if it cannot be read, 2 if there is none of this name."""
    site = load_site(arguments.site)
    named = _named(site, arguments.point)
    if isinstance(named, str):
        print(named, file=sys.stderr)
        return 2
    explained = asyncio.run(explain(site, *named))
    if arguments.json:
        told = _computed_as_json(explained) if isinstance(explained, Computed) else _measured_as_json(explained)
        print(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        _show(Console(highlight=False), explained)
    return 0


def _named(site: Site, reference: str) -> tuple[Instrument, Point | Derived] | str:
    """Give the instrument and point of a name, or what to say where there is none."""
    name, _, point = reference.partition(".")
    instrument = next((each for each in site.instruments if each.name == name), None)
    if instrument is None:
        known = ", ".join(each.name for each in site.instruments)
        return say('there is no instrument "{name}" in {file}; known: {known}', name=name, file=site.path, known=known)
    found = next((each for each in instrument.quantities if each.name == point), None)
    if found is None:
        known = ", ".join(each.name for each in instrument.quantities)
        return say('instrument "{name}" has no point "{point}"; known: {known}', name=name, point=point, known=known)
    return instrument, found


def _show(console: Console, explained: Measured | Computed) -> None:
    point, told = explained.point, explained.told
    head = Text.assemble((f"{explained.instrument.name}.{point.name}", "bold"), f"  {point.title}".rstrip(), "  ")
    value = Text(_value(told, point.unit), style="yellow" if told.flag else "green")
    console.print(Text.assemble(head, value), soft_wrap=True)
    about = _about_computed(explained) if isinstance(explained, Computed) else _about_measured(explained)
    console.print(_pairs(about))
    if isinstance(explained, Computed):
        console.print(_quantities(explained))
        for each in explained.behind:
            console.print()
            _show(console, each)
    elif explained.states:
        console.print(_states(explained))


def _value(told: Told, unit: str) -> str:
    words = flag_words()
    value = "-" if told.value is None else f"{told.value} {unit}".rstrip()
    return value if told.flag is None else f"{value}  {words[told.flag]}"


def _pairs(pairs: Iterator[Cells]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for pair in pairs:
        table.add_row(*map(Text, pair))
    return table


def _about_computed(explained: Computed) -> Iterator[Cells]:
    formula, point = explained.formula, explained.point
    yield say("formula"), f"{formula.zh if language() == 'zh' else formula.en} ({point.formula})"
    yield "", formula.text
    yield say("source"), formula.source
    given = formula.gives or next((each.source.unit for each in explained.used if each.name == formula.like), "")
    if (point.scale, point.offset) != (1.0, 0.0):
        yield say("converted"), say("from {unit} by × {factor}", unit=given, factor=f"{point.scale:.9g}")
    yield from _about_both(point)


def _about_measured(explained: Measured) -> Iterator[Cells]:
    point, instrument = explained.point, explained.instrument
    order = f", {point.order or instrument.order}" if instrument.protocol == "modbus" and point.type != "bool" else ""
    yield say("address"), f"{point.at} ({point.type}{order})"
    if instrument.protocol == "modbus":
        yield say("registers"), " ".join(explained.registers) or "-"
        yield say("raw"), "-" if explained.raw is None else f"{explained.raw}"
    scaled = say("raw × {scale} + {offset}", scale=f"{point.scale:.9g}", offset=f"{point.offset:.9g}")
    yield say("value"), scaled
    if conversion := instrument.conversions.get(point.name):
        said = say("from {unit} by × {factor}", unit=conversion.unit, factor=f"{conversion.factor:.9g}")
        yield say("converted"), said + _by_molar_mass(conversion.molar, conversion.at)
    if point.invalid:
        yield say("invalid"), ", ".join(map(str, point.invalid))
    yield from _about_both(point)


def _by_molar_mass(molar: float | None, at: int | None) -> str:
    return "" if molar is None else say(" (molar mass {molar} g/mol, at {at} °C)", molar=molar, at=at)


def _about_both(point: Point | Derived) -> Iterator[Cells]:
    if point.range is not None:
        yield say("range"), f"{point.range[0]:g} … {point.range[1]:g} {point.unit}".rstrip()
    if point.digits is not None:
        yield say("digits"), str(point.digits)
    if (factor := known_factor(point.factor)) is not None:
        formats = ", ".join(f"{form} ({version})" for version, form in factor.formats.items())
        name = factor.zh if language() == "zh" else factor.en
        yield say("factor"), ", ".join(filter(None, [f"{point.factor} {name}", factor.unit, formats]))


def _words(quantity: Quantity) -> str:
    return quantity.zh if language() == "zh" else quantity.en


def _quantities(explained: Computed) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for header in (say("quantity"), say("meaning"), say("from")):
        table.add_column(header, overflow="fold")
    table.add_column(say("value"), justify="right", overflow="fold")
    for header in (say("unit"), say("flag"), say("used as")):
        table.add_column(header, overflow="fold")
    words = flag_words()
    for each in explained.used:
        told, source = each.told, each.source
        converted = (source.factor, source.offset) != (1.0, 0.0) and each.taken is not None
        row = (
            each.name,
            _words(each.quantity),
            f"{source.instrument}.{source.point}".lstrip("."),
            "-" if told.value is None else str(told.value),
            source.unit,
            words[told.flag] if told.flag else "",
            f"{each.taken:.9g} {each.quantity.unit}".rstrip() if converted else "",
        )
        table.add_row(*map(Text, row), style="yellow" if told.flag else "")
    for name, number in explained.point.constants.items():
        quantity = explained.formula.quantities[name]
        cells = (name, _words(quantity), say("number"), f"{number:g}", quantity.unit, "", "")
        table.add_row(*map(Text, cells))
    return table


def _states(explained: Measured) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for header in (say("state"), say("equals"), say("flag"), say("reads")):
        table.add_column(header, overflow="fold")
    words = flag_words()
    for each in explained.states:
        state = each.state
        bits = f" [{state.bits[0]}, {state.bits[1]}]" if state.bits else ""
        equals = ", ".join(map(str, state.equals)) or say("changes all the time")
        reads = "-" if each.reading is None else str(each.reading)
        holds = each.reading in state.equals
        cells = (f"{state.at}{bits}", equals, words[state.flag], reads)
        table.add_row(*map(Text, cells), style="yellow" if holds else "")
    return table


def _told_as_json(told: Told, unit: str) -> dict[str, object]:
    given = {"value": told.value, "unit": unit, "flag": told.flag, "at": told.at}
    return {name: value for name, value in given.items() if value not in (None, "")}


def _head_as_json(explained: Measured | Computed) -> dict[str, object]:
    point = explained.point
    head: dict[str, object] = {"instrument": explained.instrument.name, "point": point.name}
    head |= {"title": point.title} if point.title else {}
    head |= _told_as_json(explained.told, point.unit)
    about = {"factor": point.factor, "range": point.range, "digits": point.digits}
    return head | {name: value for name, value in about.items() if value is not None}


def _computed_as_json(explained: Computed) -> dict[str, object]:
    formula, point = explained.formula, explained.point
    used: dict[str, object] = {
        each.name: {
            "meaning": each.quantity.en,
            "from": f"{each.source.instrument}.{each.source.point}".lstrip("."),
            **_told_as_json(each.told, each.source.unit),
            **({} if each.taken is None else {"used": each.taken}),
        }
        for each in explained.used
    }
    return _head_as_json(explained) | {
        "formula": point.formula,
        "words": formula.en,
        "text": formula.text,
        "source": formula.source,
        "of": used,
        "with": dict(point.constants),
        "scale": point.scale,
        "offset": point.offset,
        "behind": [_computed_as_json(each) for each in explained.behind],
    }


def _measured_as_json(explained: Measured) -> dict[str, object]:
    point, instrument = explained.point, explained.instrument
    conversion = instrument.conversions.get(point.name)
    states: Sequence[dict[str, object]] = [
        {"at": each.state.at, "bits": each.state.bits, "equals": each.state.equals, "flag": each.state.flag,
         "value": each.reading, "holds": each.reading in each.state.equals}
        for each in explained.states
    ]  # fmt: skip
    return _head_as_json(explained) | {
        "address": point.at,
        "type": point.type,
        "order": point.order or instrument.order,
        "registers": list(explained.registers),
        "raw": explained.raw,
        "scale": point.scale,
        "offset": point.offset,
        "invalid": list(point.invalid),
        "converted": conversion.model_dump(exclude_none=True) if conversion else None,
        "states": states,
    }
