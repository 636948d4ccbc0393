"""`parkgate probe SITE INSTRUMENT`: one read, the raw registers beside every point, and what a doubtful one may be."""

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
from parkgate.gateway.commands.asked_line import agent_of, asked_line, refuse_opcua
from parkgate.gateway.commands.probe_table import as_json, show
from parkgate.gateway.commands.trace import Trace
from parkgate.gateway.processing.validity import Judge

HELP = "read an instrument once: its registers beside every point, and all orders and bases of a doubtful one"
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
    wanted = points if arguments.all_orders else ()
    console = Console(highlight=False)
    trace = Trace(rtu=kind_of(line) != "tcp", console=None if arguments.json else console, on=arguments.trace)
    try:
        probed = asyncio.run(_probe(site, line, instrument, wanted, trace))
    except Fault as fault:
        if not arguments.json:
            raise
        said = {"what": fault.what, "where": fault.where, "next": fault.hint}
        print(_document({"instrument": instrument.name, "fault": said, **trace.as_json()}))
        return 1
    if arguments.json:
        told = as_json(line, probed.probe, probed.snapshot, probed.advices, points)
        print(_document({**told, "advice": probed.agreed, **trace.as_json()}))
    else:
        show(console, line, probed.probe, probed.snapshot, probed.advices, points, wanted)
        console.print(probed.agreed, end="\n" if probed.agreed else "", markup=False, soft_wrap=True)
    return 0 if probed.fine(points) else 1


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
    refuse_opcua(line)
    async with asked_line(agent_of(site), line, trace.traced) as asked:
        found = await probe(asked, instrument, SystemClock().now)
        told = await advices(asked, found, wanted)
    judged = Judge.of(instrument)(found.snapshot)
    return Probed(found, judged, told, agreed(told.values(), found.cells))
