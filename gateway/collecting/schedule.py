"""When each instrument of a line is read, pure: at once, then at wall-clock multiples of its period.

The instruments of a line that share a period are spread evenly within it, since a line answers one question at a time.
Turns are kept by the monotonic clock, so a wall clock that is stepped, or stands still, moves the multiples but never
stops or bunches the reading: a turn is due between half a period and one after the one before. Turns that could not be
kept are counted, not made up for.

Of several that are due, the one goes first whose next turn is due soonest (earliest deadline first), and one of a
shorter period may come between the questions of a longer one's turn: so a slow line keeps the periods of its fast
instruments as long as it can be kept at all.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Container, Sequence

from parkgate.config.site import Instrument

_EARLY = 0.1
"""Part of a period that a turn may be early and still be that turn: clocks do not agree to the millisecond."""
_EARLY_MS = 50


class Schedule:
    """The turns of one line. Times are milliseconds: `mono` of the monotonic clock, `wall` UTC."""

    def __init__(self, instruments: Sequence[Instrument], mono: float) -> None:
        sharing = Counter(each.every for each in instruments)
        seen: Counter[int] = Counter()
        self.missed: dict[str, int] = {each.name: 0 for each in instruments}
        self._instruments = tuple(instruments)
        self._offsets: list[float] = []
        for each in instruments:
            self._offsets.append(seen[each.every] * each.every / sharing[each.every])
            seen[each.every] += 1
        self._turns: list[tuple[float, int]] = [(mono, place) for place in range(len(self._instruments))]
        self._due: list[tuple[float, float, int]] = []
        self._first = set(range(len(self._instruments)))
        self._shortest = min(each.every for each in instruments)

    def next(self) -> float:
        """Give when the next turn is due (ms, monotonic)."""
        return self._due[0][1] if self._due else self._turns[0][0]

    def take(
        self, mono: float, wall: float, *, within: Instrument | None = None, but: Container[str] = ()
    ) -> Instrument | None:
        """Take the instrument whose turn it is now, the earliest deadline first; None if none is due.

        `within` the turn of another it is one with a shorter period than that, and none of `but`. Its next turn is set;
        turns that have passed meanwhile are counted in `missed`.
        """
        if within is not None and within.every <= self._shortest:
            return None
        while self._turns and self._turns[0][0] <= mono:
            due, place = heapq.heappop(self._turns)
            heapq.heappush(self._due, (due + self._instruments[place].every, due, place))
        if not self._due:
            return None
        if within is None:
            _, due, place = heapq.heappop(self._due)
        else:
            shorter = [turn for turn in self._due if self._shorter(turn[2], within, but)]
            if not shorter:
                return None
            _, due, place = chosen = min(shorter)
            self._due.remove(chosen)
            heapq.heapify(self._due)
        self._follow(mono, wall, due, place)
        return self._instruments[place]

    def _shorter(self, place: int, within: Instrument, but: Container[str]) -> bool:
        instrument = self._instruments[place]
        return instrument.every < within.every and instrument.name not in but

    def _follow(self, mono: float, wall: float, due: float, place: int) -> None:
        """Set the turn after the one that is taken, and count those that have passed."""
        instrument = self._instruments[place]
        every = instrument.every
        early = min(_EARLY * every, _EARLY_MS)
        phase = (wall - self._offsets[place] + early) % every
        following = mono + every - phase + early
        if place in self._first:
            self._first.discard(place)
        else:
            self.missed[instrument.name] += int((mono - due + early) // every)
            following = max(following, due + every / 2)
        heapq.heappush(self._turns, (following, place))
