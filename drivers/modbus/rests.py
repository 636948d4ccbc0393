"""Which units of a line may be asked now, pure: who owes a late reply rests, who is silent for long is asked rarely.

A serial reply names no question, so after a missing one its unit is not asked until the reply came, or can no more
come: an instrument that answers up to three times the timeout late has had its say by then. Times are seconds,
monotonic.
"""

from __future__ import annotations

from dataclasses import dataclass

LATEST = 3.5
"""How many timeouts a unit rests that owes a reply: one that is three of them late is not taken for that to another
question, nor if the machine is busy when it comes."""
SILENT_TURNS, SILENT_SECONDS = 3, 10.0
"""Turns in a row without an answer, and how long that lasts: when both are reached, a unit is asked more rarely."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 55.0
"""Seconds between two questions to a silent unit: at first, and the most, after doubling each time. Below a minute, so
that one that is read once a minute is asked at each turn."""
_NEVER = float("-inf")


@dataclass(slots=True)
class _Unit:
    owes_since: float = _NEVER
    owes_until: float = _NEVER
    silences: int = 0
    since: float = 0.0
    pause: float = 0.0
    ask_at: float = _NEVER
    late: float = 0.0


class Rests:
    """The units of one line; `timeout` is the line's. Where replies name their question (`named`), none is owed."""

    def __init__(self, timeout: float, *, named: bool) -> None:
        self._timeout = timeout
        self._named = named
        self._units: dict[int, _Unit] = {}

    def owes(self, unit: int, now: float) -> float:
        """Give the seconds for which a late reply of a unit may still come; 0 if none can."""
        known = self._units.get(unit)
        return max(0.0, known.owes_until - now) if known else 0.0

    def rests(self, unit: int, now: float) -> float:
        """Give the seconds for which a unit is not asked: it owes a reply, or was silent for long; 0 if it may be."""
        known = self._units.get(unit)
        return max(0.0, known.owes_until - now, known.ask_at - now) if known else 0.0

    def demoted(self, unit: int) -> bool:
        """Tell whether a unit was silent for so long that it is asked more rarely."""
        known = self._units.get(unit)
        return known is not None and known.pause > 0.0

    def late(self, unit: int) -> float:
        """Give by how many seconds its last late reply missed the timeout; 0 if none came."""
        known = self._units.get(unit)
        return known.late if known else 0.0

    def owe(self, unit: int, now: float) -> None:
        """Note that the reply to a question may still come."""
        if not self._named:
            known = self._units.setdefault(unit, _Unit())
            known.owes_since, known.owes_until = now, now + LATEST * self._timeout

    def missed(self, unit: int, now: float) -> None:
        """Note that a turn of a unit brought no answer."""
        known = self._units.setdefault(unit, _Unit())
        if not known.silences:
            known.since = now
        known.silences += 1
        if known.silences >= SILENT_TURNS and now - known.since >= SILENT_SECONDS:
            known.pause = min(LONGEST_PAUSE, 2 * known.pause or FIRST_PAUSE)
            known.ask_at = now + known.pause

    def answered(self, unit: int) -> None:
        """Note that a unit answered: it is asked like any other."""
        self._units.pop(unit, None)

    def came_late(self, unit: int, now: float) -> None:
        """Note that a unit's late reply came: it owes none any more. That is not an answer."""
        known = self._units.get(unit)
        if known and known.owes_until > now:
            known.late = now - known.owes_since
            known.owes_until = _NEVER

    def opened(self) -> None:
        """Note that the line was opened again: everyone may be asked, but for those who owe a reply."""
        for known in self._units.values():
            known.silences, known.pause, known.ask_at = 0, 0.0, _NEVER
