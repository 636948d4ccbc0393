"""`parkgate simulate`: a simulated park that any Modbus or OPC UA tool, and any gateway, can ask."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parkgate.config.arguments import add_duration
from parkgate.config.language import say
from parkgate.config.problem import Problems
from parkgate.config.site import Instrument
from parkgate.drivers.modbus.address import parse
from parkgate.simulator.park import CannotListen, Park
from parkgate.simulator.scenario import Scenario, load_scenario, packaged

HELP = "stand in for a park's instruments: serve a scenario on Modbus TCP and OPC UA"

_MODBUS_TABLES = {"coil": "0", "discrete": "1", "input": "3", "holding": "4"}
"""What the tool mbpoll calls them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one instrument answers: the `url` of its line as it listens now, and its unit or its first node there."""

    instrument: Instrument
    url: str

    def as_json(self) -> dict[str, object]:
        """Give it as a JSON object; `unit` for Modbus, `node` (the id of its first point) for OPC UA."""
        parts, each = urlsplit(self.url), self.instrument
        where = {"unit": each.unit} if each.protocol == "modbus" else {"node": each.points[0].at}
        return {
            "instrument": each.name,
            "title": each.title,
            "profile": each.profile,
            "protocol": each.protocol,
            "url": self.url,
            "host": parts.hostname,
            "port": parts.port,
            **where,
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes to its parser."""
    parser.add_argument(
        "scenario",
        metavar="SCENARIO",
        help=say("a scenario file, or one that comes with the package: {names}", names=", ".join(packaged())),
    )
    parser.add_argument("--any-port", action="store_true", help=say("listen on free ports instead of the site file's"))
    add_duration(parser)
    parser.add_argument("--json", action="store_true", help=say("print where everything listens as one JSON line"))


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C, SIGTERM, a hangup or the end of `--for`: 0; 1 if a scenario or a port will not do."""
    try:
        scenario = load_scenario(arguments.scenario)
        asyncio.run(_serve(scenario, arguments))
    except (Problems, CannotListen) as trouble:
        print(trouble, file=sys.stderr)
        return 1
    return 0


def told_to_stop() -> asyncio.Event:
    """Give what is set by Ctrl-C, SIGTERM or a closed terminal; the latter not where it is ignored, as by `nohup`."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _serve(scenario: Scenario, arguments: argparse.Namespace) -> None:
    stop = told_to_stop()
    async with Park(scenario, any_port=arguments.any_port) as park:
        _tell(scenario, park.urls, as_json=arguments.json)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, park.running}, timeout=arguments.duration, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()


def _tell(scenario: Scenario, urls: Mapping[str, str], *, as_json: bool) -> None:
    places = [Place(each, urls[each.line]) for each in scenario.site.instruments]
    if as_json:
        document = {"title": scenario.head.title, "instruments": [place.as_json() for place in places]}
        print(json.dumps(document, ensure_ascii=False), flush=True)
        return
    console = Console(highlight=False)
    console.print(_table(scenario.head.title, places))
    for sentence, command in _examples(places):
        console.print(sentence)
        console.print(f"  {command}", markup=False, soft_wrap=True)
    console.print(say("Ctrl-C stops it."))
    sys.stdout.flush()


def _table(title: str, places: list[Place]) -> Table:
    table = Table(
        title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for heading in (say("instrument"), say("title"), say("protocol"), say("host"), say("port"), say("unit or node")):
        table.add_column(heading, no_wrap=heading == say("instrument"), overflow="fold")
    for place in places:
        each, parts = place.instrument, urlsplit(place.url)
        where = str(each.unit) if each.protocol == "modbus" else each.points[0].at.rpartition(";")[2]
        protocol = "Modbus TCP" if each.protocol == "modbus" else "OPC UA"
        table.add_row(*map(Text, (each.name, each.title, protocol, parts.hostname or "", str(parts.port), where)))
    return table


def _examples(places: list[Place]) -> list[tuple[str, str]]:
    """Give one command a protocol that asks the first instrument there is, with tools that anyone can get."""
    by_protocol = {place.instrument.protocol: place for place in reversed(places)}
    examples = []
    if (place := by_protocol.get("modbus")) is not None:
        examples.append((say("Ask one with a Modbus tool (Debian: apt install mbpoll):"), _mbpoll(place)))
    if (place := by_protocol.get("opcua")) is not None:
        sentence = say("Look around with an OPC UA tool (this one comes with the package asyncua):")
        examples.append((sentence, f"uals --url {place.url} --depth 3"))
    return examples


def _mbpoll(place: Place) -> str:
    each, parts, point = place.instrument, urlsplit(place.url), place.instrument.points[0]
    address = parse(point.at, each.base)
    kind = _MODBUS_TABLES[address.table]
    if point.type == "float32" and (point.order or each.order) in ("ABCD", "CDAB"):
        kind += ":float" + (" -B" if (point.order or each.order) == "ABCD" else "")
    return f"mbpoll -m tcp -a {each.unit} -t {kind} -0 -r {address.register} -1 -p {parts.port} {parts.hostname}"
