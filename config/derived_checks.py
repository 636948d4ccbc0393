"""What a derived point must be: that its formula, its inputs and its numbers fit. Pure: attribute and sentence out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from parkgate.config.explain import unknown_key, unknown_word
from parkgate.config.factors import factors, known_factor
from parkgate.config.formulas import Formula, Quantity, formulas
from parkgate.config.language import language, say
from parkgate.config.problem import shown, suggestion
from parkgate.config.profile import DerivedEntry
from parkgate.config.units import standard_unit

Finding = tuple[str, str]
Node = tuple[str, str]
"""An instrument and a point of it."""


class Known(NamedTuple):
    """What a formula has to know of a point that it takes. `number`: its values are numbers, not texts."""

    name: str
    unit: str
    factor: str | None = None
    number: bool = True

    def trouble(self, quantity: Quantity, unit: str) -> str | None:
        """Say why it cannot be a quantity that is wanted in `unit`, whatever its own unit can become."""
        if not self.number:
            return say('"{point}" is a text or a contact, not a number to compute with', point=self.name)
        if not self.unit and unit not in {"", "1"}:
            return say('"{point}" has no unit; {unit} is wanted', point=self.name, unit=unit)
        if quantity.actual and standard_unit(self.unit):
            return say('"{point}" is at standard conditions already: {unit}', point=self.name, unit=self.unit)
        return None

    def mismatch(self, unit: str) -> str:
        """Say that its unit cannot become the one that is wanted."""
        return say(
            '"{point}" is in {own}, which cannot become {unit}; take another point, or a formula that converts it',
            point=self.name,
            own=shown(self.unit),
            unit=unit,
        )


def entry_findings(entry: DerivedEntry, formula: Formula | None) -> Iterator[Finding]:
    """Give what is wrong with a derived point before its inputs are looked at."""
    if entry.factor is not None and known_factor(entry.factor) is None:
        text = say('unknown factor "{factor}"', factor=shown(entry.factor)) + suggestion(entry.factor, factors())
        yield "factor", text
    if entry.range is not None and not entry.range[0] < entry.range[1]:
        yield "range", say("the lower end must come first, as [0, 100]")
    if formula is None:
        yield "formula", unknown_word("formula", entry.formula, list(formulas()))
        return
    for attribute, names in (("of", entry.of), ("with", entry.with_)):
        for name in names:
            if name not in formula.quantities:
                yield attribute, unknown_key(name, list(formula.quantities))
    for name, quantity in formula.quantities.items():
        yield from _quantity_findings(name, quantity, entry)


def _quantity_findings(name: str, quantity: Quantity, entry: DerivedEntry) -> Iterator[Finding]:
    point, number = name in entry.of, name in entry.with_
    if point and number:
        yield "with", say('"{name}" stands in of already; leave out one of them', name=name)
    elif point and quantity.constant:
        yield "of", say('"{name}" is a number: put it in with', name=name)
    elif number and (quantity.any_unit or quantity.like):
        yield "with", say('"{name}" is a point: put it in of', name=name)
    elif number:
        yield from (("with", text) for text in _bounds(name, quantity, entry.with_[name]))
    elif not point and quantity.default is None and not quantity.told_by:
        yield ("with" if quantity.constant else "of"), missing(name, quantity)


def missing(name: str, quantity: Quantity) -> str:
    """Say that a formula needs a quantity."""
    words = quantity.zh if language() == "zh" else quantity.en
    if quantity.constant:
        return say('the formula needs the number "{name}" ({words})', name=name, words=words)
    return say('the formula needs "{name}" ({words})', name=name, words=words)


def _bounds(name: str, quantity: Quantity, value: float) -> Iterator[str]:
    if quantity.above is not None and value <= quantity.above:
        yield say('"{name}" must be above {limit}', name=name, limit=f"{quantity.above:g}")
    elif quantity.least is not None and value < quantity.least:
        yield say('"{name}" must be at least {limit}', name=name, limit=f"{quantity.least:g}")
    elif quantity.most is not None and value > quantity.most:
        yield say('"{name}" must be at most {limit}', name=name, limit=f"{quantity.most:g}")
    elif quantity.among and value not in quantity.among:
        listed = ", ".join(f"{each:g}" for each in quantity.among)
        yield say('"{name}" must be one of {listed}', name=name, listed=listed)


def constants_of(entry: DerivedEntry, formula: Formula, every: int, *, alone: bool) -> dict[str, float] | str:
    """Give the numbers of a formula, or what is wrong with one that was left out.

    `every` is the instrument's period (ms); `alone`: it is not known yet.
    """
    found: dict[str, float] = {}
    for name, quantity in formula.quantities.items():
        if name in entry.of:
            continue
        value = entry.with_.get(name, quantity.default)
        if value is None and quantity.told_by == "factor":
            factor = known_factor(entry.factor)
            value = factor.molar if factor else None
        elif value is None and quantity.told_by == "period":
            value = every / 1000
            if not alone and (trouble := next(_bounds(name, quantity, value), None)):
                return trouble
        if value is None:
            return missing(name, quantity)
        found[name] = float(value)
    return found


def input_finding(reference: str, node: Node, known: Mapping[Node, object], instruments: Sequence[str]) -> str:
    """Say that there is no such point, and which one was perhaps meant."""
    if node[0] not in instruments:
        text = say('there is no instrument "{name}"', name=shown(node[0]))
        return text + suggestion(node[0], list(instruments))
    points = [point for instrument, point in known if instrument == node[0]]
    return say('there is no point "{name}"', name=shown(reference)) + suggestion(node[1], points)


def result_finding(unit: str, given: str) -> str:
    """Say that a result cannot be given in a unit."""
    return say('the formula gives {given}, which cannot become "{unit}"', given=given or "1", unit=shown(unit))
