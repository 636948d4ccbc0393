"""Time, handed in: the wall clock for stamps, the monotonic clock for waiting."""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import itertools
import time
from pathlib import Path
from typing import Protocol

_TIME_ERROR = 5
_TIMEX_BYTES = 512
_TIMESYNC = Path("/run/systemd/timesync/synchronized")


class Clock(Protocol):
    """What the agent knows of time."""

    def now(self) -> int:
        """Give the wall clock, milliseconds UTC."""
        ...

    def monotonic(self) -> float:
        """Give the monotonic clock, seconds: never steps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait at least so long by the monotonic clock."""
        ...

    def synchronised(self) -> bool | None:
        """Tell whether the wall clock is disciplined by a time server; None where nobody says."""
        ...


class SystemClock:
    """The machine's clocks.

    Whoever sleeps until the same moment is woken by one timer, in one round of the loop: the lines of a site are due
    together, and all their questions leave before the first answer is worked on. One clock serves one loop at a time.
    """

    def __init__(self) -> None:
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> int:
        """Give the wall clock, milliseconds UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Give the monotonic clock, seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait at least so long."""
        if seconds <= 0:
            return
        woken = asyncio.get_running_loop().create_future()
        if self._sleepers and self._sleepers[0][2].get_loop() is not woken.get_loop():
            self._sleepers.clear()  # they slept in a loop that is gone
        sleeper = (time.monotonic() + seconds, next(self._count), woken)
        heapq.heappush(self._sleepers, sleeper)
        if self._sleepers[0] is sleeper:
            self._set()
        await woken

    def _set(self) -> None:
        """Set the timer for whoever sleeps shortest."""
        if self._timer is not None:
            self._timer.cancel()
        until, _, woken = self._sleepers[0]
        self._timer = woken.get_loop().call_later(max(0.0, until - time.monotonic()), self._ring)

    def _ring(self) -> None:
        """Wake all whose time has come; a timer of uvloop may fire up to 1.2 ms early, so the time is looked at."""
        self._timer, now = None, time.monotonic()
        while self._sleepers and (self._sleepers[0][0] <= now or self._sleepers[0][2].done()):
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():  # else whoever slept was cancelled
                woken.set_result(None)
        if self._sleepers:
            self._set()

    def synchronised(self) -> bool | None:
        """Tell whether the kernel takes the clock for synchronised; None where it does not say.

        adjtimex(2) with `modes` 0 only reads; TIME_ERROR means that nobody disciplines the clock. Whoever does it
        (chrony, ntpd, systemd-timesyncd) tells the kernel. Where a sandbox forbids the question, the mark that
        systemd-timesyncd leaves (systemd-timesyncd(8)) answers it.
        """
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        if state >= 0:
            return bool(state != _TIME_ERROR)
        return True if _TIMESYNC.exists() else None
