"""Listening to our own status: a will that comes late, behind a takeover or so, must not have the last word.

Some brokers end the connection of whoever asks for what he may not read: an answer that never came is remembered, and
after the second in a row nothing is asked again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

from parkgate.gateway.forwarding.publisher import Publisher


class Listening:
    """One connection's ear; `contradict` is called where the status reads offline of connection `ours` or an older."""

    def __init__(self, topic: str, ours: int, contradict: Callable[[], None], *, wanted: bool) -> None:
        self.begun = self.unanswered = False
        self._topic = topic
        self._ours = ours
        self._contradict = contradict
        self._wanted = wanted

    def begin(self, publisher: Publisher) -> None:
        """Subscribe, once: to be called when our status is retained."""
        if self._wanted:
            self._wanted, self.begun, self.unanswered = False, True, True
            publisher.subscribe(self._topic, self._heard, self._answered)

    def _answered(self) -> None:
        self.unanswered = False

    def _heard(self, payload: bytes) -> None:
        with contextlib.suppress(ValueError, AttributeError, TypeError, LookupError, RecursionError):
            said = json.loads(payload)
            if said.get("state") == "offline" and said["connection"] <= self._ours:
                self._contradict()
