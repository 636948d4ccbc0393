"""The agent's time: its clocks are looked at with each reading that is stamped; what was believed outlives a stop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from parkgate.gateway.clock import Clock
from parkgate.gateway.timekeeping import Timekeeper

LOOK = 10.0
"""Seconds between two looks where nothing is stamped."""
KEEP = 3600.0
"""Seconds between two writings of the latest believed time: it only has to be newer than a clock that woke up wrong."""
_OURS = 60_000


class AgentTime:
    """Time for the rooms of an agent: what may be believed of its `clock`; `told` is called with each step's event."""

    def __init__(self, clock: Clock, file: Path, told: Callable[[str, int], None]) -> None:
        self._clock = clock
        self._file = file
        self._told = told
        self._kept = clock.monotonic()
        self._keeper = Timekeeper(
            clock.now(), clock.monotonic(), _read(file), synchronised=clock.synchronised()
        )  # fmt: skip

    @property
    def absent(self) -> bool:
        """Tell whether nothing can be said of ages before the start: off for more than a day, or a wrong clock."""
        return self._keeper.absent

    def trusted(self) -> int:
        """Give the time by which ages are judged, milliseconds UTC."""
        return self._keeper.trusted(self._clock.monotonic())

    def unsynced(self, stamp: int) -> bool:
        """Look at the clock; tell whether a stamp (ms UTC) was taken from it while it cannot be believed.

        A stamp far from what the clock shows is the instrument's own; one near what it would show without the step
        that is seen just now was taken before that.
        """
        known = self._keeper.known
        now, offset = self.look()
        if abs(stamp - (now - offset)) < abs(stamp - now):
            now -= offset
        else:
            known = self._keeper.known
        return not known and abs(stamp - now) < _OURS

    def look(self) -> tuple[int, int]:
        """Look at the clock, tell of a step; give what it shows, and by how much it was stepped."""
        now = self._clock.now()
        told = self._keeper.look(now, self._clock.monotonic())
        if told:
            self._told(told.event, told.offset)
        return now, told.offset if told else 0

    async def run(self) -> None:
        """Look now and then, and keep the latest believed time; for ever."""
        while True:
            self._keeper.synchronised = self._clock.synchronised()
            self.look()
            if self._clock.monotonic() - self._kept >= KEEP:
                self.keep()
            await self._clock.sleep(LOOK)

    def keep(self) -> None:
        """Keep the latest believed time for the next start; a disk that takes nothing is the outbox's to tell."""
        self._kept = self._clock.monotonic()
        new = self._file.with_suffix(".new")
        with contextlib.suppress(OSError):
            new.write_text(f"{self.trusted()}\n", encoding="ascii")
            new.replace(self._file)


def _read(file: Path) -> int:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
