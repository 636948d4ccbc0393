"""What to ask an OPC UA server: node ids parsed once, each node asked once a cycle, in blocks of bounded size."""

from __future__ import annotations

import base64
import math
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from parkgate.config.language import say
from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.drivers.faults import Unusable

MAX_BLOCK = 200
"""Nodes a Read: decoding more in one piece would hold up the other lines (1,000 take about 15 ms)."""

DEFAULT_PORT = 4840
"""OPC UA's registered TCP port (OPC 10000-6, 7.2)."""

MOST_PUBLISHING_MS = 10_000
"""The longest publishing interval: a slow instrument's server shows signs of life all the same."""
KEEPALIVE_MS, LIFETIME_MS = 5_000, 60_000
"""How often a subscription says at least that it lives, and how long its server keeps it if nobody listens."""
LONGEST_QUEUE = 1_000

Identifier = int | str | uuid.UUID | bytes

_NODE_ID = re.compile(r"(?:ns=(?P<ns>[0-9]{1,5});|nsu=(?P<nsu>[^;]+);)?(?P<kind>[isgb])=(?P<id>.+)", re.DOTALL)
_MAX_INDEX = 0xFFFF
_MAX_NUMBER = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node id as the profile writes it.

    `namespace` is an index, or a URI whose index only the server knows; `identifier` is a number, a text, a GUID or
    bytes, one Python type each (OPC 10000-6, 5.1.12).
    """

    namespace: int | str
    identifier: Identifier


@dataclass(frozen=True, slots=True)
class Plan:
    """The nodes of an instrument, each once, and for every point and then every state its index into `nodes`."""

    nodes: tuple[NodeAddress, ...]
    points: tuple[int, ...]
    states: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Deadband:
    """How much a node must change to be told: `percent` of its EURange, else in what it holds (OPC 10000-8, 7.2)."""

    size: float
    percent: bool


@dataclass(frozen=True, slots=True)
class Pace:
    """How an instrument is followed: `publishing` and `sampling` in ms, `queue` in changes of one node.

    `keepalives` and `lifetimes` are counts of publishing intervals (OPC 10000-4, 5.14.1).
    """

    publishing: float
    sampling: float
    queue: int
    keepalives: int
    lifetimes: int


def pace(instrument: Instrument) -> Pace:
    """Decide how an instrument is followed: its queue holds what two publishing intervals can bring."""
    publishing = float(min(instrument.every, MOST_PUBLISHING_MS))
    sampling = instrument.every / 10 if instrument.sampling is None else float(instrument.sampling)
    keepalives = max(1, round(KEEPALIVE_MS / publishing))
    return Pace(
        publishing=publishing,
        sampling=sampling,
        queue=queue(publishing, sampling),
        keepalives=keepalives,
        lifetimes=max(3 * keepalives, math.ceil(LIFETIME_MS / publishing)),
    )


def queue(publishing: float, sampling: float) -> int:
    """Give how many changes of a node two publishing intervals can bring (both ms), at least two."""
    return min(max(2, math.ceil(2 * publishing / sampling)), LONGEST_QUEUE) if sampling > 0 else LONGEST_QUEUE


def deadbands(instrument: Instrument, nodes: Plan) -> Mapping[int, Deadband]:
    """Give the deadband of each node that has one, by index; of several points of one node the finest, or none."""
    found: dict[int, list[Deadband | None]] = {}
    for place, point in zip(nodes.points, instrument.points, strict=True):
        found.setdefault(place, []).append(_deadband(point))
    for place in nodes.states:
        found.setdefault(place, []).append(None)
    return {
        place: min((each for each in those if each is not None), key=lambda each: each.size)
        for place, those in found.items()
        if None not in those and len({each.percent for each in those if each is not None}) == 1
    }


def _deadband(point: Point) -> Deadband | None:
    """Give a point's deadband in what its node holds: the profile's scale is ours alone."""
    if point.deadband is None:
        return None
    if isinstance(point.deadband, str):
        return Deadband(float(point.deadband.removesuffix("%")), percent=True)
    return Deadband(point.deadband / abs(point.scale), percent=False)


def _identifier(kind: str, text: str) -> Identifier:
    if kind == "s":
        return text
    if kind == "g":
        return uuid.UUID(text)
    if kind == "b":
        return base64.b64decode(text, validate=True)
    if not (text.isascii() and text.isdigit()) or (number := int(text)) > _MAX_NUMBER:
        raise ValueError(text)
    return number


def _address(text: str) -> NodeAddress:
    match = _NODE_ID.fullmatch(text)
    if match is None:
        raise ValueError(text)
    namespace = unquote(match["nsu"]) if match["nsu"] else int(match["ns"] or 0)
    if isinstance(namespace, int) and namespace > _MAX_INDEX:
        raise ValueError(text)
    return NodeAddress(namespace, _identifier(match["kind"], match["id"]))


def parse(at: str, *, where: str) -> NodeAddress:
    """Parse a node id: `ns=2;i=5`, `nsu=urn:tank;s=T1.Level`, `i=84`, `ns=1;g=<GUID>`, `ns=1;b=<Base64>`.

    In a URI `%3B` stands for a semicolon and `%25` for a percent sign (OPC 10000-6, 5.1.12); without a namespace it is
    OPC UA's own (0).

    Raises:
        Unusable: the text is not a node id; `where` says whose it is.

    """
    try:
        return _address(at)
    except ValueError as error:
        raise Unusable(
            say('"{at}" is not an OPC UA node id', at=at),
            where=where,
            hint=say('Copy it from an OPC UA browser; it looks like "nsu=urn:tank;s=T1.Level" or "ns=2;i=5".'),
        ) from error


def plan(instrument: Instrument) -> Plan:
    """Decide which nodes one cycle of an instrument asks: those of its points and states, each once.

    Raises:
        Unusable: a point's or a state's `at` is not a node id.

    """
    named = [(point.at, f"points.{point.name}.at") for point in instrument.points]
    named += [(state.at, f"state {number}, at") for number, state in enumerate(instrument.states, start=1)]
    place: dict[NodeAddress, int] = {}
    indices = [
        place.setdefault(parse(at, where=f'instrument "{instrument.name}", {key}'), len(place)) for at, key in named
    ]
    count = len(instrument.points)
    return Plan(nodes=tuple(place), points=tuple(indices[:count]), states=tuple(indices[count:]))


def index(address: NodeAddress, namespaces: Mapping[str, int]) -> int | None:
    """Give the namespace index of a node on a server with these namespaces; None where it has no such namespace."""
    return address.namespace if isinstance(address.namespace, int) else namespaces.get(address.namespace)


def blocks(nodes: Sequence[int], limit: int) -> Iterable[Sequence[int]]:
    """Cut node indices into blocks of at most `MAX_BLOCK`, or the server's own `limit` where that is less (0: none)."""
    size = min(MAX_BLOCK, limit) if limit > 0 else MAX_BLOCK
    return (nodes[start : start + size] for start in range(0, len(nodes), size))


def endpoint(url: str, *, where: str) -> str:
    """Give the URL of a line with its port: `opc.tcp://host/path` becomes `opc.tcp://host:4840/path`.

    Raises:
        Unusable: it is not an `opc.tcp://` URL with a host and a valid port.

    """
    try:
        parts = urlsplit(url)
        port = parts.port
        usable = parts.scheme == "opc.tcp" and parts.hostname is not None
    except ValueError:
        usable = False
    if not usable:
        raise Unusable(
            say('"{url}" is not the address of an OPC UA server', url=url),
            where=where,
            hint=say("Write it as opc.tcp://host:4840/path, as the server's documentation gives it."),
        )
    return url if port is not None else parts._replace(netloc=f"{parts.netloc.rstrip(':')}:{DEFAULT_PORT}").geturl()
