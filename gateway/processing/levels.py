"""How a reading is held against an alarm's limit, by the alarm's kind: always upwards. Pure.

Time is the monotonic clock's, seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from parkgate.config.alarm import Alarm
from parkgate.config.derived import Derived
from parkgate.config.flag import Flag
from parkgate.config.profile import Point

Level = Callable[[Any, Flag | None, float], float | None]
"""Give what is held against the limit, upwards, of a value, its flag and the time; None where it can not be told."""

FAULTS = frozenset({Flag.FAULT, Flag.NO_COMMUNICATION, Flag.STALE, Flag.BAD_CONFIGURATION})
"""The flags of an instrument that fails at what it is there for; the others are of people at work on it."""
_PIECES = 60
"""The parts of its time that a rate of change is told to."""


class Window:
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


def level_of(point: Point | Derived, alarm: Alarm, window: Window | None) -> Level:
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


def _beyond(limit: float, sign: int, low: float, *, text: bool) -> Level:
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


def on_level(alarm: Alarm) -> float:
    """Give the limit as the levels of its kind are held against it: upwards."""
    if alarm.fault or alarm.equals is not None:
        return 1.0
    limit = cast("float", alarm.limit)
    return -limit if alarm.below is not None else abs(limit) if alarm.rate is not None else limit


def _rising(window: Window, sign: int, *, text: bool) -> Level:
    def level(value: Any, flag: Flag | None, now: float) -> float | None:
        if flag is not None:
            return None
        return window.rise(sign * (float(value) if text else value), now)

    return level


def _is(wanted: int) -> Level:
    def level(value: Any, flag: Flag | None, _now: float) -> float | None:
        return None if flag is not None else float(value == wanted)

    return level


def _faulty(_value: Any, flag: Flag | None, _now: float) -> float | None:
    if flag is None or flag is Flag.OUT_OF_RANGE:
        return 0.0
    return 1.0 if flag in FAULTS else None
