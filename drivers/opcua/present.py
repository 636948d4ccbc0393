"""The present by an instrument's own clock, for a snapshot that merely repeats what was said before. Pure.

What stands, stands now: maintenance windows, statistics and whoever waits for a reading of a certain age go by the time
of a snapshot. A source that renews no time would leave an instrument in the past that is asked, or told, each minute.
Each point keeps its own time.
"""

from __future__ import annotations

APART = 60_000
"""Milliseconds: what comes later is an old value (of an analyser, of a memory), and shows no slow clock.

What is further ahead says that a clock is wrong, perhaps ours, which will be set: it is not to be added to that then.
"""

AHEAD = 2_000
"""Milliseconds: who was further ahead of our clock, and says something older, had his clock set back."""


class Present:
    """How far an instrument's clock is behind ours, by the newest that it said; all in ms UTC."""

    __slots__ = ("_behind", "_newest")

    def __init__(self) -> None:
        self._newest = 0
        self._behind = 0

    def begin(self, at: int, now: int) -> int:
        """Take the time of a first reading; give that of its snapshot."""
        self.hear(at, now)
        return self.of(now)

    def hear(self, at: int, now: int) -> None:
        """Take the time of something new."""
        self._newest = at if self._newest > now + AHEAD else max(self._newest, at)
        self._behind = now - at if abs(now - at) <= APART else 0

    def read(self, at: int, now: int) -> int:
        """Take the newest time of a reading, which may say nothing new; give that of its snapshot."""
        if at == self._newest or at < self._newest <= now + AHEAD:
            return self.of(now)
        if not self._newest:
            return self.begin(at, now)
        self.hear(at, now)
        return at

    def of(self, now: int) -> int:
        """Give what the instrument's clock would say now, at least what it said."""
        return max(self._newest, now - self._behind)
