"""Where a park's instruments answer, and how to ask them with tools that anyone can get. Prints nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from rich.table import Table
from rich.text import Text

from parkgate.config.language import say
from parkgate.config.site import Instrument
from parkgate.drivers.modbus.address import parse
from parkgate.simulator.episode_checks import Serve
from parkgate.simulator.scenario import Scenario

_MODBUS_TABLES = {"coil": "0", "discrete": "1", "input": "3", "holding": "4"}
"""What the tool mbpoll calls them."""
_PROTOCOLS = {"tcp": "Modbus TCP", "rtu-over-tcp": "Modbus RTU/TCP", "pty": "Modbus RTU"}


_PLAIN = Serve()


@dataclass(frozen=True, slots=True)
class Place:
    """Where one instrument answers: its line as it listens now, how that is served, and its unit or first node there.

    `url` is the path of a terminal where the line is served on one.
    """

    instrument: Instrument
    url: str
    serve: Serve = _PLAIN

    @property
    def protocol(self) -> str:
        """The protocol, for people."""
        return "OPC UA" if self.instrument.protocol == "opcua" else _PROTOCOLS[self.serve.as_]

    def as_json(self) -> dict[str, object]:
        """Give it as a JSON object; `unit` for Modbus, `node` (the id of its first point) for OPC UA."""
        parts, each = urlsplit(self.url), self.instrument
        where = {"unit": each.unit} if each.protocol == "modbus" else {"node": each.points[0].at}
        listens = {"path": self.url} if self.serve.as_ == "pty" else {"host": parts.hostname, "port": parts.port}
        return {
            "instrument": each.name,
            "title": each.title,
            "profile": each.profile,
            "protocol": each.protocol,
            "url": self.url,
            **listens,
            **where,
        }


def places(scenario: Scenario, urls: Mapping[str, str]) -> list[Place]:
    """Give the place of every instrument, by where each line listens."""
    serve = scenario.serve
    return [Place(each, urls[each.line], serve.get(each.line, Serve())) for each in scenario.site.instruments]


def places_table(title: str, found: Sequence[Place]) -> Table:
    """Give the table of where each instrument answers."""
    table = Table(
        title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for heading in (say("instrument"), say("title"), say("protocol"), say("host"), say("port"), say("unit or node")):
        table.add_column(heading, no_wrap=heading == say("instrument"), overflow="fold")
    for place in found:
        each, parts = place.instrument, urlsplit(place.url)
        where = str(each.unit) if each.protocol == "modbus" else each.points[0].at.rpartition(";")[2]
        host, port = (place.url, "") if place.serve.as_ == "pty" else (parts.hostname or "", str(parts.port))
        table.add_row(*map(Text, (each.name, each.title, place.protocol, host, port, where)))
    return table


def examples(found: Sequence[Place]) -> list[tuple[str, str]]:
    """Give one command a way of serving that asks the first instrument there is, with tools that anyone can get."""
    by_protocol = {place.protocol: place for place in reversed(found)}
    sentence = say("Ask one with a Modbus tool (Debian: apt install mbpoll):")
    modbus = [by_protocol[protocol] for protocol in _PROTOCOLS.values() if protocol in by_protocol]
    asked = [(sentence, command) for command in map(_mbpoll, modbus) if command]
    if (place := by_protocol.get("OPC UA")) is not None:
        sentence = say("Look around with an OPC UA tool (this one comes with the package asyncua):")
        asked.append((sentence, f"uals --url {place.url} --depth 3"))
    return asked


def _mbpoll(place: Place) -> str:
    """Give the command of mbpoll; "" for RTU over TCP, which it does not speak."""
    each, parts, point = place.instrument, urlsplit(place.url), place.instrument.points[0]
    address = parse(point.at, each.base)
    kind = _MODBUS_TABLES[address.table]
    if point.type == "float32" and (point.order or each.order) in ("ABCD", "CDAB"):
        kind += ":float" + (" -B" if (point.order or each.order) == "ABCD" else "")
    ask = f"-a {each.unit} -t {kind} -0 -r {address.register} -1"
    if place.serve.as_ == "pty":
        return f"mbpoll -m rtu -b {place.serve.baudrate} -P none {ask} {place.url}"
    return f"mbpoll -m tcp {ask} -p {parts.port} {parts.hostname}" if place.serve.as_ == "tcp" else ""
