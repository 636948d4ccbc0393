"""The topics whose messages a broker refuses, pure: each is passed over but for its oldest message, tried alone.

Nothing of what was passed over is kept here: its rows are in the outbox and are read again once the topic is taken.
"""

from __future__ import annotations

from collections.abc import Container

from parkgate.gateway.forwarding.lanes import Message


class Refused:
    """Which topics are refused, and by which message each is tried again."""

    def __init__(self) -> None:
        self._probes: dict[str, Message] = {}
        self._skipped = False

    def __contains__(self, topic: object) -> bool:
        return topic in self._probes

    def __bool__(self) -> bool:
        return bool(self._probes)

    def passes(self, message: Message) -> bool:
        """Tell whether a message may be sent: its topic is not refused, or it is the one that tries it."""
        if self._probes.get(message.topic, message) is message:
            return True
        self._skipped = True
        return False

    def add(self, message: Message) -> None:
        """Note that a message was refused; the oldest of its topic is kept to try again."""
        probe = self._probes.get(message.topic)
        self._skipped = self._skipped or (probe is not None and probe is not message)
        if probe is None or message.rows < probe.rows:
            self._probes[message.topic] = message

    def taken(self, message: Message) -> bool:
        """Note that the broker took a message; tell whether rows were passed over that must be read again."""
        released = self._probes.pop(message.topic, None)
        if released is None or not (self._skipped or released is not message):
            return False
        self._skipped = bool(self._probes)
        return True

    def probes(self, flying: Container[str]) -> list[Message]:
        """Give the oldest message of every refused topic that is not on its way already."""
        return [probe for topic, probe in self._probes.items() if topic not in flying]
