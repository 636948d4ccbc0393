"""What the bytes of a Modbus answer mean, compiled once per block, and the way back for a simulated instrument.

Orders, for a value whose big-endian bytes are A B C D (E F G H): ABCD as the standard says; CDAB the words reversed;
BADC the bytes swapped within each word; DCBA all bytes reversed. An instrument that swaps the bytes of a word does so
in every word, so BADC and DCBA also swap a 16-bit value, the register of a bit, and each word of a string, as Telegraf
does; CDAB leaves those as they are, and the words of a string are never reversed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from operator import itemgetter
from typing import Any

from parkgate.config.flag import Flag
from parkgate.config.profile import Order, Point
from parkgate.config.site import Instrument
from parkgate.drivers.modbus.plan import Block, Field, width_of
from parkgate.drivers.numbers import EXACT, decimals, exact, rounded, rounded_singles, shortest
from parkgate.drivers.snapshot import Value

Raws = Sequence[Any]
Step = Callable[[Raws], Raws | None]
"""One step from raw values to values, for all of a group at once; None if one of them has no value."""

_LETTERS = {
    "bool": "H", "int16": "h", "uint16": "H", "bcd16": "H", "int32": "i", "uint32": "I", "bcd32": "I",
    "float32": "f", "int64": "q", "uint64": "Q", "float64": "d", "double": "d",
}  # fmt: skip
_SIGN_BITS = {"int16": 1 << 15, "int32": 1 << 31, "int64": 1 << 63}
_WIDE = frozenset({"int64", "uint64"})
_BCD = frozenset({"bcd16", "bcd32"})
_DOUBLES = frozenset({"float64", "double"})
_FLOATS = _DOUBLES | {"float32"}
_SWAPPED = frozenset({"BADC", "DCBA"})
_REVERSED = frozenset({"CDAB", "DCBA"})


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one answer said.

    A value for each of the decoder's `points` (None: no value, and a flag says why), flags by the instrument's point
    index, and the raw integer of each of the decoder's `states`.
    """

    values: list[Value | None]
    flags: dict[int, Flag]
    states: list[int]


@dataclass(frozen=True, slots=True)
class _Slot:
    """A value in an answer: its bytes in big-endian order, by position, and the struct letter that reads them."""

    places: tuple[int, ...]
    letter: str


@dataclass(frozen=True, slots=True)
class _Group:
    """Points of a block that are read in the same way, and the steps from their raw values to their values."""

    points: tuple[int, ...]
    pick: Callable[[Any], Raws]
    steps: tuple[Step, ...]
    sentinels: frozenset[float]
    otherwise: Flag

    def convert(self, raws: Raws) -> Raws | None:
        """Give the values of raw values, None if one of them has none."""
        values: Raws | None = raws
        for step in self.steps:
            if values is None:
                return None
            values = step(values)
        return values

    def judge(self, raws: Raws, flags: dict[int, Flag]) -> Iterator[Value | None]:
        """Convert one by one; what has no value is None and gets its flag."""
        for point, raw in zip(self.points, raws, strict=True):
            converted = self.convert((raw,))
            if converted is None:
                flags[point] = Flag.FAULT if raw in self.sentinels else self.otherwise
            yield None if converted is None else converted[0]


class Decoder:
    """The meaning of one block's answer.

    `points` and `states` tell, by the instrument's indices, what it decodes; `run` is `points` as a slice if it is one.
    """

    __slots__ = ("_gather", "_groups", "_states", "_unpack", "points", "run", "states")

    def __init__(self, instrument: Instrument, block: Block) -> None:
        slots = [] if block.of_bits else _slots(instrument, block)
        places = {slot: index for index, slot in enumerate(slots)}
        self._gather, self._unpack = _layout(slots, block.size)
        self._groups = _groups(instrument, block, places)
        self._states = tuple(_triple(instrument, block, places, each) for each in block.fields if each.role == "state")
        self.points: tuple[int, ...] = tuple(point for group in self._groups for point in group.points)
        self.run = _run(self.points)
        self.states: tuple[int, ...] = tuple(field.index for field in block.fields if field.role == "state")

    def decode(self, data: bytes) -> Decoded:
        """Give the values of an answer's data: exactly `block.size` bytes as they stood on the wire."""
        raw = self._unpack(data if self._gather is None else bytes(self._gather(data)))
        values: list[Value | None] = []
        flags: dict[int, Flag] = {}
        for group in self._groups:
            raws = group.pick(raw)
            converted = group.convert(raws)
            values += group.judge(raws, flags) if converted is None else converted
        return Decoded(values, flags, [raw[place] >> shift & mask for place, shift, mask in self._states])


def _run(points: Sequence[int]) -> slice | None:
    """Give the slice that a block's points are of the instrument's, None where they do not stand in a row."""
    first, behind = (points[0], points[-1] + 1) if points else (0, 0)
    return slice(first, behind) if points and list(points) == list(range(first, behind)) else None


def encode(point: Point, order: Order, value: Value) -> tuple[int, ...]:
    """Give the registers in which an instrument would hold a point's value; `decode` reads the same value back.

    `order` is the instrument's; the point's own goes before it. A bool gives a single 0 or 1: where that bit belongs,
    a coil or bit n of a register, says the point's address.

    Raises:
        ValueError: the value does not fit the point's type.

    """
    if point.type == "bool":
        return (int(bool(value)),)
    width = width_of(point.type) or 0
    packed = _packed(point, value)
    if packed is None or len(packed) != 2 * width:
        raise ValueError(f"{value!r} does not fit points.{point.name}, which is {point.type}")
    return struct.unpack(f">{width}H", bytes(packed[place] for place in _places(0, point.type, point.order or order)))


def _packed(point: Point, value: Value) -> bytes | None:
    """Give the big-endian bytes of a value, None if the type cannot hold it; a text that is too long stays so."""
    letter = _letter(point.type)
    if letter.endswith("s"):
        return str(value).encode().ljust(struct.calcsize(letter), b"\0")
    try:
        return struct.pack(f">{letter}", _raw(point, value))
    except (struct.error, OverflowError, ValueError, ArithmeticError):
        return None


def _raw(point: Point, value: Value) -> float:
    """Undo scale and offset."""
    if point.type in _FLOATS:
        return (float(value) - point.offset) / point.scale
    exact = (Decimal(str(value)) - Decimal(repr(point.offset))) / Decimal(repr(point.scale))
    return int(f"{round(exact)}", 16 if point.type in _BCD else 10)


def _letter(kind: str) -> str:
    return _LETTERS.get(kind) or f"{2 * (width_of(kind) or 0)}s"


def _places(offset: int, kind: str, order: Order) -> tuple[int, ...]:
    """Give the positions of a value's big-endian bytes, `offset` registers into an answer; at 0 its own inverse."""
    words = range(offset, offset + (width_of(kind) or 0))
    if order in _REVERSED and not kind.startswith("string"):
        words = words[::-1]
    first, second = (1, 0) if order in _SWAPPED else (0, 1)
    return tuple(place for word in words for place in (2 * word + first, 2 * word + second))


def _slot(instrument: Instrument, block: Block, field: Field) -> _Slot:
    if field.role == "point":
        point = instrument.points[field.index]
        kind, order = point.type, point.order or instrument.order
    else:
        kind, order = instrument.states[field.index].type or "uint16", instrument.order
        kind = "uint16" if field.bit is not None else kind
    return _Slot(_places(field.start - block.start, kind, order), _letter(kind))


def _slots(instrument: Instrument, block: Block) -> list[_Slot]:
    """Give the distinct values of a register block; bits of one register share theirs."""
    found = {_slot(instrument, block, field) for field in block.fields}
    return sorted(found, key=lambda slot: (slot.places, slot.letter))


def _layout(
    slots: Sequence[_Slot], size: int
) -> tuple[Callable[[bytes], Iterable[int]] | None, Callable[[bytes], Raws]]:
    """Compile how bytes become raw values: what brings them into order (None if they are), and what unpacks them.

    Big-endian values that do not overlap are unpacked where they stand, gaps skipped; else the bytes of each value are
    gathered first. The bytes of a bit table are themselves the raw values.
    """
    if not slots:
        return None, _as_they_are
    end, layout = 0, ">"
    for slot in slots:
        if slot.places[0] < end or slot.places != tuple(range(slot.places[0], slot.places[-1] + 1)):
            gather = itemgetter(*(place for each in slots for place in each.places))
            return gather, struct.Struct(">" + "".join(each.letter for each in slots)).unpack
        layout += f"{slot.places[0] - end}x{slot.letter}"
        end = slot.places[-1] + 1
    return None, struct.Struct(f"{layout}{size - end}x").unpack


def _as_they_are(data: bytes) -> Raws:
    return data


def _groups(instrument: Instrument, block: Block, places: dict[_Slot, int]) -> tuple[_Group, ...]:
    """Group a block's points by how their raw values become values."""
    alike: dict[tuple[object, ...], list[Field]] = {}
    for field in block.fields:
        if field.role == "point":
            point = instrument.points[field.index]
            key = (point.type, point.scale, point.offset, point.digits, point.invalid, point.as_)
            alike.setdefault(key, []).append(field)
    return tuple(_group(instrument, block, places, fields) for fields in alike.values())


def _group(instrument: Instrument, block: Block, places: dict[_Slot, int], fields: Sequence[Field]) -> _Group:
    point = instrument.points[fields[0].index]
    if point.type == "bool":
        pick = _pick_bits([_triple(instrument, block, places, field) for field in fields])
    else:
        pick = _pick([places[_slot(instrument, block, field)] for field in fields])
    return _Group(
        points=tuple(field.index for field in fields),
        pick=pick,
        steps=tuple(_steps(point)),
        sentinels=_sentinels(point),
        otherwise=Flag.OUT_OF_RANGE if point.type in _WIDE else Flag.FAULT,
    )


def _pick(positions: Sequence[int]) -> Callable[[Any], Raws]:
    first, last = positions[0], positions[-1]
    if list(positions) == list(range(first, last + 1)):
        return itemgetter(slice(first, last + 1))
    return itemgetter(*positions)


def _pick_bits(triples: Sequence[tuple[int, int, int]]) -> Callable[[Any], Raws]:
    return lambda raw: [raw[place] >> shift & mask for place, shift, mask in triples]


def _triple(instrument: Instrument, block: Block, places: dict[_Slot, int], field: Field) -> tuple[int, int, int]:
    """Give where an integer stands among the raw values, how far to shift it and what to keep of it (-1: all)."""
    if block.of_bits:
        offset = field.start - block.start
        return offset // 8, offset % 8, 1  # the first bit is the least significant of the first byte (V1.1b3, 6.1)
    place = places[_slot(instrument, block, field)]
    if field.bit is not None:
        return place, field.bit, 1
    bits = instrument.states[field.index].bits if field.role == "state" else None
    return (place, 0, -1) if bits is None else (place, bits[0], (1 << (bits[1] - bits[0] + 1)) - 1)


def _steps(point: Point) -> Iterator[Step]:
    """Give the steps from raw values to values. Sentinels are judged on the raw value, before scaling."""
    if point.type in _BCD:
        yield _from_bcd
    if sentinels := _sentinels(point):
        yield lambda raws: raws if sentinels.isdisjoint(raws) else None
    if point.type.startswith("string"):
        yield _texts
    elif point.type == "bool":
        yield lambda raws: [int(raw != 0) for raw in raws]
    elif point.type in _FLOATS:
        yield from _float_steps(point)
    else:
        yield from _integer_steps(point)


def _float_steps(point: Point) -> Iterator[Step]:
    scale, offset, digits = point.scale, point.offset, point.digits
    if (scale, offset) != (1.0, 0.0):
        yield lambda raws: [raw * scale + offset for raw in raws]
    yield lambda values: values if isfinite(sum(values)) else None  # NaN and infinity spoil the sum
    if digits is not None:
        rounding = rounded if point.type in _DOUBLES else rounded_singles
        yield lambda values: rounding(values, digits)
    elif point.type == "float32":
        yield shortest
    if point.as_ == "string":
        yield lambda values: [str(value) for value in values]


def _integer_steps(point: Point) -> Iterator[Step]:
    """Keep a plain integer one; as a string it is exact at any size."""
    scale, offset = point.scale, point.offset
    plain = (scale, offset) == (1.0, 0.0)
    digits = decimals(scale, offset) if point.digits is None else point.digits
    if point.as_ == "string":
        yield lambda raws: [str(raw) if plain else exact(raw, scale, offset, digits) for raw in raws]
        return
    if point.type in _WIDE:
        yield lambda raws: raws if max(map(abs, raws)) <= EXACT else None
    if not plain:
        yield lambda raws: [raw * scale + offset for raw in raws]
        yield lambda values: values if isfinite(sum(values)) else None
        yield lambda values: rounded_singles(values, digits)


def _sentinels(point: Point) -> frozenset[float]:
    """Give the raw values that mean "no value", as they come: 0x8000 of an int16 is -32768, a float32 is a float32."""
    sign = _SIGN_BITS.get(point.type, 0)
    if point.type == "float32":
        return frozenset(single for number in point.invalid for single in _single(number))
    return frozenset(number - 2 * sign if sign <= number < 2 * sign else number for number in point.invalid)


def _single(number: float) -> tuple[float, ...]:
    try:
        return struct.unpack("<f", struct.pack("<f", number))
    except OverflowError:
        return ()


def _from_bcd(raws: Raws) -> Raws | None:
    """Read four bits a decimal digit; A to F are none."""
    try:
        return [int(f"{raw:x}") for raw in raws]
    except ValueError:
        return None


def _texts(raws: Raws) -> Raws | None:
    """Read text without its padding: UTF-8, or else GB18030 as Chinese instruments write it."""
    try:
        return [_text(raw.rstrip(b"\0 ")) for raw in raws]
    except UnicodeDecodeError:
        return None


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("gb18030")
