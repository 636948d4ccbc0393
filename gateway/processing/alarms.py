"""Alarms by ISA-18.2 / IEC 62682: what a reading raises, what returns, and what stands until it is acknowledged. Pure.

The states are the table below. What holds besides:

- a value that may not be used freezes an alarm, its delays too: it raises nothing, and it never clears anything;
- a value beyond the measuring range may raise, as it may be true, and clears nothing, as it may be not;
- nothing changes before its record was taken: what is decided here is `applied` by whoever stored it, else it is
  decided again with the next reading.

Nothing is shelved or suppressed here: that is the platform's. Time is the monotonic clock's, seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any, cast

from parkgate.config.alarm import Alarm
from parkgate.config.derived import Derived
from parkgate.config.flag import Flag
from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot, Value

Key = tuple[str, str]
"""A point and its alarm, by name."""
_Level = Callable[[Any, Flag | None, float], float | None]
"""Give what is held against the limit, upwards, of a value, its flag and the time; None where it can not be told."""

FAULTS = frozenset({Flag.FAULT, Flag.NO_COMMUNICATION, Flag.STALE, Flag.BAD_CONFIGURATION})
"""The flags of an instrument that fails at what it is there for; the others are of people at work on it."""
_PIECES = 60
"""The parts of its time that a rate of change is told to."""


class State(StrEnum):
    """What an alarm is like; `LATCHED`: what raised it is over, and nobody has acknowledged it."""

    NORMAL = auto()
    UNACKNOWLEDGED = auto()
    ACKNOWLEDGED = auto()
    LATCHED = auto()


class Happening(StrEnum):
    """What changes a state: the reading, or people. A configuration that has the alarm no more ends any."""

    RAISED = auto()
    RETURNED = auto()
    ACKNOWLEDGED = auto()


TABLE: Mapping[tuple[State, Happening], tuple[State, State]] = {
    # it is                 and is             then it is, not latching  latching
    (State.NORMAL, Happening.RAISED): (State.UNACKNOWLEDGED, State.UNACKNOWLEDGED),
    (State.UNACKNOWLEDGED, Happening.RETURNED): (State.NORMAL, State.LATCHED),
    (State.UNACKNOWLEDGED, Happening.ACKNOWLEDGED): (State.ACKNOWLEDGED, State.ACKNOWLEDGED),
    (State.ACKNOWLEDGED, Happening.RETURNED): (State.NORMAL, State.NORMAL),
    (State.LATCHED, Happening.RAISED): (State.UNACKNOWLEDGED, State.UNACKNOWLEDGED),
    (State.LATCHED, Happening.ACKNOWLEDGED): (State.NORMAL, State.NORMAL),
}
"""ISA-18.2-2016 5.8.2 as far as a gateway goes: a latched alarm is reset by its acknowledgement. What is not in the
table changes nothing."""
UP = frozenset({State.UNACKNOWLEDGED, State.ACKNOWLEDGED})
"""The states in which what raised the alarm is there."""


def after(state: State, happening: Happening, *, latch: bool) -> State | None:
    """Give the state behind what happened; None where it changes nothing."""
    found = TABLE.get((state, happening))
    return found[latch] if found else None


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of one alarm, decided and not yet applied.

    `at` is when it happened and `since` when the alarm was raised, ms UTC; `value` is the last reading, `flag` why that
    may not be used. `acknowledged`: somebody has acknowledged it since it was raised.
    """

    point: str
    alarm: Alarm
    happening: Happening
    state: State
    acknowledged: bool
    at: int
    since: int
    value: Value | None
    flag: Flag | None

    def fields(self) -> dict[str, object]:
        """Give what its record says of it; what there is not is left out."""
        alarm = self.alarm
        told = {
            "point": self.point,
            "alarm": alarm.name,
            "kind": alarm.kinds[0],
            "state": "cleared" if self.state is State.NORMAL else "active",
            "acknowledged": self.acknowledged,
            "latched": alarm.latch,
            "returned": self.state is State.LATCHED or None,
            "value": self.value,
            "flag": self.flag,
            "limit": alarm.limit,
            "priority": alarm.priority,
            "since": self.since,
        }
        return {name: value for name, value in told.items() if value is not None}


@dataclass(slots=True)
class Restored:
    """What a stored record says of an alarm that stands."""

    state: State
    since: int
    value: Value | None = None

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> Restored:
        """Take it from what its newest record says."""
        state = State.LATCHED if fields.get("returned") else State.UNACKNOWLEDGED
        if fields.get("acknowledged"):
            state = State.ACKNOWLEDGED
        return cls(state, cast("int", fields.get("since", 0)), cast("Value | None", fields.get("value")))


class _Watched:
    """One alarm of one point, by the place of that point in the snapshots."""

    __slots__ = (
        "_delays", "_left", "_thresholds", "alarm", "flag", "level", "pending", "place", "point", "since", "state",
        "threshold", "until", "up", "value", "window",
    )  # fmt: skip

    def __init__(self, point: Point | Derived, place: int, alarm: Alarm) -> None:
        kind = alarm.kinds[0]
        self.point, self.place, self.alarm = point.name, place, alarm
        self.window = _Window((alarm.per or 0) / 1000) if kind == "rate" else None
        self.level: _Level = _level(point, alarm, self.window)
        on = _on(alarm)
        self._thresholds = on, on - alarm.deadband
        self._delays = alarm.delay / 1000, alarm.off_delay / 1000
        self.since = 0
        self.value: Value | None = None
        self.flag: Flag | None = None
        self.enter(State.NORMAL)

    def enter(self, state: State) -> None:
        """Be in a state from now on; no delay runs."""
        self.state, self.up = state, state in UP
        self.threshold = self._thresholds[self.up]
        self.agrees()

    def agrees(self) -> None:
        """Note that the reading is what the state says: no delay runs, and the next one begins anew."""
        self.pending, self._left = False, self._delays[self.up]
        self.until: float | None = None

    def differs(self, now: float) -> bool:
        """Note that the reading is not what the state says; tell whether it has been so for as long as it must."""
        if self.until is None:
            self.pending, self.until = True, now + self._left
        return now >= self.until

    def freeze(self, now: float) -> None:
        """Stop the delay that runs, where it is."""
        if self.until is not None:
            self._left, self.until = max(0.0, self.until - now), None

    def transition(self, happening: Happening, at: int) -> Transition | None:
        """Give what becomes of it; None where the table says that nothing does."""
        state = after(self.state, happening, latch=self.alarm.latch)
        if state is None:
            return None
        acknowledged = happening is Happening.ACKNOWLEDGED or (
            self.state is State.ACKNOWLEDGED and happening is not Happening.RAISED
        )
        since = at if self.state is State.NORMAL else self.since
        return Transition(
            self.point, self.alarm, happening, state, acknowledged, at, since, self.value, self.flag
        )  # fmt: skip


class Watch:
    """The alarms of one instrument, compiled when its configuration is loaded."""

    __slots__ = ("_by_key", "_watched", "delayed", "instrument")

    def __init__(self, instrument: Instrument, standing: Mapping[Key, Restored]) -> None:
        self.instrument = instrument.name
        self.delayed = False
        """Set where a delay runs that `take` saw: whoever ends delays must look when."""
        self._watched = tuple(
            _Watched(point, place, alarm)
            for place, point in enumerate(instrument.quantities)
            for alarm in point.alarms
            if alarm.standard is None
        )
        self._by_key = {(each.point, each.alarm.name): each for each in self._watched}
        for key, restored in standing.items():
            if (each := self._by_key.get(key)) is not None:
                each.since, each.value = restored.since, restored.value
                each.enter(restored.state)

    def __bool__(self) -> bool:
        return bool(self._watched)

    def __contains__(self, key: Key) -> bool:
        return key in self._by_key

    def describe(self, instrument: Instrument) -> None:
        """Go by the ranges that an instrument has told by now; what stands, and what runs, is as it was."""
        for each in self._watched:
            each.level = _level(instrument.quantities[each.place], each.alarm, each.window)

    def take(self, snapshot: Snapshot, now: float) -> Sequence[Transition]:
        """Give what a judged snapshot changes. One of the past changes nothing: it says nothing of now."""
        if snapshot.late:
            return ()
        values, flags, absent = snapshot.values, snapshot.flags, snapshot.absent
        found: list[Transition] = []
        for each in self._watched:
            place = each.place
            if place in absent:
                if each.window is not None:
                    each.window.hold(now)
                continue
            value, flag = values[place], flags.get(place) if flags else None
            level = each.level(value, flag, now)
            if level is None:
                each.freeze(now)
                continue
            each.value, each.flag = value, flag
            if (level >= each.threshold) is each.up:
                if each.pending:
                    each.agrees()
            elif each.differs(now):
                found.append(cast("Transition", _change(each, snapshot.at)))
            else:
                self.delayed = True
        return found

    def due(self, now: float, at: int) -> Sequence[Transition]:
        """Give what changes because a delay has ended, though nothing new was read; `at` is the time, ms UTC."""
        over = (each for each in self._watched if each.until is not None and each.until <= now)
        return [cast("Transition", _change(each, at)) for each in over]

    @property
    def next(self) -> float:
        """When the next delay ends, by the monotonic clock; infinity where none runs."""
        return min((each.until for each in self._watched if each.until is not None), default=math.inf)

    def acknowledge(self, at: int, point: str | None = None, alarm: str | None = None) -> Sequence[Transition]:
        """Give what an acknowledgement changes: of one alarm, of all of a point, or of the instrument."""
        wanted = (each for each in self._watched if point in (None, each.point) and alarm in (None, each.alarm.name))
        found = (each.transition(Happening.ACKNOWLEDGED, at) for each in wanted)
        return [each for each in found if each is not None]

    def apply(self, transition: Transition) -> None:
        """Let a change be so, now that its record was taken."""
        each = self._by_key[transition.point, transition.alarm.name]
        until, up = each.until, each.up
        each.since = transition.since
        each.enter(transition.state)
        if each.up is up and until is not None:  # people change nothing about what the reading does meanwhile
            each.pending, each.until = True, until

    def states(self) -> Mapping[Key, State]:
        """Give what every alarm is like."""
        return {key: each.state for key, each in self._by_key.items()}


def _change(each: _Watched, at: int) -> Transition | None:
    return each.transition(Happening.RETURNED if each.up else Happening.RAISED, at)


class _Window:
    """The values of the last `seconds`, as far as the least of them needs: told to a sixtieth of that time."""

    __slots__ = ("_last", "_least", "_part", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds, self._part = seconds, seconds / _PIECES
        self._least: deque[tuple[float, float]] = deque()  # times and values, both rising: the first is the least
        self._last: float | None = None

    def rise(self, value: float, now: float) -> float:
        """Take a value, and give how far it is above the least of the time before it."""
        while self._least and now - self._least[0][0] > self._seconds:
            self._least.popleft()
        rise = value - self._least[0][1] if self._least else 0.0
        while self._least and self._least[-1][1] >= value:
            self._least.pop()
        if not self._least or now - self._least[-1][0] >= self._part:
            self._least.append((now, value))
        self._last = value
        return rise

    def hold(self, now: float) -> None:
        """Note that the value is still the last one: a change report that leaves it out says so."""
        if self._last is not None:
            self.rise(self._last, now)


def _level(point: Point | Derived, alarm: Alarm, window: _Window | None) -> _Level:
    """Give how a reading is held against an alarm's limit."""
    if alarm.fault:
        return _faulty
    if alarm.equals is not None:
        return _is(alarm.equals)
    text = point.as_ == "string"
    if window is not None:
        return _rising(window, -1 if cast("float", alarm.rate) < 0 else 1, text=text)
    low = point.range[0] if point.range else -math.inf
    return _beyond(cast("float", alarm.limit), 1 if alarm.above is not None else -1, low, text=text)


def _beyond(limit: float, sign: int, low: float, *, text: bool) -> _Level:
    """Hold the value itself against the limit; `low` is where the measuring range begins.

    What the instrument, or the range, calls out of range counts as above the limit, unless it is below the range; as
    below a limit only by its value. It may raise, and clears nothing.
    """
    on = sign * limit

    def level(value: Any, flag: Flag | None, _now: float) -> float | None:
        if flag is None:
            return float(value) * sign if text else value * sign
        if flag is not Flag.OUT_OF_RANGE:
            return None
        if sign > 0:
            return math.inf if value is None or float(value) >= low else None
        return -float(value) if value is not None and -float(value) >= on else None

    return level


def _on(alarm: Alarm) -> float:
    """Give the limit as the levels of its kind are held against it: upwards."""
    if alarm.fault or alarm.equals is not None:
        return 1.0
    limit = cast("float", alarm.limit)
    return -limit if alarm.below is not None else abs(limit) if alarm.rate is not None else limit


def _rising(window: _Window, sign: int, *, text: bool) -> _Level:
    def level(value: Any, flag: Flag | None, now: float) -> float | None:
        if flag is not None:
            return None
        return window.rise(sign * (float(value) if text else value), now)

    return level


def _is(wanted: int) -> _Level:
    def level(value: Any, flag: Flag | None, _now: float) -> float | None:
        return None if flag is not None else float(value == wanted)

    return level


def _faulty(_value: Any, flag: Flag | None, _now: float) -> float | None:
    if flag is None or flag is Flag.OUT_OF_RANGE:
        return 0.0
    return 1.0 if flag in FAULTS else None
