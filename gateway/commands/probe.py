"""`parkgate probe SITE INSTRUMENT`: one read, and beside every point what the instrument said: registers, or nodes."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from parkgate.config.flag import Flag
from parkgate.config.language import say
from parkgate.config.line_checks import kind_of
from parkgate.config.load import load_site
from parkgate.config.site import Instrument, Line, Site
from parkgate.drivers.faults import Fault
from parkgate.drivers.modbus.assistant import Advice, agreed
from parkgate.drivers.modbus.probing import Probe, advices, probe
from parkgate.drivers.snapshot import Snapshot
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.commands import probe_nodes_table
from parkgate.gateway.commands.asked_line import agent_of, asked_line
from parkgate.gateway.commands.probe_nodes import fine, probed
from parkgate.gateway.commands.probe_table import as_json, show
from parkgate.gateway.commands.trace import Trace
from parkgate.gateway.processing.validity import Judge

HELP = "read an instrument once: its registers or nodes beside every point, and what a doubtful one may be"
_WRONG = frozenset({Flag.FAULT, Flag.NO_COMMUNICATION, Flag.OUT_OF_RANGE, Flag.BAD_CONFIGURATION})
"""Flags that need a look; the others an instrument says of itself in its daily life."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What one probe found: the read and its judged snapshot, the advice on every point, and what all agree on."""

    probe: Probe
    snapshot: Snapshot
    advices: Mapping[str, Advice]
    agreed: str

    def fine(self, points: Collection[str]) -> bool:
        """Tell whether nothing of these points needs a look."""
        flags = [self.snapshot.flags.get(index) for index, point in enumerate(self.probe.instrument.points)
                 if point.name in points]  # fmt: skip
        return _WRONG.isdisjoint(flags) and not any(self.advices[name].doubtful for name in points)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("site", type=Path, metavar="SITE")
    parser.add_argument("instrument", metavar="INSTRUMENT")
    parser.add_argument("points", nargs="*", metavar="POINT", help=say("show these points only"))
    parser.add_argument(
        "--all-orders", action="store_true", help=say("show all orders and bases also of points that are not doubtful")
    )
    parser.add_argument("--trace", action="store_true", help=say("show every frame in hex with what it means"))
    parser.add_argument("--json", action="store_true", help=say("print JSON"))


def run(arguments: argparse.Namespace) -> int:
    """Read once and show it: 0, or 1 if a point needs a look or nothing answers; 2 if there is no such point."""
    site = load_site(arguments.site)
    named = _named(site, arguments.instrument, arguments.points)
    if isinstance(named, str):
        print(named, file=sys.stderr)
        return 2
    instrument, line = named
    points = arguments.points or [point.name for point in instrument.points]
    if kind_of(line) != "opcua":
        return _registers(arguments, site, line, instrument, points)
    if arguments.all_orders or arguments.trace:
        print(say("--all-orders and --trace mean nothing on an OPC UA line; leave them out"), file=sys.stderr)
        return 2
    return _nodes(arguments, site, line, instrument, points)


def _registers(
    arguments: argparse.Namespace, site: Site, line: Line, instrument: Instrument, points: Collection[str]
) -> int:
    """Read a Modbus instrument once and show it."""
    wanted = points if arguments.all_orders else ()
    console = Console(highlight=False)
    trace = Trace(rtu=kind_of(line) != "tcp", console=None if arguments.json else console, on=arguments.trace)
    try:
        found = asyncio.run(_probe(site, line, instrument, wanted, trace))
    except Fault as fault:
        if not arguments.json:
            raise
        print(_document({"instrument": instrument.name, **_told(fault), **trace.as_json()}))
        return 1
    if arguments.json:
        told = as_json(line, found.probe, found.snapshot, found.advices, points)
        print(_document({**told, "advice": found.agreed, **trace.as_json()}))
    else:
        show(console, line, found.probe, found.snapshot, found.advices, points, wanted)
        console.print(found.agreed, end="\n" if found.agreed else "", markup=False, soft_wrap=True)
    return 0 if found.fine(points) else 1


def _nodes(
    arguments: argparse.Namespace, site: Site, line: Line, instrument: Instrument, points: Collection[str]
) -> int:
    """Read an OPC UA instrument once and show it."""
    try:
        found = asyncio.run(probed(site, line, instrument))
    except Fault as fault:
        if not arguments.json:
            raise
        print(_document({"instrument": instrument.name, **_told(fault)}))
        return 1
    if arguments.json:
        print(_document(probe_nodes_table.as_json(found, points)))
    else:
        Console(highlight=False).print(probe_nodes_table.table(found, points))
    return 0 if fine(found, points, _WRONG) else 1


def _told(fault: Fault) -> Mapping[str, object]:
    return {"fault": {"what": fault.what, "where": fault.where, "next": fault.hint}}


def _document(told: Mapping[str, object]) -> str:
    return json.dumps(told, ensure_ascii=False, indent=2)


def _named(site: Site, name: str, points: Collection[str]) -> tuple[Instrument, Line] | str:
    """Give the instrument of a name and its line, or what to say where it or one of the points is not there."""
    instrument = next((each for each in site.instruments if each.name == name), None)
    if instrument is None:
        known = ", ".join(each.name for each in site.instruments)
        return say('there is no instrument "{name}" in {file}; known: {known}', name=name, file=site.path, known=known)
    there = [each.name for each in instrument.points]
    for point in points:
        if point not in there:
            return say('instrument "{name}" has no point "{point}"; known: {known}',
                       name=name, point=point, known=", ".join(there))  # fmt: skip
    return instrument, next(each for each in site.lines if each.name == instrument.line)


async def _probe(site: Site, line: Line, instrument: Instrument, wanted: Collection[str], trace: Trace) -> Probed:
    async with asked_line(agent_of(site), line, trace.traced) as asked:
        found = await probe(asked, instrument, SystemClock().now)
        told = await advices(asked, found, wanted)
    judged = Judge.of(instrument)(found.snapshot)
    return Probed(found, judged, told, agreed(told.values(), found.cells))
