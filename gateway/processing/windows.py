"""Maintenance and calibration windows: which flags people's work puts on an instrument at a time. Pure.

Scheduled windows come from the site file, by the local time of the gateway; others are opened and ended by people. What
was over stays known: a reading may come late, out of an instrument's history, and is judged by its own time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

from parkgate.config.flag import Flag
from parkgate.config.site import Instrument
from parkgate.config.window import Window

SCHEDULE = "schedule"
"""Who opens and closes the windows of the site file."""
REMEMBERED = 31 * 86_400_000
"""Milliseconds that a window is known after it closed: how far back an instrument's history may reach."""
_SURE = 6 * 3_600_000
"""Milliseconds around a time within which all scheduled windows are known that were worked out for it."""
_MS = timedelta(milliseconds=1)
_BEFORE = -(2**63)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_FIRST, _LAST = 7 * 86_400_000, 253_400_000_000_000
"""Milliseconds UTC that days are counted between, whatever an instrument says: its last is in the year 9999."""

Key = tuple[Flag, tuple[str, ...], int]
"""What names a window of an instrument: its flag, the points that it was given (none: all), when it was opened."""
Holding = Sequence[tuple[tuple[int, ...], Flag]]


@dataclass(frozen=True, slots=True)
class Span:
    """A window from `since` until before `until` (ms UTC). `opened` is its `since` as it was told first.

    The two differ where the clock was stepped meanwhile.
    """

    flag: Flag
    points: tuple[str, ...]
    since: int
    until: int
    by: str
    why: str
    opened: int

    @property
    def key(self) -> Key:
        """What names it."""
        return self.flag, self.points, self.opened

    def holds(self, at: int) -> bool:
        """Tell whether it is open at a time."""
        return self.since <= at < self.until


class Windows:
    """The windows of one instrument."""

    def __init__(self, instrument: Instrument, zone: tzinfo) -> None:
        self._schedule = instrument.windows
        self._zone = zone
        self._places = {point.name: place for place, point in enumerate(instrument.points)}
        self._own: list[Span] = []
        self._ended: dict[Key, int] = {}
        self._told: dict[Key, Span] = {}
        self._ahead: set[Key] = set()
        self._from, self._until = 0, 0
        self._holding: Holding = ()

    @property
    def any(self) -> bool:
        """Tell whether there is a window at all."""
        return bool(self._schedule or self._own)

    @property
    def told(self) -> Sequence[Span]:
        """The windows that are open, as far as that was told."""
        return list(self._told.values())

    def __call__(self, at: int) -> Holding:
        """Give what holds at a time, ms UTC: points, by index, and the flag that they carry."""
        if not self._from <= at < self._until:
            spans = list(self._around(at))
            edges = [edge for span in spans for edge in (span.since, span.until)]
            self._from = max([at - _SURE, *(edge for edge in edges if edge <= at)])
            self._until = min([at + _SURE, *(edge for edge in edges if edge > at)])
            self._holding = [(self._covered(span), span.flag) for span in spans if span.holds(at)]
        return self._holding

    def next(self, at: int) -> int:
        """Give the time, ms UTC, at which what holds may be another than at a time: 6 h later at most."""
        self(at)
        return self._until

    def changes(self, now: int) -> tuple[list[Span], list[Span]]:
        """Give the windows that are open and were not told to be, and those that are closed and were not told to be."""
        self.see(now)
        holding = {span.key: span for span in self._around(now) if span.holds(now)}
        opened = [span for key, span in holding.items() if key not in self._told]
        return opened, [span for key, span in self._told.items() if key not in holding]

    def open(self, span: Span) -> None:
        """Note that a window was told to be open; one that no schedule opens is open from now on."""
        self._told[span.key] = span
        if span.by != SCHEDULE:
            self._own.append(span)
        self._changed()

    def see(self, now: int) -> None:
        """See the clock. What people opened, and what has not begun by it, was opened by another clock: it is open.

        So is it where a gateway without a battery wakes up in 1970.
        """
        ahead = {key for key, span in self._told.items() if span.by != SCHEDULE and span.since > now}
        if ahead != self._ahead:
            self._ahead = ahead
            self._changed()

    def close(self, key: Key, at: int, by: str) -> None:
        """Note that a window was told to be closed at a time; one of the schedule ends sooner only by a person."""
        self._told.pop(key, None)
        self._own = [
            replace(span, until=min(span.until, at)) if span.key == key else span
            for span in self._own if span.until > at - REMEMBERED
        ]  # fmt: skip
        self._ended = {key: until for key, until in self._ended.items() if until > at - REMEMBERED}
        if by != SCHEDULE:
            self._ended[key] = at
        self._changed()

    def shift(self, offset: int, now: int) -> None:
        """Go on beside a clock that was stepped by so many ms to `now`: what people opened lasts as long as they said.

        What had not begun by the clock before the step was opened by another one, and stays where it is.
        """
        self._own = [
            replace(span, since=span.since + offset, until=span.until + offset)
            if span.key in self._told and span.since <= now - offset else span
            for span in self._own
        ]  # fmt: skip
        self._told |= {span.key: span for span in self._own if span.key in self._told}
        self._changed()

    def _changed(self) -> None:
        self._from = self._until = 0

    def _covered(self, span: Span) -> tuple[int, ...]:
        names = span.points or self._places
        return tuple(self._places[name] for name in names if name in self._places)

    def _around(self, at: int) -> Iterator[Span]:
        """Give every window that may be open within some hours of a time."""
        yield from (replace(span, since=_BEFORE) if span.key in self._ahead else span for span in self._own)
        for window in self._schedule:
            for since in starts(window, self._zone, at):
                span = Span(
                    Flag(window.flag), window.points, since, since + window.lasts, SCHEDULE, window.why, since
                )  # fmt: skip
                yield replace(span, until=min(span.until, self._ended.get(span.key, span.until)))


def starts(window: Window, zone: tzinfo, at: int) -> Iterable[int]:
    """Give when a window opens (ms UTC) on the days around a time: one that lasts a day may have begun two days ago.

    A time of the day that the clock shows twice is its first; one that it leaps over is as much later.
    """
    today = (_EPOCH + min(max(at, _FIRST), _LAST) * _MS).astimezone(zone).date()
    for days in (-2, -1, 0, 1):
        date = today + timedelta(days=days)
        if date.weekday() in window.weekdays:
            local = datetime.combine(date, window.opens, zone)
            yield (local - _EPOCH) // _MS
