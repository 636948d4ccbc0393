"""Time, handed in: the wall clock for stamps, the monotonic clock for waiting."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


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
