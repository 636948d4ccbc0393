"""What the variables of an address space are: value, type, unit and range, and whether one can be a point. Pure.

Each takes some attributes of one Read; of a variable without a value now, its declared type is followed up to the
built-in one that it is made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from parkgate.config.language import say
from parkgate.drivers.opcua.space import (
    DATA_TYPE,
    MOST_READ,
    PLAIN,
    USER_ACCESS,
    VALUE,
    VALUE_RANK,
    Answer,
    Asked,
    Node,
    cut,
    least,
)

TYPES: Final[Mapping[str, str]] = MappingProxyType({
    "Boolean": "bool", "SByte": "int16", "Byte": "uint16", "Int16": "int16", "UInt16": "uint16", "Int32": "int32",
    "UInt32": "uint32", "Int64": "int64", "UInt64": "uint64", "Float": "float32", "Double": "double",
    "String": "string", "LocalizedText": "string",
})  # fmt: skip
"""The type of a point that holds each of the standard's."""
_BUILT_IN: Final[Mapping[str, str]] = MappingProxyType({
    "i=1": "Boolean", "i=2": "SByte", "i=3": "Byte", "i=4": "Int16", "i=5": "UInt16", "i=6": "Int32", "i=7": "UInt32",
    "i=8": "Int64", "i=9": "UInt64", "i=10": "Float", "i=11": "Double", "i=12": "String", "i=13": "DateTime",
    "i=14": "Guid", "i=15": "ByteString", "i=16": "XmlElement", "i=17": "NodeId", "i=18": "ExpandedNodeId",
    "i=19": "StatusCode", "i=20": "QualifiedName", "i=21": "LocalizedText", "i=22": "ExtensionObject",
    "i=23": "DataValue", "i=25": "DiagnosticInfo", "i=29": "Int32",
})  # fmt: skip
"""Data types that end the search (OPC 10000-6, 5.1.2); an enumeration (29) is an Int32 on the wire (5.2.4)."""
_MOST_STEPS = 16
_READ = 1
"""Bit of an access level: it may be read (OPC 10000-3, 8.57)."""
_STRUCTURES = frozenset({"ExtensionObject", "Range", "EUInformation", "DataValue", "DiagnosticInfo"})


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as it stands: `type` is that of a point, empty where it has none, and then `why` says why.

    `kind` is its type by its name in the standard; `range` its ends in `unit`.
    """

    node: Node
    answer: Answer
    kind: str = ""
    type: str = ""
    unit: str = ""
    range: tuple[float, float] | None = None
    why: str = ""


async def look(
    asked: Asked, nodes: Sequence[Node], take: Callable[[Variable], None], step: Callable[[int], None] = lambda _: None
) -> None:
    """Read what some variables are, and hand over each; `step` is told after each question how many still wait.

    Raises:
        Unreachable, Silent, Garbled: as a driver does.

    """
    limits = await asked.limits()
    size = max(1, least(MOST_READ, limits.read) // _PER_NODE)
    declared: dict[str, str] = {}
    waiting = len(nodes)
    for batch in cut(nodes, size):
        answers = iter(await asked.read([question for node in batch for question in _questions(node)]))
        rows = [(node, [next(answers) for _ in _questions(node)]) for node in batch]
        unknown = [str(row[1].value) for _, row in rows if not row[0].kind and row[1].kind == "NodeId"]
        await _built_in(asked, [each for each in unknown if each not in declared], declared)
        for node, row in rows:
            take(_variable(node, row, declared))
        waiting -= len(batch)
        step(waiting)


_PER_NODE = 6


def _questions(node: Node) -> list[tuple[str, int]]:
    asked = [(node.child.node, each) for each in (VALUE, DATA_TYPE, VALUE_RANK, USER_ACCESS)]
    return asked + [(each, VALUE) for each in (node.unit, node.range) if each]


async def _built_in(asked: Asked, types: Sequence[str], declared: dict[str, str]) -> None:
    """Follow declared types up to the built-in ones that they are made of."""
    climbing = {each: each for each in types}
    for _ in range(_MOST_STEPS):
        declared |= {each: _BUILT_IN[now] for each, now in climbing.items() if now in _BUILT_IN}
        climbing = {each: now for each, now in climbing.items() if now not in _BUILT_IN}
        if not climbing:
            return
        pages = await asked.browse([*climbing.values()], up=True)
        above = zip(climbing, pages, strict=True)
        climbing = {each: page.children[0].node for each, page in above if page.children}
    declared |= dict.fromkeys(climbing, "")


def _variable(node: Node, row: Sequence[Answer], declared: Mapping[str, str]) -> Variable:
    value, data_type, rank, access = row[:4]
    beyond = iter(row[4:])
    unit = next(beyond) if node.unit else Answer()
    span = next(beyond) if node.range else Answer()
    kind = value.kind or declared.get(str(data_type.value), "")
    array = value.size is not None or (isinstance(rank.value, int) and rank.value >= 0)
    why = _why(kind, value, access, array=array)
    return Variable(
        node,
        value,
        kind,
        "" if why else TYPES[kind],
        str(unit.value) if unit.kind == "EUInformation" and unit.size is None else "",
        _range(span),
        why,
    )


def _why(kind: str, value: Answer, access: Answer, *, array: bool) -> str:
    """Tell why no point can be made of a variable, empty where one can."""
    if isinstance(access.value, int) and access.readable and not access.value & _READ:
        return say("this user may not read it")
    if array:
        return say("an array of {kind}: not supported", kind=kind or "?")
    if kind in _STRUCTURES:
        return say("a structure: not supported")
    if not kind:
        return say("its type is not known: {status}", status=value.said)
    return "" if kind in PLAIN else say("a value of type {kind}: not supported", kind=kind)


def _range(span: Answer) -> tuple[float, float] | None:
    """Give a range that is one: both ends numbers, the lower first."""
    match span.value:
        case [int() | float() as low, int() | float() as high] if span.kind == "Range" and span.size is None:
            return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None
    return None
