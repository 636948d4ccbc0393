"""Alarms by ISA-18.2 / IEC 62682: what a reading raises, what returns, and what stands until it is acknowledged. Pure.

The states are the table below. What holds besides:

- a value that may not be used freezes an alarm, its delays too: it raises nothing, and it never clears anything;
- a value beyond the measuring range may raise, as it may be true, and clears nothing, as it may be not;
- an off delay stands still while its instrument is not even asked: that a line hangs is no sign that it is over;
- a computed point without a result says nothing, unless what it is computed of is beyond its range itself;
- nothing changes before its record was taken: what is decided here is `applied` by whoever stored it, else it is
  decided again with the next reading.

Nothing is shelved or suppressed here: that is the platform's. Time is the monotonic clock's, seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from operator import ge, le
from typing import cast

from parkgate.config.alarm import Alarm
from parkgate.config.derived import Derived
from parkgate.config.flag import Flag
from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot, Value, full_every
from parkgate.gateway.processing.levels import Level, Window, level_of, on_level
from parkgate.gateway.processing.picking import picker

Key = tuple[str, str]
"""A point and its alarm, by name."""
_FRESH = 2
"""Periods within which an instrument that goes well is read again."""


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
    """One alarm of one point, by the place of that point in the snapshots.

    `sign`: 1 or -1 where a number itself is held against a limit, from below or from above; else 0.
    """

    __slots__ = (
        "_delays", "_left", "_thresholds", "alarm", "flag", "level", "needs", "pending", "place", "point", "sign",
        "since", "state", "threshold", "until", "up", "value", "window",
    )  # fmt: skip

    def __init__(self, point: Point | Derived, place: int, alarm: Alarm, needs: frozenset[int] | None) -> None:
        kind = alarm.kinds[0]
        self.needs = needs
        self.point, self.place, self.alarm = point.name, place, alarm
        self.window = Window((alarm.per or 0) / 1000) if kind == "rate" else None
        self.level: Level = level_of(point, alarm, self.window)
        self.sign = 0 if point.as_ == "string" else (alarm.above is not None) - (alarm.below is not None)
        on = on_level(alarm)
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

    def take(self, snapshot: Snapshot, now: float) -> bool:
        """Hold a reading against the limit; tell whether the state changes by it."""
        place, flags = self.place, snapshot.flags
        if place in snapshot.absent:
            if self.window is not None:
                self.window.hold(now)
            return False
        value, flag = snapshot.values[place], flags.get(place) if flags else None
        level = self.level(value, flag, now)
        if level == math.inf and value is None and self.needs is not None and not _beyond_range(flags, self.needs):
            level = None  # no result, as of oxygen near that of air: a plant that stands still, and no release
        if level is None:
            self.freeze(now)
            return False
        self.value, self.flag = value, flag
        if (level >= self.threshold) is not self.up:
            return self.differs(now)
        if self.pending:
            self.agrees()
        return False

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


class _Limits:
    """Alarms of one kind, held against a snapshot of plain numbers all at once: there are thousands a second."""

    __slots__ = ("_alarms", "_compare", "_noted", "_pick", "_sign", "_thresholds", "_up")

    def __init__(self, alarms: Sequence[_Watched], sign: int) -> None:
        self._alarms, self._sign = alarms, sign
        self._compare = ge if sign > 0 else le
        self._pick = picker([each.place for each in alarms])
        self.look()

    def look(self) -> None:
        """Note what the alarms are like by now."""
        self._thresholds = [each.threshold * self._sign for each in self._alarms]
        self._up = [each.up for each in self._alarms]
        self._noted = [each for each in self._alarms if each.state is not State.NORMAL]

    @property
    def calm(self) -> bool:
        """Whether no delay runs or is stopped."""
        return not any(each.pending for each in self._alarms)

    def hold(self, values: Sequence[Value | None]) -> bool:
        """Tell whether every alarm is as the values say."""
        return list(map(self._compare, self._pick(values), self._thresholds)) == self._up

    def note(self, values: Sequence[Value | None]) -> None:
        """Note what those that stand would be acknowledged at."""
        for each in self._noted:
            each.value, each.flag = values[each.place], None


class Watch:
    """The alarms of one instrument, compiled when its configuration is loaded."""

    __slots__ = ("_by_key", "_calm", "_fresh", "_limits", "_others", "_read_at", "_watched", "delayed", "instrument")

    def __init__(self, instrument: Instrument, standing: Mapping[Key, Restored]) -> None:
        self.instrument = instrument.name
        self._read_at, self._fresh = -math.inf, _FRESH * full_every(instrument) / 1000
        self.delayed = False
        """Set where a delay runs that `take` saw: whoever ends delays must look when."""
        self._watched = tuple(
            _Watched(point, place, alarm, _needs(instrument, point) if alarm.above is not None else None)
            for place, point in enumerate(instrument.quantities)
            for alarm in point.alarms
            if alarm.standard is None
        )
        self._by_key = {(each.point, each.alarm.name): each for each in self._watched}
        for key, restored in standing.items():
            if (each := self._by_key.get(key)) is not None:
                each.since, each.value = restored.since, restored.value
                each.enter(restored.state)
        plain = {sign: [each for each in self._watched if each.sign == sign] for sign in (1, -1)}
        self._limits = tuple(_Limits(alarms, sign) for sign, alarms in plain.items() if alarms)
        self._others = tuple(each for each in self._watched if not each.sign)
        self._calm = True

    def __bool__(self) -> bool:
        return bool(self._watched)

    def __contains__(self, key: Key) -> bool:
        return key in self._by_key

    def describe(self, instrument: Instrument) -> None:
        """Go on with what is known of its points by now: a range that a server tells may begin elsewhere."""
        for each in self._watched:
            each.level = level_of(instrument.quantities[each.place], each.alarm, each.window)

    def take(self, snapshot: Snapshot, now: float) -> Sequence[Transition]:
        """Give what a judged snapshot changes. One of the past changes nothing: it says nothing of now."""
        if snapshot.late:
            return ()
        gap, self._read_at = now - self._read_at - self._fresh, now
        if gap > 0:
            self._stretch(gap)
        values, flags, absent = snapshot.values, snapshot.flags, snapshot.absent
        found: list[Transition] = []
        watched = self._watched
        if self._calm and not flags and not absent and all(each.hold(values) for each in self._limits):
            watched = self._others
            for limits in self._limits:
                limits.note(values)
        for each in watched:
            if each.take(snapshot, now):
                found.append(cast("Transition", _change(each, snapshot.at)))
            elif each.until is not None:
                self.delayed = True
        if watched is self._watched:
            self._calm = all(limits.calm for limits in self._limits)
        return found

    def _stretch(self, seconds: float) -> None:
        """Let the off delays that run end so much later: for so long nobody looked."""
        for each in self._watched:
            if each.up and each.until is not None:
                each.until += seconds

    def due(self, now: float, at: int) -> Sequence[Transition]:
        """Give what changes because a delay has ended, though nothing new was read; `at` is the time, ms UTC."""
        over = (each for each in self._watched if self._end(each) <= now)
        return [cast("Transition", _change(each, at)) for each in over]

    @property
    def next(self) -> float:
        """When the next delay ends by itself, by the monotonic clock; infinity where none does."""
        return min(map(self._end, self._watched), default=math.inf)

    def _end(self, each: _Watched) -> float:
        """Give when a delay ends by itself; infinity where none runs, or where that needs one more reading."""
        if each.until is None or (each.up and each.until > self._read_at + self._fresh):
            return math.inf
        return each.until

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
        for limits in self._limits:
            limits.look()

    def states(self) -> Mapping[Key, State]:
        """Give what every alarm is like."""
        return {key: each.state for key, each in self._by_key.items()}


def _needs(instrument: Instrument, point: Point | Derived) -> frozenset[int] | None:
    """Give the places of what a derived point is computed of in its own instrument, at first hand or not."""
    if not isinstance(point, Derived):
        return None
    places = {each.name: (place, each) for place, each in enumerate(instrument.quantities)}
    found: set[int] = set()
    for place, each in (places[one.point] for one in point.inputs if not one.instrument):
        found |= _needs(instrument, each) or {place}
    return frozenset(found)


def _beyond_range(flags: Mapping[int, Flag], places: frozenset[int]) -> bool:
    return any(flags.get(place) is Flag.OUT_OF_RANGE for place in places)


def _change(each: _Watched, at: int) -> Transition | None:
    return each.transition(Happening.RETURNED if each.up else Happening.RAISED, at)
