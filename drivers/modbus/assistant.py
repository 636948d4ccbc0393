"""The word-order assistant, pure: what the registers around a point would mean in every order and from both bases.

A manual rarely says in which order the words of a value stand, or whether its registers count from 0 or from 1. Read as
each of these, most registers give what no instrument measures: a denormal float, a number beyond the point's range.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Final, Literal

from parkgate.config.language import say
from parkgate.config.profile import Order, Point
from parkgate.config.site import Instrument
from parkgate.drivers.faults import Unusable
from parkgate.drivers.modbus.address import REGISTERS, Table, parse
from parkgate.drivers.modbus.codec import Decoder
from parkgate.drivers.modbus.plan import Block, Field, plan
from parkgate.drivers.snapshot import Value

ORDERS: Final[tuple[Order, ...]] = ("ABCD", "CDAB", "BADC", "DCBA")
SMALLEST, LARGEST = 1e-6, 1e9
"""What a measured number lies between, or else it is 0: below stand the denormals of a float read in a wrong order."""

Cells = Mapping[tuple[Table, int], int]
"""What was read: the word of each register, the bit of each coil or discrete input."""
Base = Literal[0, 1]
Verdict = Literal["as-configured", "no-value", "one", "several", "none"]

_BYTES_SWAPPED: Final[Mapping[Order, Order]] = {"ABCD": "BADC", "BADC": "ABCD", "CDAB": "DCBA", "DCBA": "CDAB"}
_FLOATS = frozenset({"float32", "float64", "double"})
_SEVERAL = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """A point read in one order from one base: its first register on the wire, what stood there, what it would mean.

    `cells` is empty where nothing could be read. `value` is not rounded to the point's digits.
    """

    order: Order
    base: Base
    register: int
    cells: tuple[int, ...]
    value: Value | None
    plausible: bool
    configured: bool


@dataclass(frozen=True)
class Place:
    """A point as its instrument has it, and where else it may stand."""

    instrument: Instrument
    point: Point

    @cached_property
    def field(self) -> Field:
        """Give what is read of it as configured."""
        alone = self.instrument.model_copy(update={"points": (self.point,), "states": ()})
        (block,) = plan(alone)
        (field,) = block.fields
        return field

    @cached_property
    def numbered(self) -> bool:
        """Tell whether its address is a manual's number (30001), which counts from 1 whatever the base."""
        try:
            return parse(self.point.at, 0) == parse(self.point.at, 1)
        except Unusable:  # "input 0", which does not exist where registers count from 1
            return False

    @property
    def order(self) -> Order:
        """Give the order in which it is read."""
        return self.point.order or self.instrument.order

    @property
    def base(self) -> Base:
        """Give from where its address is counted."""
        return 1 if self.numbered else self.instrument.base

    @property
    def orders(self) -> tuple[Order, ...]:
        """Give the orders that differ for its type: a value of one register only has its two bytes to swap."""
        if self.field.table in {"coil", "discrete"}:
            return (self.order,)
        if self.field.width == 1 or self.point.type.startswith("string"):
            return (self.order, _BYTES_SWAPPED[self.order])
        return ORDERS

    def registers(self, base: Base) -> range:
        """Give its registers if its address were counted from a base; none where there are no such registers."""
        start = self.field.start + self.base - base
        inside = start >= 0 and start + self.field.width <= REGISTERS
        return range(start, start + self.field.width) if inside else range(0)

    def candidate(self, cells: Cells, order: Order, base: Base) -> Candidate:
        """Give what it would mean in an order and from a base."""
        start = self.field.start + self.base - base
        found = [cells.get((self.field.table, register)) for register in self.registers(base)]
        words = tuple(word for word in found if word is not None)
        words = words if found and len(words) == len(found) else ()
        return Candidate(
            order=order,
            base=base,
            register=start,
            cells=words,
            value=self._decoded(words, order, digits=None),
            plausible=self._plausible(words, order),
            configured=(order, base) == (self.order, self.base),
        )

    def without_value(self, cells: Cells) -> bool:
        """Tell whether, as configured, it holds one of its `invalid` values: the instrument itself has none."""
        words = self.candidate(cells, self.order, self.base).cells
        return self._decoded(words, self.order) is None and self._decoded(words, self.order, invalid=()) is not None

    def _plausible(self, words: Sequence[int], order: Order) -> bool:
        value = self._decoded(words, order)
        if value is None:
            return False
        if self.point.type == "bool":
            return True
        if self.point.type.startswith("string"):
            return isinstance(value, str) and value.isprintable() and value != ""
        raw = self._decoded(words, order, scale=1.0, offset=0.0, digits=None, as_="number")
        if self.point.type in _FLOATS and isinstance(raw, float | int) and 0 < abs(raw) < SMALLEST:
            return False
        return self._measurable(float(value))

    def _measurable(self, number: float) -> bool:
        if self.point.range is not None:
            return self.point.range[0] <= number <= self.point.range[1]
        return isfinite(number) and (number == 0 or SMALLEST <= abs(number) <= LARGEST)

    def _decoded(self, words: Sequence[int], order: Order, **otherwise: object) -> Value | None:
        """Decode by the codec, the point being of this order, and what else is wanted otherwise."""
        if not words:
            return None
        point = self.point.model_copy(update={"order": order, **otherwise})
        alone = self.instrument.model_copy(update={"points": (point,), "states": ()})
        field = Field(self.field.table, 0, self.field.width, self.field.bit, "point", 0)
        block = Block(field.table, 0, field.width, (field,))
        data = bytes(words) if block.of_bits else b"".join(word.to_bytes(2, "big") for word in words)
        (value,) = Decoder(alone, block).decode(data).values
        return value


@dataclass(frozen=True, slots=True)
class Advice:
    """What a point may be: every candidate, the configured base's first, and what follows from them."""

    place: Place
    candidates: tuple[Candidate, ...]
    verdict: Verdict

    @property
    def configured(self) -> Candidate:
        """Give the point as it is configured."""
        return next(each for each in self.candidates if each.configured)

    @property
    def plausible(self) -> tuple[Candidate, ...]:
        """Give what it may be, the likeliest first."""
        return tuple(each for each in self.candidates if each.plausible)

    @property
    def doubtful(self) -> bool:
        """Tell whether the point is probably not configured as the instrument has it."""
        return self.verdict not in {"as-configured", "no-value"}

    def words(self) -> str:
        """Say what follows, for people."""
        if self.verdict == "as-configured":
            return say("as configured is plausible")
        if self.verdict == "no-value":
            return say("the instrument says that it has no value (invalid): look at its display")
        if self.verdict == "none":
            return say("none is plausible: compare address, type and scale with the manual")
        if self.verdict == "one":
            (only,) = self.plausible
            return say("only {what} is plausible: {what_to_do}", what=self.named(only), what_to_do=self.to_do(only))
        each = [f"{self.named(candidate)} ({_measured(self.place.point, candidate)})" for candidate in self.plausible]
        return say("several are plausible, the likeliest first: {each}; compare with the display", each=", ".join(each))

    def named(self, candidate: Candidate) -> str:
        """Name a candidate: by its order, and by its base where that is not the configured one."""
        if candidate.base == self.place.base:
            return candidate.order
        if candidate.order == self.place.order:
            return say("counting from {base}", base=candidate.base)
        return say("{order} counting from {base}", order=candidate.order, base=candidate.base)

    def to_do(self, candidate: Candidate) -> str:
        """Say what to write for a candidate."""
        place, changes = self.place, []
        if candidate.order != place.order:
            changes.append(f'order = "{candidate.order}"')
        if candidate.base != place.base and place.numbered:
            bit = "" if place.field.bit is None else f".{place.field.bit}"
            changes.append(f'at = "{place.field.table} {candidate.register + place.instrument.base}{bit}"')
        elif candidate.base != place.base:
            changes.append(f"base = {candidate.base}")
        return say("set {changes}", changes=", ".join(changes))


def advise(place: Place, cells: Cells) -> Advice:
    """Give every candidate of a point and the verdict on them."""
    other: Base = 0 if place.base else 1
    bases = (place.base, other) if place.registers(other) else (place.base,)
    candidates = tuple(place.candidate(cells, order, base) for base in bases for order in place.orders)
    plausible = [each for each in candidates if each.plausible]
    if any(each.configured for each in plausible):
        return Advice(place, candidates, "as-configured")
    if place.without_value(cells):
        return Advice(place, candidates, "no-value")
    return Advice(place, candidates, "several" if len(plausible) > 1 else "one" if plausible else "none")


def missing(place: Place, cells: Cells) -> Block | None:
    """Give what must still be asked to tell what a point would be from its other base; None if nothing."""
    other: Base = 0 if place.base else 1
    lacking = [register for register in place.registers(other) if (place.field.table, register) not in cells]
    if not lacking:
        return None
    return Block(place.field.table, lacking[0], lacking[-1] - lacking[0] + 1, ())


def agreed(advices: Iterable[Advice], cells: Cells) -> str:
    """Say which order or base would make every point of an instrument plausible, where some are doubtful; else nothing.

    A neighbour's words may make a point plausible by chance, hardly those of all points. Points that have an order of
    their own, no value or a single bit tell nothing.
    """
    telling = [
        each
        for each in advices
        if each.verdict != "no-value" and each.place.point.type != "bool" and each.place.point.order is None
    ]
    doubtful = [each for each in telling if each.doubtful]
    if len(doubtful) < _SEVERAL:
        return ""
    instrument = doubtful[0].place.instrument
    orders = tuple(order for order in ORDERS if any(order in each.place.orders for each in telling))
    for base in (instrument.base, 1 - instrument.base):
        fitting = [order for order in orders if all(_fits(each, cells, order, base) for each in telling)]
        if instrument.order in fitting or len(fitting) == 1:
            order = instrument.order if instrument.order in fitting else fitting[0]
            changes = [f'order = "{order}"'] if order != instrument.order else []
            changes += [f"base = {base}"] if base != instrument.base else []
            return say("All {count} doubtful points become plausible with {changes} in the profile.",
                       count=len(doubtful), changes=", ".join(changes))  # fmt: skip
    return ""


def _fits(advice: Advice, cells: Cells, order: Order, base: int) -> bool:
    """Tell whether a point would be plausible if its instrument were of an order and a base."""
    place = advice.place
    own: Base = 1 if place.numbered or base else 0
    candidate = place.candidate(cells, order, own)
    return candidate.plausible or not (candidate.cells or advice.doubtful)


def _measured(point: Point, candidate: Candidate) -> str:
    return f"{shown(candidate.value)} {point.unit}".rstrip()


def shown(value: Value | None) -> str:
    """Give a value as briefly as one can compare it."""
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
