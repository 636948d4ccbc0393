"""When the outbox commits, pure: once a window, soon behind the moments at which lines are read."""

from __future__ import annotations

LAG = 0.4
"""Seconds behind a multiple of the window that a commit waits: lines are read at multiples, answers go together."""
QUIET = 0.1
"""Seconds that the first record after a pause waits for others."""
_LEAST = 0.2


def until_commit(window: float, now: float, paused: float, *, queued: bool) -> float:
    """Give the seconds until the next commit: soon after a pause, else a fixed lag behind the next multiple.

    `window` in seconds, `now` by the wall clock in seconds, `paused` the seconds since the last commit.
    """
    if paused > 2 * window and queued:
        return min(QUIET, window)
    phase = window - (now - min(LAG, 0.4 * window)) % window
    # A clock that stopped just before a multiple must not ask for a commit a record.
    return max(min(QUIET, _LEAST * window), phase)
