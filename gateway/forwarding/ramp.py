"""How much backfill may be on its way, pure: little after a reconnect, more while PUBACKs come quickly, less when not.

What is on its way stands before an alarm in the link's queue. So the amount follows how long the link takes: on a fast
one the whole share of the window in full packs, on one of 2 kB/s a single small pack.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST = 8_000
"""Bytes to begin with, and never less: any message may go where none is on its way."""
QUICK, SLOW = 1.0, 4.0
"""Seconds from sending to PUBACK below which there may be twice as much, and above which only half."""
_EVIDENCE = 8


@dataclass(slots=True)
class Ramp:
    """The bytes of backfill that may wait for their PUBACK, between `LEAST` and `most`."""

    most: int
    allowed: int = LEAST

    def acknowledged(self, seconds: float, size: int) -> None:
        """Learn from a PUBACK that took so long, of a message of `size` bytes."""
        if seconds > SLOW:
            self.allowed = max(LEAST, self.allowed // 2)
        elif seconds < QUICK:
            # A small message says little of the link: what it allows is a multiple of its own size.
            self.allowed = max(self.allowed, min(self.most, 2 * self.allowed, _EVIDENCE * size))

    def admits(self, flying: int, size: int) -> bool:
        """Tell whether a message of `size` bytes may go beside `flying` bytes that are on their way."""
        return not flying or flying + size <= self.allowed
