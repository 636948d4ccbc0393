"""A simulated instrument: its points move by their shapes, and it shows them as the real one would. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from parkgate.config.flag import Flag
from parkgate.config.profile import Point, State
from parkgate.config.site import Instrument
from parkgate.drivers.modbus.address import Address, parse
from parkgate.drivers.modbus.codec import encode
from parkgate.simulator.episode import Condition
from parkgate.simulator.image import Cells, Image
from parkgate.simulator.shapes import Counter, Noise, Shape, Signals, Steady, Value

_SWAPPED = ("BADC", "DCBA")
_OTHER_BYTE = 8
"""Where the bytes of each word are swapped, bit n of a register stands at n ^ 8 on the wire."""

_USUAL = 0.4
_WANDER = 0.1
_EXACT = 2**53
"""Beyond it a float does not know every integer; a simulated 64-bit integer stops there."""

_FLOAT32_MAX = 3.4028234663852886e38
_LIMITS: Mapping[str, tuple[int, int]] = {
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-_EXACT, _EXACT),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, _EXACT),
    "bcd16": (0, 9_999),
    "bcd32": (0, 99_999_999),
}


def default_shape(point: Point) -> Shape:
    """Give a plausible shape to a point that the scenario says nothing about.

    Within a range: noise around 40 % of it, a tenth of it wide. A text says its name, a bool is 0, and a number without
    a range counts the seconds.
    """
    if point.type.startswith("string"):
        return Steady(value=point.name)
    if point.type == "bool":
        return Steady(value=0)
    if point.range is not None:
        low, high = point.range
        return Noise(mean=low + _USUAL * (high - low), spread=_WANDER * (high - low))
    return Counter(rate=1, per=1_000, wrap=_wrap(point))


def _wrap(point: Point) -> float | None:
    if point.type not in _LIMITS:
        return None
    end = (_LIMITS[point.type][1] + 1) * point.scale + point.offset
    return end if end > 0 else None


def shapes_of(instrument: Instrument, given: Mapping[str, Shape]) -> dict[str, Shape]:
    """Give every point of an instrument its shape: the scenario's, else a plausible one."""
    normal = normal_states(instrument)
    words = {state.at: normal[state.at] for state in instrument.states if state.equals and state.bits is None}

    def usual(point: Point) -> Shape:
        """Give what a point shows by itself: one that is a state's register, that nothing is wrong."""
        word = next((word for at, word in words.items() if _same(instrument, at, point.at)), None)
        return default_shape(point) if word is None else Steady(value=word * point.scale + point.offset)

    return {point.name: given.get(point.name) or usual(point) for point in instrument.points}


def shown(point: Point, value: Value) -> Value:
    """Give a value as the instrument can show it: within its type's limits and on its resolution, in its unit."""
    if point.type.startswith("string"):
        return _fitting(str(value), point.type)
    number = float(value)
    if point.type == "bool":
        return int(number >= 0.5)  # noqa: PLR2004  the middle between 0 and 1
    low, high = _LIMITS.get(point.type, (-_FLOAT32_MAX, _FLOAT32_MAX))
    raw = min(high, max(low, (number - point.offset) / point.scale))
    if point.type in _LIMITS:
        raw = round(raw)
    if point.scale == 1 and point.offset == 0:
        return raw
    settled = raw * point.scale + point.offset
    return settled if point.digits is None else round(settled, point.digits)


def _fitting(text: str, kind: str) -> str:
    registers = kind.partition(":")[2]
    return text.encode()[: 2 * int(registers)].decode(errors="ignore") if registers else text


def normal_states(instrument: Instrument) -> dict[str, int]:
    """Give, by address, the smallest word with which none of the states there sets its flag; 0 if there is none."""
    words: dict[str, int] = {}
    for at in dict.fromkeys(state.at for state in instrument.states):
        here = [state for state in instrument.states if state.at == at]
        most = 2 if any(_is_binary(instrument, state) for state in here) else 1 << 16
        normal = (word for word in range(most) if all(reading(state, word) not in state.equals for state in here))
        words[at] = next(normal, 0)
    return words


def _is_binary(instrument: Instrument, state: State) -> bool:
    return state.type == "bool" or (instrument.protocol == "modbus" and _is_bit(parse(state.at, instrument.base)))


def reading(state: State, word: int) -> int:
    """Give what a state reads in a word: its bit field, or all of it."""
    if state.bits is None:
        return word
    low, high = state.bits
    return word >> low & (1 << high - low + 1) - 1


def with_reading(state: State, word: int, value: int) -> int:
    """Give a word changed so that a state reads a value in it."""
    if state.bits is None:
        return value
    low, high = state.bits
    return word & ~((1 << high - low + 1) - 1 << low) | value << low


def set_by(instrument: Instrument, condition: Condition) -> list[State]:
    """Give the states by which an instrument can say that it is in a condition, those of its very points first."""
    wanted = set(condition.points)
    covering = [
        state
        for state in instrument.states
        if state.equals
        and state.flag == condition.flag
        and (not state.points or (wanted and wanted <= {*state.points}))
    ]
    return sorted(covering, key=lambda state: not state.points)


def out_of_bounds(point: Point, value: Value) -> Flag | None:
    """Give what is wrong with a value by itself: outside its measuring range. A text has none."""
    if point.range is None or isinstance(value, str):
        return None
    low, high = point.range
    return None if low <= value <= high else Flag.OUT_OF_RANGE


def cells(instrument: Instrument) -> tuple[Cells, ...]:
    """Give the runs of Modbus cells that an instrument's points and states occupy, none for OPC UA.

    Raises:
        Unusable: an address that cannot be.

    """
    if instrument.protocol != "modbus":
        return ()
    points = (*instrument.points, *(_state_point(state) for state in instrument.states))
    runs = []
    for point in points:
        address = parse(point.at, instrument.base)
        count = 1 if _is_bit(address) else len(encode(point, instrument.order, _blank(point)))
        runs.append((address.table, address.register, count))
    return tuple(runs)


def _blank(point: Point) -> Value:
    return "" if point.type.startswith("string") else shown(point, point.offset)


def _is_bit(address: Address) -> bool:
    return address.bit is not None or address.of_bits


def _state_point(state: State) -> Point:
    return Point(name="state", at=state.at, type=state.type or "uint16")


class Beat:
    """The heartbeat of a simulated instrument, if it has one: one more every period, as wide as its reading is.

    A single bit turns over every period, so that at the clock's own speed no two readings in a row are alike. Where a
    point stands at the same address the heartbeat is what that shows, by its own shape.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.state = None if instrument.heartbeat is None else instrument.states[-1]
        self._every = instrument.every
        self._modulus = 0 if self.state is None else _modulus(instrument, self.state)
        self._point = next(
            (p for p in instrument.points if self.state and _same(instrument, p.at, self.state.at)), None
        )

    def reading(self, elapsed_ms: int, values: Mapping[str, Value]) -> int:
        """Give the reading after a time, beside the values that the points show."""
        if self._point is None:
            return elapsed_ms // self._every % self._modulus
        return round((float(values[self._point.name]) - self._point.offset) / self._point.scale)


def _modulus(instrument: Instrument, state: State) -> int:
    if state.bits is not None:
        return 1 << state.bits[1] - state.bits[0] + 1
    return 2 if _is_binary(instrument, state) else 1 << 15  # what every type holds


def _same(instrument: Instrument, at: str, other: str) -> bool:
    if instrument.protocol != "modbus":
        return at == other
    return parse(at, instrument.base) == parse(other, instrument.base)


class Device:
    """One simulated instrument. Its `signals` hold a value for every point; over Modbus it writes them into `image`.

    `image` spans the instrument's cells and may be shared by instruments of one unit; None for OPC UA.
    """

    def __init__(self, instrument: Instrument, signals: Signals, image: Image | None = None) -> None:
        self.instrument = instrument
        self._signals = signals
        self._image = image
        self._normal = normal_states(instrument)
        self._words = self._normal
        self._places = () if image is None else tuple((p, parse(p.at, instrument.base)) for p in instrument.points)
        states = () if image is None else instrument.states
        self._states = tuple((each.at, _state_point(each), parse(each.at, instrument.base)) for each in states)
        self._values: dict[str, Value] = {}
        self._beat = Beat(instrument)
        self._beats = 0
        self._elapsed_ms = 0
        self._stale = True
        self.show()

    def advance(self, dt_ms: int) -> None:
        """Let `dt_ms` milliseconds of scenario time pass, in one step; `show` makes them seen."""
        self._elapsed_ms += dt_ms
        self._signals.advance(dt_ms)

    def show(self, conditions: Sequence[Condition] = (), frozen: Collection[str] = ()) -> None:
        """Show the values and states of this moment: under conditions of the instrument, some points perhaps frozen.

        Where all of them are, so is its heartbeat: what shows them hangs.
        """
        now = dict(self._signals.values)
        for condition in conditions:
            now.update(condition.values)
        shows = {point.name: shown(point, now[point.name]) for point in self.instrument.points}
        shows.update((name, value) for name, value in self._values.items() if name in frozen)
        self._values = shows
        self._words = dict(self._normal)
        for condition in conditions:
            for state in set_by(self.instrument, condition)[:1]:
                self._words[state.at] = with_reading(state, self._words[state.at], state.equals[0])
        if (beat := self._beat.state) is not None:
            if not frozen or not self._values.keys() <= set(frozen):
                self._beats = self._beat.reading(self._elapsed_ms, self._values)
            self._words[beat.at] = with_reading(beat, self._words[beat.at], self._beats)
        self._stale = True

    def write(self) -> None:
        """Write what is shown into the image, if that is older: to be called before it is read."""
        if self._image is not None and self._stale:
            self._stale = False
            self._write(self._image)

    def values(self) -> Mapping[str, Value]:
        """Give the value of each point, in its unit, as the instrument shows it."""
        return self._values

    def states(self) -> tuple[int, ...]:
        """Give the reading of each of the instrument's states, in their order."""
        return tuple(reading(state, self._words[state.at]) for state in self.instrument.states)

    def flags(self) -> dict[str, frozenset[Flag]]:
        """Give, by point, what makes its value one that may not be used as it is: its states, its range, a sentinel."""
        found: dict[str, set[Flag]] = {}
        every = [point.name for point in self.instrument.points]
        for state, word in zip(self.instrument.states, self.states(), strict=True):
            if word in state.equals:
                for name in state.points or every:
                    found.setdefault(name, set()).add(state.flag)
        for point in self.instrument.points:
            if flag := out_of_bounds(point, self._values[point.name]):
                found.setdefault(point.name, set()).add(flag)
        return {name: frozenset(flags) for name, flags in found.items()}

    def _write(self, image: Image) -> None:
        for at, point, address in self._states:
            self._put(image, point, address, self._words[at])
        for point, address in self._places:
            self._put(image, point, address, self._values[point.name])

    def _put(self, image: Image, point: Point, address: Address, value: Value) -> None:
        order = point.order or self.instrument.order
        if address.bit is not None:
            bit = address.bit ^ _OTHER_BYTE if order in _SWAPPED else address.bit
            image.write_bit(address.table, address.register, bit, on=bool(value))
        elif address.of_bits:
            image.write(address.table, address.register, (int(bool(value)),))
        else:
            image.write(address.table, address.register, encode(point, order, value))
