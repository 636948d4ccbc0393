"""How `scan` shows an address space: a tree with a line a node, and the same for machines. Pure: prints nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.text import Text

from parkgate.config.language import say
from parkgate.drivers.numbers import shortest
from parkgate.drivers.opcua.drafting import usable
from parkgate.drivers.opcua.looking import Variable
from parkgate.drivers.opcua.space import Answer, Node, Walk

_WIDEST = 56
"""Cells of a column beyond which a cell pushes the others of its line to the right."""
_LONGEST = 40
"""Characters of a text that are shown."""


@dataclass(slots=True)
class Space:
    """What a scan found so far: the walk, and of the variables looked at what they are, by number."""

    walk: Walk
    meant: Callable[[Node], bool] = lambda _: True
    variables: dict[int, Variable] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def take(self, variable: Variable) -> None:
        """Take what one variable is."""
        self.variables[variable.node.number] = variable

    def nodes(self) -> list[Node]:
        """Give the variables that are meant, in the order of the tree."""
        return [node for node in self.walk.variables() if self.meant(node)]


def lines(space: Space, *, filtered: bool) -> Iterator[Text]:
    """Give a line a node: its number, name, type, value, status, unit and range, node id; where filtered not all."""
    kept = _kept(space) if filtered else None
    rows = [_row(space, node, stem) for node, stem in _stems(space.walk, kept)]
    if not rows:
        return
    header = ("", say("name"), say("type"), say("value"), say("unit"), say("range"), say("status"), say("node id"))
    shown = [tuple(cell.plain for cell in row) for row in rows]
    widths = [min(_WIDEST, max(map(cell_len, column))) for column in zip(header, *shown, strict=True)]
    yield _line([Text(each, style="bold") for each in header], widths)
    yield from (_line(row, widths) for row in rows)


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for place, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        pad = " " * max(0, width - cell_len(cell.plain))
        line.append_text(Text(pad) + cell if place == 0 else cell + Text(pad))
        line.append("  ")
    line.rstrip()
    return line


def _kept(space: Space) -> set[int]:
    """Give the nodes that lead to those that are meant, and these."""
    kept: set[int] = set()
    for node in space.nodes():
        each: Node | None = node
        while each is not None and id(each) not in kept:
            kept.add(id(each))
            each = each.above
    return kept


def _stems(walk: Walk, kept: set[int] | None) -> Iterator[tuple[Node, str]]:
    """Give each node with the branches of the tree before it."""
    stack = [(walk.root, "", "")] if walk.root is not None and (kept is None or id(walk.root) in kept) else []
    while stack:
        node, stem, before = stack.pop()
        yield node, stem
        below = [each for each in node.below if kept is None or id(each) in kept]
        ends = [*["├─ "] * (len(below) - 1), "└─ "]
        rows = [
            (each, before + end, before + ("│  " if end[0] == "├" else "   "))
            for each, end in zip(below, ends, strict=False)
        ]
        stack += reversed(rows)


def _row(space: Space, node: Node, stem: str) -> list[Text]:
    child = node.child
    title = f"  {child.title}" if child.title not in {"", child.name} else ""
    name = Text(stem, style="dim") + Text(child.name, style="bold" if child.kind == "object" else "")
    name += Text(title, style="dim")
    variable = space.variables.get(node.number)
    if child.kind != "variable":
        trouble = Text(node.trouble, style="red")
        return [Text(), name, Text(), Text(), Text(), Text(), trouble, Text(child.node, style="dim")]
    first = Text(str(node.number) if node.number else "", style="dim")
    if variable is None:
        return [first, name, *[Text()] * 5, Text(child.node, style="dim")]
    why = usable(variable)
    cells = (variable.kind, why or shown(variable.answer), variable.unit, span(variable), variable.answer.said)
    style = "yellow" if why or variable.answer.status >> 30 else ""
    return [first, name, *(Text(each, style=style) for each in cells), Text(child.node, style="dim")]


def shown(answer: Answer) -> str:
    """Give a value as people read it: texts in quotes, the first elements of an array, `-` where there is none."""
    value = answer.value
    if isinstance(value, list) and answer.size is not None:
        told = ", ".join(map(str, value))
        return f"[{told}{', …' if answer.size > len(value) else ''}]"
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case float():
            return str(shortest((value,))[0]) if answer.kind == "Float" and math.isfinite(value) else str(value)
        case str() if answer.kind in {"String", "LocalizedText"}:
            cut = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
            return f'"{cut}"'.translate(_CONTROL)
    return str(value)


_CONTROL = dict.fromkeys((*range(32), 127), "·")


def span(variable: Variable) -> str:
    """Give a range as `0..15`."""
    return "..".join(f"{end:g}" for end in variable.range) if variable.range else ""


def summary(space: Space, *, where: str) -> str:
    """Give what was found in one sentence."""
    refused = sum(bool(usable(each)) for each in space.variables.values())
    return say(
        "{where}: {nodes} nodes, {variables} variables, {shown} read, {refused} of them not supported",
        where=where,
        nodes=len(space.walk.seen),
        variables=sum(1 for _ in space.walk.variables()),
        shown=len(space.variables),
        refused=refused,
    )


def remarks(space: Space) -> Iterator[str]:
    """Give what to know of what was found: what was left out, and what could not be looked into."""
    walk = space.walk
    if walk.full:
        yield say("There is more: the first {most} nodes were taken. Begin further down: --from, or --most.",
                  most=walk.most)  # fmt: skip
    elif walk.root is not None and not walk.done:
        yield say("Ended early: there may be more.")
    if walk.root is not None and not walk.root.trouble and walk.done and not any(walk.variables()):
        yield say("There is no variable below {node}: begin elsewhere with --from i=84.", node=walk.start)
    closed = [node for node in walk.nodes() if node.trouble]
    if closed:
        told = ", ".join(f"{node.child.name} ({node.trouble})" for node in closed[:5])
        yield say("{count} nodes could not be looked into: {nodes}", count=len(closed), nodes=told)
    if walk.again:
        yield say("{count} references lead to nodes that stand there already; each is shown once.", count=walk.again)


def as_json(space: Space) -> Mapping[str, object]:
    """Give the same for machines: the variables that are meant, with the path of each."""
    walk = space.walk
    return {
        "from": walk.start,
        "complete": walk.done and not walk.full,
        "nodes": len(walk.seen),
        "left_out": walk.left,
        "variables": [_as_json(node, space.variables.get(node.number)) for node in space.nodes()],
        "unreadable": [{"node": each.child.node, "status": each.trouble} for each in walk.nodes() if each.trouble],
        "remarks": [*space.remarks, *remarks(space)],
    }


def _as_json(node: Node, variable: Variable | None) -> Mapping[str, object]:
    child = node.child
    told: dict[str, object] = {
        "number": node.number, "node": child.node, "name": child.name, "title": child.title, "path": list(node.path),
    }  # fmt: skip
    if variable is not None:
        told |= {
            "kind": variable.kind,
            "type": variable.type,
            "unit": variable.unit,
            "range": list(variable.range) if variable.range else None,
            "unsupported": usable(variable),
            **answer_as_json(variable.answer),
        }
    return {key: value for key, value in told.items() if value not in ("", None)}


def answer_as_json(answer: Answer) -> Mapping[str, object]:
    """Give an answer for machines; a value that JSON has no number for is told as text."""
    value = answer.value
    if isinstance(value, float) and not math.isfinite(value):
        value = str(value)
    if isinstance(value, list):
        value = [str(each) if isinstance(each, float) and not math.isfinite(each) else each for each in value]
    return {
        "value": value,
        "size": answer.size,
        "status": answer.said,
        "code": f"0x{answer.status:08X}",
        "source": answer.source,
        "server": answer.server,
    }
