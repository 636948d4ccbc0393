"""A server's address space as it is walked: what is asked, what came back, and the tree that becomes of it. Pure.

Browsing is OPC 10000-4, 5.9: one Browse names many nodes, and an answer too long for one message is continued. Each
node stands in the tree once, where it was met first, so that a cycle of references ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, Literal, Protocol, TypeVar

from parkgate.drivers.opcua.codec import Reading

OBJECTS: Final = "i=85"
"""The folder under which a server keeps its instruments (OPC 10000-5, 8.2.4)."""
ROOT: Final = "i=84"
BROWSE_NAME, DISPLAY_NAME, VALUE, DATA_TYPE, VALUE_RANK, USER_ACCESS = 3, 4, 13, 14, 15, 18
"""Attributes of a node (OPC 10000-6, A.1)."""
NO_CONTINUATION_POINTS: Final = 0x804B_0000
MOST_BROWSED, MOST_READ = 50, 200
"""Nodes a Browse and attributes a Read, unless the server allows fewer: decoding more in one piece holds up others."""
_FOLDERS = 10
"""Objects a Browse: each may have many nodes below it, a variable has but its properties."""

PLAIN: Final = frozenset({
    "Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double", "String",
    "LocalizedText",
})  # fmt: skip
"""Built-in types whose values a point can have (OPC 10000-6, 5.1.2)."""
_SUB_CODE = 0xFFFF_0000

Kind = Literal["object", "variable", "other"]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server allows at once: nodes a Browse, attributes a Read, answers to be continued; 0 where it tells none.

    `namespaces` are its URIs by their index.
    """

    browse: int = 0
    read: int = 0
    continued: int = 0
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Child:
    """A node that another one refers to: its id as a profile writes it, its browse name and display name."""

    node: str
    name: str
    title: str = ""
    kind: Kind = "object"
    property: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """What one node said of those it refers to; `more` (hex) where there are still others. `said` names `status`."""

    children: tuple[Child, ...] = ()
    more: str = ""
    status: int = 0
    said: str = "Good"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said of one attribute.

    `kind` is the value's type by its name in the standard, `size` how many there are of it in an array, else None. A
    range is [low, high], a unit its text, a node id as a profile writes it; of an array only the first few are kept.
    `source` and `server` are milliseconds UTC; `said` names the `status`.
    """

    value: object = None
    kind: str = ""
    size: int | None = None
    status: int = 0
    said: str = "Good"
    source: int | None = None
    server: int | None = None

    @property
    def readable(self) -> bool:
        """Tell whether the status lets a value stand: it is not bad."""
        return not self.status >> 31

    def reading(self) -> Reading:
        """Give it as the codec judges it; what no point can have is of no type that it knows."""
        plain = self.kind in PLAIN and self.size is None
        value = self.value if plain or self.value is None else ()
        return Reading(value, self.status, self.source, self.server, single=self.kind == "Float")


class Asked(Protocol):
    """A session that answers single questions: a driver's own, or that of a running agent.

    Raises:
        Unreachable, Silent, Garbled: as a driver does.

    """

    async def limits(self) -> Limits:
        """Give what the server allows at once."""
        ...

    async def browse(self, nodes: Sequence[str], *, up: bool = False) -> Sequence[Page]:
        """Give for each node those below it, or with `up` those above it."""
        ...

    async def more(self, points: Sequence[str]) -> Sequence[Page]:
        """Give the next page of each that has one."""
        ...

    async def read(self, questions: Sequence[tuple[str, int]]) -> Sequence[Answer]:
        """Give one attribute of each node."""
        ...


@dataclass(slots=True)
class Node:
    """A node of the tree, `depth` levels below the start.

    `unit` and `range` are its properties' ids; `trouble` is why what is below it is not known; `number` counts the
    variables in the order of the tree.
    """

    child: Child
    above: Node | None = None
    below: list[Node] = field(default_factory=list)
    unit: str = ""
    range: str = ""
    trouble: str = ""
    number: int = 0
    depth: int = 0

    @property
    def path(self) -> tuple[str, ...]:
        """Give the browse names from below the start to it."""
        names: list[str] = []
        node = self
        while node.above is not None:
            names.append(node.child.name)
            node = node.above
        return tuple(reversed(names))


@dataclass(slots=True)
class Walk:
    """A walk under way, and what it found so far.

    `depth` is how many levels below the start are looked at (None: all), `most` how many nodes are taken; `full` says
    that there were more. `again` counts the references to nodes that stood there already, `left` the standard's own
    nodes that were left out.
    """

    start: str = OBJECTS
    depth: int | None = None
    most: int = 10_000
    root: Node | None = None
    seen: set[str] = field(default_factory=set)
    browsed: int = 0
    again: int = 0
    left: int = 0
    full: bool = False
    done: bool = False

    def nodes(self) -> Iterator[Node]:
        """Give all nodes, each before those below it."""
        stack = [self.root] if self.root else []
        while stack:
            node = stack.pop()
            yield node
            stack += reversed(node.below)

    def variables(self) -> Iterator[Node]:
        """Give the variables in the order of the tree."""
        return (node for node in self.nodes() if node.child.kind == "variable")


async def explore(asked: Asked, walk: Walk, step: Callable[[int], None] = lambda _: None) -> None:
    """Walk the nodes below the start, those near it first; `step` is told after each question how many still wait.

    Raises:
        Unreachable, Silent, Garbled: as a driver does; what was found until then is in the walk.

    """
    limits = await asked.limits()
    (name, title) = await asked.read([(walk.start, BROWSE_NAME), (walk.start, DISPLAY_NAME)])
    walk.root = Node(Child(walk.start, str(name.value or walk.start), str(title.value or "")))
    walk.root.trouble = "" if name.readable else name.said
    walk.seen.add(walk.start)
    waiting = [walk.root] if name.readable else []
    while waiting:
        batch = _batch(waiting, limits)
        waiting = waiting[len(batch) :]
        await _look_below(asked, walk, batch)
        walk.browsed += len(batch)
        waiting = [] if walk.full else waiting + [each for node in batch for each in node.below if _worth(walk, each)]
        step(len(waiting))
    for number, node in enumerate(walk.variables(), start=1):
        node.number = number
    walk.done = True


def _batch(waiting: Sequence[Node], limits: Limits) -> Sequence[Node]:
    """Give the nodes to browse next: objects or variables."""
    kind = waiting[0].child.kind
    size = least(MOST_BROWSED if kind == "variable" else _FOLDERS, limits.browse, limits.continued)
    return [*takewhile(lambda node: node.child.kind == kind, waiting[:size])]


def least(most: int, *limits: int) -> int:
    """Give the least of some limits; 0 is none."""
    return min([most, *(each for each in limits if each > 0)])


def cut(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a sequence into pieces of a size."""
    return (items[start : start + size] for start in range(0, len(items), size))


async def _look_below(asked: Asked, walk: Walk, batch: Sequence[Node]) -> None:
    """Browse some nodes, each to its end; one for which the server had no way to go on is asked again, alone."""
    pages = await asked.browse([node.child.node for node in batch])
    alone = [node for node, page in zip(batch, pages, strict=True) if _crowded(page) and len(batch) > 1]
    await _take(asked, walk, [(n, p) for n, p in zip(batch, pages, strict=True) if n not in alone])
    for node in alone:
        await _take(asked, walk, [(node, (await asked.browse([node.child.node]))[0])])


async def _take(asked: Asked, walk: Walk, came: Sequence[tuple[Node, Page]]) -> None:
    while came:
        for node, page in came:
            if page.status >> 31:
                node.trouble = page.said
            _put(walk, node, page.children)
        unended = [] if walk.full else [(node, page.more) for node, page in came if page.more]
        pages = await asked.more([point for _, point in unended]) if unended else ()
        came = [(node, page) for (node, _), page in zip(unended, pages, strict=True)]


def _crowded(page: Page) -> bool:
    return page.status & _SUB_CODE == NO_CONTINUATION_POINTS


def _put(walk: Walk, above: Node, children: Iterable[Child]) -> None:
    """Put the children of a node into the tree; of properties only the unit and the range are noted."""
    for child in children:
        if child.property:
            _note(above, child)
        elif child.kind == "other" or (walk.depth is not None and above.depth >= walk.depth):
            continue
        elif _standards_own(walk.start, child.node):
            walk.left += 1
        elif child.node in walk.seen:
            walk.again += 1
        elif len(walk.seen) > walk.most:
            walk.full = True
            return
        else:
            walk.seen.add(child.node)
            above.below.append(Node(child, above, depth=above.depth + 1))


def _note(above: Node, child: Child) -> None:
    """Note a property of an analog item (OPC 10000-8, 5.3.2.3); the range of use counts before the instrument's."""
    if child.name == "EngineeringUnits":
        above.unit = child.node
    elif child.name == "EURange" or (child.name == "InstrumentRange" and not above.range):
        above.range = child.node


def _standards_own(start: str, node: str) -> bool:
    """Tell a node of the standard's own namespace: the server's diagnostics, types. Who starts there wants them."""
    return not node.startswith("ns") and node != OBJECTS and start in {ROOT, OBJECTS}


def _worth(walk: Walk, node: Node) -> bool:
    """Tell whether a node is asked what is below it: at the last level only variables are, for their properties."""
    return node.child.kind == "variable" or walk.depth is None or node.depth < walk.depth
