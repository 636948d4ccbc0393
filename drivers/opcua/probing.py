"""One read of an OPC UA instrument with everything that came, and for a node that is not there those like it. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from parkgate.config.site import Instrument
from parkgate.drivers.opcua.codec import BAD_NODE_ID_UNKNOWN, Decoder
from parkgate.drivers.opcua.plan import NodeAddress, Plan, plan
from parkgate.drivers.opcua.space import MOST_READ, VALUE, Answer, Asked, Child, cut, least
from parkgate.drivers.snapshot import Snapshot

_ABSENT = frozenset({BAD_NODE_ID_UNKNOWN, 0x8033_0000})
"""BadNodeIdUnknown and BadNodeIdInvalid, which some servers say instead."""
_SUB_CODE = 0xFFFF_0000
_PART = re.compile(r"[./\\|:]")
_NEIGHBOURS = 4
"""Nodes that are there, of the same instrument, whose parents are looked into for those that are not."""
_NEAR, _CUTOFF = 3, 0.6


@dataclass(frozen=True, slots=True)
class Near:
    """What may have been meant by a node id that is not there: nodes of like names, or else a namespace of like URI."""

    nodes: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """What one read of an instrument gave, not judged yet: its snapshot, and by node what the server said."""

    instrument: Instrument
    snapshot: Snapshot
    plan: Plan
    answers: tuple[Answer, ...]
    near: Mapping[int, Near]

    def rows(self) -> Iterator[tuple[str, int, str, Answer, Near]]:
        """Give of every point and then every state its role, its index, its address, what came, and what is like it."""
        rows = [("point", number, point.at) for number, point in enumerate(self.instrument.points)]
        rows += [("state", number, state.at) for number, state in enumerate(self.instrument.states)]
        places = (*self.plan.points, *self.plan.states)
        for (role, number, at), place in zip(rows, places, strict=True):
            yield role, number, at, self.answers[place], self.near.get(place, Near())


async def probe(asked: Asked, instrument: Instrument, now: Callable[[], int]) -> Probe:
    """Read an instrument once.

    Raises:
        Unreachable, Silent, Garbled: as a driver does; Unusable: a point cannot be read as configured.

    """
    nodes = plan(instrument)
    decoder = Decoder(instrument, nodes)
    named = [*(point.at for point in instrument.points), *(state.at for state in instrument.states)]
    ats = dict(zip((*nodes.points, *nodes.states), named, strict=True))
    size = least(MOST_READ, (await asked.limits()).read)
    answers: list[Answer] = []
    for batch in cut([(ats[place], VALUE) for place in range(len(nodes.nodes))], size):
        answers += await asked.read(batch)
    snapshot = decoder.decode([each.reading() for each in answers], now())
    return Probe(instrument, snapshot, nodes, tuple(answers), await _near(asked, nodes, ats, answers))


async def _near(asked: Asked, nodes: Plan, ats: Mapping[int, str], answers: Sequence[Answer]) -> Mapping[int, Near]:
    """Look for what may have been meant by the nodes that are not there: beside those that are, and where ids lead."""
    absent = [place for place, answer in enumerate(answers) if answer.status & _SUB_CODE in _ABSENT]
    if not absent:
        return {}
    found: dict[int, Near] = {}
    uris = (await asked.limits()).namespaces
    for place in absent:
        namespace = nodes.nodes[place].namespace
        if isinstance(namespace, str) and namespace not in uris:
            found[place] = Near(
                namespaces=tuple(difflib.get_close_matches(namespace, uris, _NEAR, _CUTOFF)) or uris[1:]
            )
    wanted = [place for place in absent if place not in found]
    there = [ats[place] for place in range(len(answers)) if place not in absent]
    around = await _around(asked, there[:_NEIGHBOURS], [ats[place] for place in wanted]) if wanted else ()
    return found | {place: Near(_like(ats[place], nodes.nodes[place], around)) for place in wanted}


async def _around(asked: Asked, there: Sequence[str], absent: Sequence[str]) -> Sequence[Child]:
    """Give the nodes below the parents of those that are there, and below the nodes that the absent ids begin with."""
    above = [at[: last.start()] for at in absent if (last := _last(at)) is not None]
    pages = await asked.browse(there, up=True) if there else ()
    above += [each.node for page in pages for each in page.children]
    above = list(dict.fromkeys(above))[: 2 * _NEIGHBOURS]
    return [each for page in await asked.browse(above) for each in page.children] if above else ()


def _last(at: str) -> re.Match[str] | None:
    """Give where the last part of a node id of text begins."""
    begin = at.find(";s=") + 3 if ";s=" in at else 2
    found = [each for each in _PART.finditer(at) if each.start() > begin]
    return found[-1] if found and at[begin - 2 : begin] == "s=" else None


def _like(at: str, absent: NodeAddress, around: Sequence[Child]) -> tuple[str, ...]:
    """Give the nodes whose names or ids end almost as an absent one's does, the likest first."""
    wanted = _PART.split(str(absent.identifier))[-1].casefold()
    known: dict[str, list[str]] = {}
    for child in around:
        for name in {child.name.casefold(), _PART.split(child.node)[-1].casefold()}:
            known.setdefault(name, []).append(child.node)
    close = difflib.get_close_matches(wanted, known, _NEAR, _CUTOFF)
    found = dict.fromkeys(node for each in close for node in known[each])
    return tuple(sorted(found, key=lambda node: -difflib.SequenceMatcher(None, at, node).ratio())[:_NEAR])
