"""What to ask a Modbus instrument: the fewest requests that read every point and state, then the fewest registers.

A value is never split over two requests, and no request asks for more than the protocol allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from parkgate.config.language import say
from parkgate.config.profile import STRING_TYPE, Point, State
from parkgate.config.site import Instrument
from parkgate.drivers.faults import Unusable
from parkgate.drivers.modbus.address import BITS, REGISTERS, Address, Table, parse

MOST_REGISTERS = 125
"""The most registers of one request (MODBUS Application Protocol V1.1b3, 6.3 and 6.4)."""

MOST_BITS = 2_000
"""The most coils or discrete inputs of one request (6.1 and 6.2)."""

_WIDTHS = {
    "bool": 1, "int16": 1, "uint16": 1, "bcd16": 1, "int32": 2, "uint32": 2, "float32": 2, "bcd32": 2,
    "int64": 4, "uint64": 4, "float64": 4, "double": 4,
}  # fmt: skip
_REQUEST = 1 << 32  # a request costs more than all the registers that it could save
_STATE_TYPES = frozenset({"int16", "int32", "int64", "uint16", "uint32", "uint64"})


@dataclass(frozen=True, slots=True)
class Field:
    """One value to read: `width` registers (or one bit of a bit table) from `start`, for a point or state by index."""

    table: Table
    start: int
    width: int
    bit: int | None
    role: Literal["point", "state"]
    index: int

    @property
    def end(self) -> int:
        """Give the first register behind the value."""
        return self.start + self.width


@dataclass(frozen=True, slots=True)
class Block:
    """One request: `count` registers or bits from `start`, and the fields that its answer holds, by ascending start."""

    table: Table
    start: int
    count: int
    fields: tuple[Field, ...]

    @property
    def of_bits(self) -> bool:
        """Tell whether the answer holds single bits and not registers."""
        return self.table in {"coil", "discrete"}

    @property
    def size(self) -> int:
        """Count the bytes of data that the answer must hold."""
        return (self.count + 7) // 8 if self.of_bits else 2 * self.count


def plan(instrument: Instrument) -> tuple[Block, ...]:
    """Give the requests that read an instrument: the fewest, and of those the ones that read the fewest registers.

    Raises:
        Unusable: a point or state cannot be read as configured; `problems` gives all of them.

    """
    return blocks(_fields(instrument), instrument.max_gap)


def problems(instrument: Instrument) -> tuple[Unusable, ...]:
    """Give everything that makes points and states of an instrument impossible to read; empty if all is well."""
    found: list[Unusable] = []
    for index, point in enumerate(instrument.points):
        try:
            _point_field(instrument, index, point)
        except Unusable as problem:
            found.append(problem)
    for index, state in enumerate(instrument.states):
        try:
            _state_field(instrument, index, state)
        except Unusable as problem:
            found.append(problem)
    return tuple(found)


def blocks(fields: Iterable[Field], max_gap: int) -> tuple[Block, ...]:
    """Group fields into the fewest requests, then the fewest registers; gaps up to `max_gap` registers are read over.

    Taken in the order of their start, neighbours share a request or do not: a field that starts later never belongs
    into an earlier request than one that starts before it, so the best grouping is found by a walk from the end.
    In a bit table a gap of one register is worth 16 bits.
    """
    tables: dict[Table, list[Field]] = {}
    for field in sorted(fields, key=lambda each: (each.start, each.end)):
        tables.setdefault(field.table, []).append(field)
    return tuple(block for _, each in sorted(tables.items()) for block in _best(each, max_gap))


def _best(fields: Sequence[Field], max_gap: int) -> list[Block]:
    """Group the fields of one table, sorted by start."""
    of_bits = fields[0].table in {"coil", "discrete"}
    cuts = _cuts(
        [field.start for field in fields],
        [field.end for field in fields],
        most=MOST_BITS if of_bits else MOST_REGISTERS,
        gap=max_gap * BITS if of_bits else max_gap,
    )
    grouped: list[Block] = []
    first = 0
    while first < len(fields):
        grouped.append(_block(fields[first : cuts[first]]))
        first = cuts[first]
    return grouped


def _cuts(starts: Sequence[int], ends: Sequence[int], *, most: int, gap: int) -> list[int]:
    """Give for each field, if a request began with it, which field begins the next; of equally cheap ones the last."""
    count = len(starts)
    cuts = [count] * count
    costs = [0] * (count + 1)  # requests and registers from here on, as one number
    for first in reversed(range(count)):
        start, end, best = starts[first], ends[first], 0
        for last in range(first, count):
            if starts[last] - end > gap:
                break
            end = max(end, ends[last])
            if end - start > most:
                break
            cost = costs[last + 1] + _REQUEST + end - start
            if not best or cost <= best:
                best, cuts[first] = cost, last + 1
        costs[first] = best
    return cuts


def _block(fields: Sequence[Field]) -> Block:
    start = fields[0].start
    return Block(fields[0].table, start, max(field.end for field in fields) - start, tuple(fields))


def without_gaps(block: Block) -> tuple[Block, ...]:
    """Give the requests that read a block's fields and no unused register: itself alone if it has no gap."""
    return blocks(block.fields, 0)


def instead(block: Block) -> tuple[Block, ...]:
    """Give what to ask when an instrument refused a block's addresses: it without its gaps, else its two halves.

    Empty when the block is a single field: then that one is what the instrument refuses.
    """
    pieces = without_gaps(block)
    if len(pieces) > 1:
        return pieces
    middle = len(block.fields) // 2
    return (_block(block.fields[:middle]), _block(block.fields[middle:])) if middle else ()


def _fields(instrument: Instrument) -> list[Field]:
    return [
        *(_point_field(instrument, index, point) for index, point in enumerate(instrument.points)),
        *(_state_field(instrument, index, state) for index, state in enumerate(instrument.states)),
    ]


def _point_field(instrument: Instrument, index: int, point: Point) -> Field:
    where = f"{instrument.name}, points.{point.name}"
    address = _address(point.at, instrument.base, where)
    width = width_of(point.type)
    if width is None or width > MOST_REGISTERS:
        raise Unusable(
            say('Modbus has no type "{type}"', type=point.type),
            where=where,
            hint=say("Use bool, int16/32/64, uint16/32/64, float32, float64, bcd16/32 or string:N, N at most 125."),
        )
    if (address.of_bits or address.bit is not None) and point.type != "bool":
        raise _one_bit(point.at, point.type, where)
    return _fitting(Field(address.table, address.register, width, address.bit, "point", index), where)


def _state_field(instrument: Instrument, index: int, state: State) -> Field:
    where = f"{instrument.name}, state {index + 1}"
    address = _address(state.at, instrument.base, where)
    single = address.of_bits or address.bit is not None
    kind = state.type or ("bool" if single else "uint16")
    if single and (kind != "bool" or state.bits is not None):
        raise _one_bit(state.at, kind, where)
    if not single and kind not in _STATE_TYPES:
        raise Unusable(
            say('a state cannot be of type "{type}"', type=kind),
            where=where,
            hint=say("Use one of int16/32/64 or uint16/32/64, or name a single bit like holding 40.3."),
        )
    width = _WIDTHS[kind]
    if state.bits is not None and not state.bits[0] <= state.bits[1] < width * BITS:
        raise Unusable(
            say("the bit field {low} to {high} is not in the value", low=state.bits[0], high=state.bits[1]),
            where=where,
            hint=say("Give the lowest and the highest bit, both below {count}.", count=width * BITS),
        )
    return _fitting(Field(address.table, address.register, width, address.bit, "state", index), where)


def width_of(kind: str) -> int | None:
    """Tell how many registers a type takes (a bit in a bit table: 1), None if Modbus has no such type."""
    if (match := STRING_TYPE.fullmatch(kind)) and match[1]:
        return int(match[1])
    return _WIDTHS.get(kind)


def _address(at: str, base: int, where: str) -> Address:
    try:
        return parse(at, base)
    except Unusable as problem:
        raise Unusable(problem.what, where=f"{where}.at = {problem.where}", hint=problem.hint) from None


def _one_bit(at: str, kind: str, where: str) -> Unusable:
    return Unusable(
        say('"{at}" is one bit and cannot be read as "{type}"', at=at, type=kind),
        where=where,
        hint=say('Give it type = "bool", or name whole registers.'),
    )


def _fitting(field: Field, where: str) -> Field:
    if field.end > REGISTERS:
        raise Unusable(
            say("the value runs over the end of the table"),
            where=where,
            hint=say("A table has 65536 registers; with base = 1 and in the manual's notation the first is number 1."),
        )
    return field
