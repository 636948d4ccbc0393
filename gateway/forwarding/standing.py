"""The retained topic `alarms` on one connection, pure: said again when the set has changed, one message at a time.

The set is encoded when its message joins the lane, behind the transitions that wait there; a change meanwhile asks for
another one, so the last word is always the set as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

from parkgate.gateway.forwarding.lanes import Lane, Message


class StandingSet:
    """What is to be said of the alarms that stand; `payload` gives it as it is now, None where nobody keeps it."""

    def __init__(self, topic: str, payload: Callable[[], bytes] | None) -> None:
        self.wanted = False
        self._topic = topic
        self._payload = payload

    def say(self) -> None:
        """Ask for it to be said."""
        self.wanted = self._payload is not None

    def owed(self, refused: Container[object]) -> bool:
        """Tell whether it is still to be said, and may be."""
        return self.wanted and self._topic not in refused

    def message(self, under_way: Iterable[Message], refused: Container[object]) -> Message | None:
        """Give its message where one is wanted, unless the last one is still under way or its topic is refused."""
        if self._payload is None or not self.owed(refused) or any(each.topic == self._topic for each in under_way):
            return None
        self.wanted = False
        return Message(Lane.ALARM, self._topic, self._payload(), retain=True)
