"""Whether the wall clock may be believed, pure: told by the monotonic clock, which never steps, and by what is known.

A gateway without a battery wakes up in 1970, or when it was switched off; somebody, or time synchronisation, sets it
later. What holds:

- a step of less than a day is believed: clocks are set so;
- at the start, and until it was believed once, the clock must not stand before the latest time that is known;
- a leap of more than a day, and a clock that stands still, are not believed unless the kernel says it is synchronised,
  and says so after the step: what it said before is not of the time that is shown now;
- `trusted` goes on with the monotonic clock through whatever is not believed: ages are judged by it.
"""

from __future__ import annotations

from dataclasses import dataclass

RELEASED = 1_767_225_600_000
"""Milliseconds UTC: 2026-01-01. No reading of this version was taken before it was written."""
STEP = 500
"""Milliseconds between two looks that no adjusting of the clock's speed explains: NTP changes it by 0.05 % at most."""
APART = 1.0
"""Seconds: looks that follow closer than this are held against the same one before them, where there was no step."""
LEAP = 86_400_000
"""Milliseconds: no clock that was right once is wrong by more."""
_STUCK = 3
"""So many steps, between which the clock was never seen to go, are no steps but a clock that does not go."""
_SEEN = 0.1
"""Seconds after which a clock that goes can be told from one that stands still."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a look found: `clock-stepped`, or `clock-set` where it is believed from now on; `offset` in milliseconds.

    `offset` is what the clock shows now less what it would show had nobody touched it: what to add to a stamp that was
    taken before.
    """

    event: str
    offset: int


class Timekeeper:
    """Looks at a wall clock (ms UTC) beside a monotonic one (seconds); `floor` is the latest time known before.

    `synchronised`: whether the kernel says so; None where it does not tell.
    """

    def __init__(self, wall: int, mono: float, floor: int = 0, *, synchronised: bool | None = None) -> None:
        floor = max(floor, RELEASED)
        self.known = wall >= floor
        self.absent = wall - floor > LEAP
        """Whether we were off for long, or the clock is as wrong: nothing can be said of ages before the start."""
        self.synchronised = synchronised
        self._lost = not self.known
        self._believed = wall if self.known else floor
        self._wall = wall
        self._mono = self._believed_mono = mono
        self._steps = 0
        self._held_back = 0

    def trusted(self, mono: float) -> int:
        """Give the time by which ages are judged, milliseconds UTC."""
        return self._believed + round((mono - self._believed_mono) * 1000)

    def look(self, wall: int, mono: float) -> Told | None:
        """Look at the clocks; tell of a step, or that the clock is believed from now on."""
        passed = mono - self._mono
        offset = wall - self._wall - round(passed * 1000)
        stepped = abs(offset) > STEP + passed  # a millisecond a second: twice what NTP may
        if stepped:
            self.synchronised = None
            self._steps += 1
        elif passed >= _SEEN and abs(offset) < 500 * passed:  # it went at half its speed at least
            self._steps = 0
        if stepped or passed >= APART:
            self._wall, self._mono = wall, mono
        before, self.known = self.known, self._believes(wall, mono)
        if self.known:
            self._believed, self._believed_mono, self._lost = wall, mono, False
        return self._tell(offset if stepped else 0, before=before)

    def _believes(self, wall: int, mono: float) -> bool:
        if self._steps >= _STUCK:
            return False
        if self.synchronised and wall >= RELEASED:
            return True
        ahead = wall - self.trusted(mono)
        return ahead >= 0 if self._lost else abs(ahead) <= LEAP

    def _tell(self, offset: int, *, before: bool) -> Told | None:
        self._held_back += offset
        if self._steps >= _STUCK:
            return None  # it is told as one when it goes again
        offset, self._held_back = self._held_back, 0
        if self.known and not before:
            return Told("clock-set", offset)
        return Told("clock-stepped", offset) if offset else None
