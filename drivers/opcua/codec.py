"""What an OPC UA answer means: plain value, status code and times of each node to a snapshot, and back for a simulator.

A value of Bad status never counts; one of Uncertain or Good status counts unless its sub-code says that somebody or
something has replaced it. A state, which judges other values, counts only if its status gives no flag at all. The
source's own time counts, then the server's, then the time the answer came.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from parkgate.config.flag import Flag
from parkgate.config.language import say
from parkgate.config.profile import STRING_TYPE, Point, State
from parkgate.config.site import Instrument
from parkgate.drivers.faults import Unusable
from parkgate.drivers.numbers import EXACT, decimals, exact, rounded, shortest
from parkgate.drivers.opcua.plan import Plan
from parkgate.drivers.snapshot import Snapshot, Value

BAD_NODE_ID_UNKNOWN = 0x8034_0000
"""The status a server gives to a node it does not have; ours for a node of a namespace the server does not have."""

_SEVERITY = 0xC000_0000
_UNCERTAIN = 0x4000_0000
_SUB_CODE = 0xCFFF_0000
"""Severity and sub-code of a status (OPC 10000-4, 7.39.1): bits 28 and 29 are reserved, the low half qualifies."""

_OVERFLOW_BITS, _OVERFLOW = 0x0C80, 0x0480
"""The InfoType (of a data value: 01) and its Overflow bit."""

STATUS_FLAGS: Mapping[int, Flag] = MappingProxyType(
    {
        0x801F_0000: Flag.BAD_CONFIGURATION,  # BadUserAccessDenied
        0x8033_0000: Flag.BAD_CONFIGURATION,  # BadNodeIdInvalid
        0x8034_0000: Flag.BAD_CONFIGURATION,  # BadNodeIdUnknown
        0x8035_0000: Flag.BAD_CONFIGURATION,  # BadAttributeIdInvalid
        0x8036_0000: Flag.BAD_CONFIGURATION,  # BadIndexRangeInvalid
        0x8037_0000: Flag.BAD_CONFIGURATION,  # BadIndexRangeNoData
        0x8038_0000: Flag.BAD_CONFIGURATION,  # BadDataEncodingInvalid
        0x8039_0000: Flag.BAD_CONFIGURATION,  # BadDataEncodingUnsupported
        0x803A_0000: Flag.BAD_CONFIGURATION,  # BadNotReadable
        0x803D_0000: Flag.BAD_CONFIGURATION,  # BadNotSupported
        0x803E_0000: Flag.BAD_CONFIGURATION,  # BadNotFound
        0x803F_0000: Flag.BAD_CONFIGURATION,  # BadObjectDeleted
        0x805F_0000: Flag.BAD_CONFIGURATION,  # BadNodeClassInvalid
        0x8074_0000: Flag.BAD_CONFIGURATION,  # BadTypeMismatch
        0x8089_0000: Flag.BAD_CONFIGURATION,  # BadConfigurationError
        0x8004_0000: Flag.NO_COMMUNICATION,  # BadResourceUnavailable
        0x8005_0000: Flag.NO_COMMUNICATION,  # BadCommunicationError
        0x800A_0000: Flag.NO_COMMUNICATION,  # BadTimeout
        0x800C_0000: Flag.NO_COMMUNICATION,  # BadShutdown
        0x800D_0000: Flag.NO_COMMUNICATION,  # BadServerNotConnected
        0x800E_0000: Flag.NO_COMMUNICATION,  # BadServerHalted
        0x8031_0000: Flag.NO_COMMUNICATION,  # BadNoCommunication
        0x8032_0000: Flag.NO_COMMUNICATION,  # BadWaitingForInitialData
        0x8085_0000: Flag.NO_COMMUNICATION,  # BadRequestTimeout
        0x808A_0000: Flag.NO_COMMUNICATION,  # BadNotConnected
        0x809B_0000: Flag.NO_COMMUNICATION,  # BadNoData
        0x809D_0000: Flag.NO_COMMUNICATION,  # BadDataLost
        0x809E_0000: Flag.NO_COMMUNICATION,  # BadDataUnavailable
        0x80AE_0000: Flag.NO_COMMUNICATION,  # BadConnectionClosed
        0x80B1_0000: Flag.NO_COMMUNICATION,  # BadNoDataAvailable
        0x808D_0000: Flag.OUT_OF_SERVICE,  # BadOutOfService
        0x803C_0000: Flag.OUT_OF_RANGE,  # BadOutOfRange
        0x408F_0000: Flag.NO_COMMUNICATION,  # UncertainNoCommunicationLastUsableValue: an old value, said again
        0x4090_0000: Flag.STALE,  # UncertainLastUsableValue: what updated it has stopped doing so
        0x4091_0000: Flag.MANUAL,  # UncertainSubstituteValue: entered by hand in place of the source
        0x4092_0000: Flag.NO_COMMUNICATION,  # UncertainInitialValue: the source has not written it yet
        0x4208_0000: Flag.MANUAL,  # UncertainTransducerInManual
        0x4209_0000: Flag.CALIBRATION,  # UncertainSimulatedValue
        0x0096_0000: Flag.MANUAL,  # GoodLocalOverride: overridden, usually by hand
    }
)
"""The flag of each status sub-code that has one (numbers: OPC 10000-6, A.2).

Any other Bad is `fault`; any other Good or Uncertain has none.
"""

_INTEGERS = MappingProxyType(
    {f"int{bits}": (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (16, 32, 64)}
    | {f"uint{bits}": (0, (1 << bits) - 1) for bits in (16, 32, 64)}
)
_FLOATS = frozenset({"float32", "float64", "double"})
_TEXT_BYTES = 255
_LAST_TIME = 253_370_764_800_000
"""The last day of 9999 says "none" (OPC 10000-6, 5.2.2.5), as the year 1601 does at the other end; all of that year is
taken so, since the hour and the day that a time lies in must have an end as well."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a server said about one node, in plain Python: nothing of a protocol library.

    `value` is whatever the value decoded to; `status` the 32-bit status code; `source` and `server` are milliseconds
    UTC, None where the server gave none; `single` says that the server holds the value as a 32-bit Float.
    """

    value: object
    status: int = 0
    source: int | None = None
    server: int | None = None
    single: bool = False


Taken = tuple[Value | None, Flag | None]
Taker = Callable[[Reading], Taken]

_MISFIT: Taken = (None, Flag.BAD_CONFIGURATION)
_FAULTY: Taken = (None, Flag.FAULT)
_BEYOND: Taken = (None, Flag.OUT_OF_RANGE)


def same(one: Reading, other: Reading) -> bool:
    """Tell whether a reading brings nothing that another one has not: neither value nor status nor source time."""
    return one.source == other.source and one.value == other.value and not (one.status ^ other.status) & _SUB_CODE


def overflowed(status: int) -> bool:
    """Tell whether the server dropped changes of a node before this one (OPC 10000-4, 7.39.1)."""
    return status & _OVERFLOW_BITS == _OVERFLOW


def judge(status: int) -> tuple[Flag | None, bool, bool]:
    """Judge a status code: the flag it gives, whether a value may stand beside it, and whether it is uncertain."""
    severity = status & _SEVERITY
    flag = STATUS_FLAGS.get(status & _SUB_CODE)
    if severity not in (0, _UNCERTAIN):  # the fourth severity is reserved and to be taken as Bad
        return flag or Flag.FAULT, False, False
    return flag, True, severity == _UNCERTAIN


class Decoder:
    """Turns the readings of an instrument's nodes into snapshots; compiled once from its points and states.

    `states` are the nodes of its states, by index into the plan's nodes.

    Raises:
        Unusable: a point has a type that OPC UA does not have.

    """

    def __init__(self, instrument: Instrument, plan: Plan) -> None:
        self._name = instrument.name
        self._points = tuple(
            (place, _taker(point, where=f'instrument "{instrument.name}", points.{point.name}.type'))
            for place, point in zip(plan.points, instrument.points, strict=True)
        )
        self._held = tuple(_held(point) for point in instrument.points)
        self._every = range(len(self._points))
        self._of: dict[int, list[int]] = {}
        for number, place in enumerate(plan.points):
            self._of.setdefault(place, []).append(number)
        self._states = tuple(zip(plan.states, instrument.states, strict=True))
        self.states = frozenset(plan.states)

    def decode(self, readings: Sequence[Reading], now: int) -> Snapshot:
        """Give the snapshot of one cycle: `readings` as the plan's nodes, `now` when the answer came (ms)."""
        return self._snapshot(readings, now, self._every, None)

    def whole(self, readings: Sequence[Reading], now: int, at: int) -> Snapshot:
        """Give a full snapshot of what is known of every node, for a time (ms): each point keeps its own."""
        return self._snapshot(readings, now, self._every, at)

    def change(self, readings: Sequence[Reading], now: int, at: int, places: Collection[int]) -> Snapshot | None:
        """Give a report of the nodes that changed by a time (ms), None where no point is among them.

        `readings` are those of every node by then: the states judge whatever changed.
        """
        numbers = sorted(number for place in places for number in self._of.get(place, ()))
        return self._snapshot(readings, now, numbers, at) if numbers else None

    def applying(self, readings: Sequence[Reading]) -> tuple[bool | None, ...]:
        """Tell of each state whether it applies, None where it cannot be read: what the flags of points depend on."""
        said = ((_state(state, readings[place]), state) for place, state in self._states)
        return tuple(None if word is None else word in state.equals for word, state in said)

    def misfits(self, readings: Sequence[Reading]) -> list[int]:
        """Give the points, by index, whose value is of another type than the profile says."""
        doubtful = [
            (number, readings[place], take)
            for number, (place, take) in enumerate(self._points)
            if type(readings[place].value) not in self._held[number]
        ]
        return [number for number, reading, take in doubtful if judge(reading.status)[1] and take(reading) is _MISFIT]

    def _snapshot(self, readings: Sequence[Reading], now: int, numbers: Sequence[int], at: int | None) -> Snapshot:
        values: list[Value | None] = [None] * len(self._points)
        flags: dict[int, Flag] = {}
        uncertain: set[int] = set()
        times: dict[int, int] = {}
        for number in numbers:
            place, take = self._points[number]
            reading = readings[place]
            flag, readable, doubtful = judge(reading.status)
            value, misfit = take(reading) if readable else (None, None)
            values[number] = value
            if flag := misfit or flag:
                flags[number] = flag
            elif doubtful:
                uncertain.add(number)
            if value is not None:
                times[number] = time_of(reading, now)
        if at is None:
            at = max((time for number, time in times.items() if number not in flags), default=now)
        return Snapshot(
            instrument=self._name,
            at=at,
            values=tuple(values),
            flags=flags,
            states=tuple(_state(state, readings[place]) for place, state in self._states),
            uncertain=frozenset(uncertain),
            offsets={number: time - at for number, time in times.items() if time != at},
            absent=frozenset(self._every).difference(numbers) if len(numbers) < len(self._every) else frozenset(),
        )


def time_of(reading: Reading, now: int) -> int:
    """Give when a value was measured (ms UTC): the source's time, else the server's, else `now`."""
    for time in (reading.source, reading.server):
        if time is not None and 0 < time < _LAST_TIME:
            return time
    return now


def _state(state: State, reading: Reading) -> int | None:
    flag, _, _ = judge(reading.status)
    if flag or not isinstance(reading.value, int):
        return None
    word = int(reading.value)
    if state.bits is None:
        return word
    low, high = state.bits
    return word >> low & (1 << high - low + 1) - 1


def _held(point: Point) -> frozenset[type]:
    """Give the types of values that always fit a point."""
    if point.type == "bool":
        return _BOOL
    if STRING_TYPE.fullmatch(point.type):
        return _STRING
    return _NUMBER if point.type in _FLOATS else _INTEGER


_BOOL, _STRING, _NUMBER, _INTEGER = frozenset({bool}), frozenset({str}), frozenset({int, float}), frozenset({int})
_NONE: frozenset[float] = frozenset()


def _taker(point: Point, *, where: str) -> Taker:
    if point.type == "bool":
        return lambda reading: (int(reading.value), None) if isinstance(reading.value, bool) else _MISFIT
    if limits := _INTEGERS.get(point.type):
        return _integer_taker(point, limits)
    if point.type in _FLOATS:
        return _float_taker(point)
    if text := STRING_TYPE.fullmatch(point.type):
        most = 2 * int(text[1]) if text[1] else _TEXT_BYTES
        return lambda reading: _text(reading.value, most)
    raise Unusable(
        say('OPC UA has no type "{type}"', type=point.type),
        where=where,
        hint=say("Use the type the server shows for this node: bool, int16 to uint64, float32, double or string."),
    )


def _integer_taker(point: Point, limits: tuple[int, int]) -> Taker:
    lowest, highest = limits
    invalid = frozenset(point.invalid)
    shown = _whole if point.scale == 1 and point.offset == 0 else _scaled
    digits = point.digits if point.digits is not None else decimals(point.scale, point.offset)

    def take(reading: Reading) -> Taken:
        raw = reading.value
        if not isinstance(raw, int) or isinstance(raw, bool):
            return _MISFIT
        if raw in invalid:
            return _FAULTY
        if not lowest <= raw <= highest:
            return _BEYOND
        value = shown(point, raw, digits)
        return _BEYOND if value is None else (value, None)

    return take


def _whole(point: Point, raw: int, _: int) -> Value | None:
    if point.as_ == "string":
        return str(raw)
    return raw if -EXACT <= raw <= EXACT else None


def _scaled(point: Point, raw: int, digits: int) -> Value | None:
    value = raw * point.scale + point.offset
    if not math.isfinite(value):
        return None
    return exact(raw, point.scale, point.offset, digits) if point.as_ == "string" else rounded((value,), digits)[0]


def _float_taker(point: Point) -> Taker:
    # A server's Float holds -99.9 as the nearest float32: the sentinel is compared as both.
    singles = {single for number in point.invalid if (single := _single(number)) is not None}
    invalid = frozenset({*point.invalid, *singles}) if point.invalid else _NONE

    def take(reading: Reading) -> Taken:
        raw = reading.value
        if not isinstance(raw, int | float) or isinstance(raw, bool):
            return _MISFIT
        if raw in invalid or (isinstance(raw, float) and not math.isfinite(raw)):
            return _FAULTY
        try:
            value = float(raw) * point.scale + point.offset
        except OverflowError:
            return _BEYOND
        if not math.isfinite(value):
            return _BEYOND
        if point.digits is not None:
            return rounded((value,), point.digits)[0], None
        return (shortest((value,))[0] if reading.single or point.type == "float32" else value), None

    return take


def _single(value: float) -> float | None:
    try:
        (single,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return None
    return float(single)


def _text(value: object, most: int) -> Taken:
    """Take a text of at most `most` bytes; some servers send GB 18030 where the standard asks for UTF-8."""
    if not isinstance(value, str):
        return _MISFIT
    try:
        text = value.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        try:
            text = value.encode("utf-8", "surrogateescape").decode("gb18030")
        except UnicodeError:
            return _FAULTY
    return (text, None) if len(text.encode()) <= most else _BEYOND


def encode(point: Point, value: Value | None) -> bool | float | int | str | None:
    """Give what a node holds for a point's value, the inverse of decoding; None where there is nothing to hold.

    An integer that its type cannot hold becomes the nearest one that it can, as a real register saturates; a float32
    that cannot be held becomes infinite.
    """
    if value is None or STRING_TYPE.fullmatch(point.type):
        return None if value is None else str(value)
    if point.type == "bool":
        return bool(value)
    limits = _INTEGERS.get(point.type)
    plain = point.scale == 1 and point.offset == 0
    if limits and plain and isinstance(value, int | str):
        return min(max(int(value), limits[0]), limits[1])
    raw = float(value) if plain else (float(value) - point.offset) / point.scale
    if limits is None:
        return math.copysign(math.inf, raw) if point.type == "float32" and _single(raw) is None else raw
    return None if math.isnan(raw) else min(max(round(min(max(raw, limits[0]), limits[1])), limits[0]), limits[1])


def words(states: Sequence[State], readings: Sequence[int], plan: Plan) -> Mapping[int, int]:
    """Give the integer that each node of these states holds, by index into the plan's nodes, for the readings asked.

    Bit fields of one node are put together; of several states on one whole node, the one that applies wins.
    """
    held: dict[int, int] = {}
    applies: set[int] = set()
    fields: dict[int, int] = {}
    for place, state, reading in zip(plan.states, states, readings, strict=True):
        if state.bits is not None:
            low, high = state.bits
            fields[place] = fields.get(place, 0) | (reading & (1 << high - low + 1) - 1) << low
        elif place not in held or (place not in applies and reading in state.equals):
            held[place] = reading
            if reading in state.equals:
                applies.add(place)
    return {place: held.get(place, 0) | fields.get(place, 0) for place in held.keys() | fields.keys()}
