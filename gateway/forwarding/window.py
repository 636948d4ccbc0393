"""The messages that wait for their PUBACK, pure: which they are, and whether the link is dead."""

from __future__ import annotations

from collections.abc import Iterator

from parkgate.gateway.forwarding.lanes import Message

STUCK, LONGEST_STUCK = 12.0, 60.0
"""Seconds: no PUBACK at all for so long, while one is due, means a dead link, whatever TCP believes. So does a message
that has none for the longer time while others have theirs: a slow link is not a dead one."""


class Flying:
    """The messages on their way, by packet id, and when each was sent (seconds, monotonic)."""

    def __init__(self) -> None:
        self._sent: dict[int, tuple[Message, float]] = {}
        self._last_ack = float("-inf")

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[Message]:
        return (message for message, _ in self._sent.values())

    def add(self, packet_id: int, message: Message, now: float) -> None:
        """Note that a message was sent."""
        self._sent[packet_id] = message, now

    def acknowledged(self, packet_id: int, now: float) -> tuple[Message, float] | None:
        """Give the message of a PUBACK, and the seconds it took; None if nothing waits for it."""
        sent = self._sent.pop(packet_id, None)
        self._last_ack = now
        return (sent[0], now - sent[1]) if sent else None

    def stuck(self, now: float) -> float | None:
        """Give the seconds that a dead link was waited for; None while it lives."""
        oldest = min((sent for _, sent in self._sent.values()), default=None)
        if oldest is None:
            return None
        if now - max(oldest, self._last_ack) > STUCK:
            return STUCK
        return LONGEST_STUCK if now - oldest > LONGEST_STUCK else None
