"""Derived points as the agent computes them: what each takes from where, in which units, and what it gives. Pure.

`settle` makes them of what the files say, for all instruments of a site at once: one may need another's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from parkgate.config.alarm import Alarm
from parkgate.config.derived_checks import Known, Node, constants_of, entry_findings, input_finding, result_finding
from parkgate.config.formulas import Formula, Quantity, formulas
from parkgate.config.language import say
from parkgate.config.model import Model
from parkgate.config.profile import DerivedEntry
from parkgate.config.units import Linear, conversion, same_unit

_PERIODS = 2
_LEAST_AGE_OF_CHANGES = 120_000
"""Milliseconds: a report of changes is silent while nothing changes, for up to a minute (design: contract)."""


class Input(Model):
    """Where a quantity comes from: `point` of `instrument` ("": its own), value * factor + offset in the right unit.

    Of another instrument, its value counts for `max_age` ms.
    """

    quantity: str
    instrument: str = ""
    point: str
    unit: str = ""
    factor: float = 1.0
    offset: float = 0.0
    max_age: int = 0


class Derived(Model):
    """A point that is computed: the `formula` of its `inputs` and `constants`, result * scale + offset in `unit`."""

    name: str
    formula: str
    inputs: tuple[Input, ...]
    constants: Mapping[str, float]
    title: str = ""
    unit: str = ""
    factor: str | None = None
    range: tuple[float, float] | None = None
    digits: int | None = None
    scale: float = 1.0
    offset: float = 0.0
    alarms: tuple[Alarm, ...] = ()
    sum: str | None = None
    weight: str | None = None

    @property
    def type(self) -> str:
        """The type of its values."""
        return "float64"

    @property
    def as_(self) -> str:
        """How its values are written."""
        return "number"

    @property
    def mean(self) -> str:
        """How its values are averaged."""
        return "arithmetic"


class Told(NamedTuple):
    """What is wrong: with which derived point of which instrument, at which attribute."""

    instrument: str
    name: str
    attribute: str
    text: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """An instrument's points as they are known, and the derived points that the files ask for.

    `every` is its period in ms, 0 where that is not known; `changes`: its snapshots may be reports of changes.
    """

    points: Mapping[str, Known]
    entries: Mapping[str, DerivedEntry]
    every: int = 0
    changes: bool = False


@dataclass(slots=True)
class Settled:
    """The derived points by instrument, each behind those that it needs, and everything that is wrong."""

    derived: dict[str, list[Derived]] = field(default_factory=dict)
    findings: list[Told] = field(default_factory=list)


def settle(wanted: Mapping[str, Wanted], *, alone: bool = False) -> Settled:
    """Settle the derived points of instruments by name.

    `alone`: they are a profile's, and other instruments are not known: what needs them is not looked at further.
    """
    settled = Settled({name: [] for name in wanted})
    known: dict[Node, Known | None] = {
        (name, point): about for name, each in wanted.items() for point, about in each.points.items()
    }
    entries = {(name, entry.name): entry for name, each in wanted.items() for entry in each.entries.values()}
    for name, point in list(entries):
        if (name, point) in known:
            text = say("a point of this name stands there already; rename one or set enabled = false")
            settled.findings.append(Told(name, point, "", text))
            del entries[name, point]
    for node in _ordered(entries, settled):
        each = _Settling(node, entries[node], wanted, known, alone=alone)
        derived = each.settle()
        settled.findings += each.findings
        known[node] = each.known if derived else None
        if derived:
            settled.derived[node[0]].append(derived)
    return settled


def node_of(instrument: str, reference: str) -> Node:
    """Give the instrument and the point that a reference of an instrument's derived point means."""
    other, dot, point = reference.rpartition(".")
    return (other, point) if dot else (instrument, reference)


def _ordered(entries: Mapping[Node, DerivedEntry], settled: Settled) -> list[Node]:
    """Put each behind those that it needs, else in the order of the files; those that need each other are told."""
    graph = {
        node: [need for ref in entry.of.values() if (need := node_of(node[0], ref)) in entries]
        for node, entry in entries.items()
    }
    sorter, places = TopologicalSorter(graph), {node: place for place, node in enumerate(entries)}
    try:
        sorter.prepare()
    except CycleError as error:
        cycle: list[Node] = error.args[1]
        chain = " → ".join(".".join(node) if node[0] else node[1] for node in cycle)
        text = say("derived points need each other: {chain}", chain=chain)
        settled.findings.append(Told(cycle[0][0], cycle[0][1], "of", text))
        return _ordered({node: entry for node, entry in entries.items() if node not in cycle}, settled)
    ordered: list[Node] = []
    ready = [(places[node], node) for node in sorter.get_ready()]
    heapify(ready)
    while ready:
        _, node = heappop(ready)
        ordered.append(node)
        sorter.done(node)
        for each in sorter.get_ready():
            heappush(ready, (places[each], each))
    return ordered


@dataclass(slots=True)
class _Settling:
    """One derived point being settled."""

    node: Node
    entry: DerivedEntry
    wanted: Mapping[str, Wanted]
    nodes: Mapping[Node, Known | None]
    alone: bool
    findings: list[Told] = field(default_factory=list)
    known: Known | None = None

    def settle(self) -> Derived | None:
        """Give it; None where something is wrong with it or with what it needs."""
        formula = formulas().get(self.entry.formula)
        for attribute, text in entry_findings(self.entry, formula):
            self._tell(attribute, text)
        if formula is None or self.findings:
            return None
        sources = {name: self._source(reference) for name, reference in self.entry.of.items()}
        sources = {name: each and each._replace(name=self.entry.of[name]) for name, each in sources.items()}
        every = self.wanted[self.node[0]].every
        constants = constants_of(self.entry, formula, every, alone=self.alone)
        if isinstance(constants, str):
            self._tell("with", constants)
        if all(node_of(self.node[0], reference)[0] != self.node[0] for reference in self.entry.of.values()):
            self._tell("of", say("must take at least one point of its own instrument: its time is that of the result"))
        found = {name: source for name, source in sources.items() if source is not None}
        if self.findings or len(found) < len(sources) or isinstance(constants, str):
            return None
        inputs = tuple(self._inputs(formula, found))
        result = self._result(formula, found)
        return None if self.findings or result is None else self._derived(inputs, constants, result)

    def _source(self, reference: str) -> Known | None:
        """Give what is known of a point that it needs; None after telling that it is not there, or is itself wrong."""
        node = node_of(self.node[0], reference)
        if node in self.nodes:
            return self.nodes[node]
        if self.alone and node[0] != self.node[0]:
            return None
        if node[0] in self.wanted and node[1] in self.wanted[node[0]].entries:
            return None  # it is in a chain that needs itself, or has the name of a point: told there
        self._tell("of", input_finding(reference, node, self.nodes, list(self.wanted)))
        return None

    def _inputs(self, formula: Formula, sources: Mapping[str, Known]) -> Iterator[Input]:
        for name, quantity in formula.quantities.items():
            if name not in sources:
                continue
            source = sources[name]
            unit = sources[quantity.like].unit if quantity.like else quantity.unit
            linear = self._linear(quantity, source, unit)
            if linear is not None:
                other, point = node_of(self.node[0], self.entry.of[name])
                foreign = other != self.node[0]
                yield Input(
                    quantity=name,
                    instrument=other if foreign else "",
                    point=point,
                    unit=source.unit,
                    factor=linear.factor,
                    offset=linear.offset,
                    max_age=self._age(other) if foreign else 0,
                )

    def _linear(self, quantity: Quantity, source: Known, unit: str) -> Linear | None:
        """Give what makes a point's values the formula's; None after telling that nothing does."""
        text = source.trouble(quantity, unit)
        linear = Linear(1.0) if quantity.any_unit or same_unit(source.unit, unit) else None
        if text is None and linear is None:
            linear = conversion(source.unit or "1", unit, molar=quantity.molar)
            text = None if linear else source.mismatch(unit)
        if text is not None:
            self._tell("of", text)
            return None
        return linear

    def _age(self, other: str) -> int:
        if self.entry.max_age is not None:
            return self.entry.max_age
        age = _PERIODS * self.wanted[other].every
        return max(age, _LEAST_AGE_OF_CHANGES) if self.wanted[other].changes else age

    def _result(self, formula: Formula, sources: Mapping[str, Known]) -> Linear | None:
        """Give what makes the result one in the unit asked for; None after telling that nothing does."""
        given = sources[formula.like].unit if formula.like else formula.gives
        unit = self.entry.unit or ("" if given == "1" else given)
        factor = self.entry.factor or (sources[formula.like].factor if formula.like else None)
        self.known = Known(self.entry.name, unit, factor)
        linear = Linear(1.0) if same_unit(unit or "1", given or "1") else conversion(given or "1", unit or "1")
        if linear is None:
            self._tell("unit", result_finding(unit, given))
        return linear

    def _derived(self, inputs: tuple[Input, ...], constants: Mapping[str, float], result: Linear) -> Derived:
        entry = self.entry
        return Derived(
            name=entry.name,
            formula=entry.formula,
            inputs=inputs,
            constants=constants,
            title=entry.title,
            unit=self.known.unit if self.known else "",
            factor=entry.factor,
            range=entry.range,
            digits=entry.digits,
            scale=result.factor,
            offset=result.offset,
            alarms=entry.alarms,
            sum=entry.sum,
            weight=entry.weight,
        )

    def _tell(self, attribute: str, text: str) -> None:
        self.findings.append(Told(self.node[0], self.node[1], attribute, text))
