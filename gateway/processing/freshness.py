"""Whether what an instrument says still moves: the memory that tells a living value from a frozen one. Pure.

An instrument whose processor hangs behind a communication card that does not goes on answering with its last values.
So an instrument may have a heartbeat, which must change within its limit, and a point may say for how long it can be
`unchanged`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from parkgate.config.site import Instrument
from parkgate.drivers.snapshot import Snapshot, Value, full_every

MOST_PERIODS = 3
"""Periods that the time between two readings counts at most: what nobody watched is no proof that nothing moved."""


@dataclass(slots=True)
class _Watched:
    """One reading that has to change within `limit`: its last `value`, `stood` for so long, `seen` last then (ms)."""

    limit: int
    value: Value | None = None
    stood: float = 0.0
    seen: float = 0.0

    def stands(self, value: Value | None, now: float, most: float) -> bool:
        """Take a reading, and tell whether it has been the same for too long; None is no reading."""
        if value is None:
            return False
        if value == self.value:
            self.stood += min(max(now - self.seen, 0.0), most)
        else:
            self.value, self.stood = value, 0.0
        self.seen = now
        return self.stood > self.limit


class Freshness:
    """What one instrument's readings were like so far. `now` gives the monotonic clock, seconds.

    Age is counted by that clock and not by the snapshots' own time: the wall clock is stepped, and a server whose
    source hangs repeats an old source time. A turn without an answer refreshes nothing, and a silence of any length
    ages by `MOST_PERIODS` at most; behind it the count goes on. If it began anew, a line that loses an answer now and
    then would let a frozen value pass for ever; if all of the silence counted, the first reading behind a long one
    would be called stale though nobody has seen it stand. What a subscription does not tell stands: there the time from
    one full snapshot to the next counts. Of a history, which comes all at once and by the source's clock alone, age is
    counted by the snapshots' own time: there `now` is None.
    """

    __slots__ = ("_every_point", "_heartbeat", "_most", "_now", "_points")

    def __init__(self, instrument: Instrument, now: Callable[[], float] | None) -> None:
        self._now = now
        followed = instrument.acquisition == "subscription"
        self._most = float(full_every(instrument) + instrument.every if followed else MOST_PERIODS * instrument.every)
        self._heartbeat = None if instrument.heartbeat is None else _Watched(instrument.heartbeat)
        self._every_point = range(len(instrument.points))
        self._points = tuple(
            (place, _Watched(point.unchanged))
            for place, point in enumerate(instrument.points)
            if point.unchanged is not None
        )

    @classmethod
    def of(cls, instrument: Instrument, now: Callable[[], float] | None) -> Freshness | None:
        """Give an instrument's, None where nothing of it has to change."""
        freshness = cls(instrument, now)
        return freshness if freshness._heartbeat or freshness._points else None

    def stale(self, snapshot: Snapshot) -> Sequence[int]:
        """Take the next snapshot, and give the points that have stood for too long, by index."""
        now, most = snapshot.at if self._now is None else self._now() * 1000, self._most
        stale = [place for place, each in self._points if each.stands(snapshot.values[place], now, most)]
        if self._heartbeat is not None and self._heartbeat.stands(snapshot.states[-1], now, most):
            return self._every_point
        return stale
