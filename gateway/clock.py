"""Time, handed in: the wall clock for stamps, the monotonic clock for waiting."""

from __future__ import annotations

import asyncio
import ctypes
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
    """The machine's clocks."""

    def now(self) -> int:
        """Give the wall clock, milliseconds UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Give the monotonic clock, seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait at least so long: a timer of uvloop may fire up to 1.2 ms early, so the deadline is looked at again."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:  # noqa: ASYNC110  # it waits for a time, not for an event
            await asyncio.sleep(left)

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
