"""What the sessions of one uplink have in common: what they forward, to where, and whom they ask and tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from parkgate.config.site import Uplink
from parkgate.gateway.clock import Clock
from parkgate.gateway.forwarding.publisher import Publisher
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.messages.topics import Topics
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.reader import Reader

Tell = Callable[..., int]
"""Store an event: `tell(name, subject, **detail)`; gives the row that it will be."""
NewPublisher = Callable[..., Publisher]
"""Make a connection to a broker, not yet open: called as `Publisher` is."""


class Greeter(Protocol):
    """What an uplink is told of the gateway itself."""

    def status(
        self, state: str, reader: Reader, *, since: int, backlog_since: int | None = None, reason: str | None = None
    ) -> bytes:
        """Give the status payload of the uplink that `reader` reads for; `since` is when the state began (ms UTC)."""
        ...

    async def metas(self, position: int) -> Sequence[tuple[str, str, bytes]]:
        """Give the descriptions that rows after `position` refer to: (instrument, rev, payload), the newest last."""
        ...

    async def left(self, uplink: str) -> dict[str, list[str]]:
        """Give the instruments that left the site, with their revs, that this uplink still holds retained."""
        ...


@dataclass(slots=True)
class Counters:
    """What happened on an uplink since the agent started."""

    delivered: int = 0
    nobody: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    sent_bytes: int = 0

    def refuse(self, code: int) -> bool:
        """Count a refusal by its reason code; tell whether it is the first of its kind."""
        self.refused[code] = self.refused.get(code, 0) + 1
        return self.refused[code] == 1


@dataclass(frozen=True, slots=True)
class Trade:
    """What the sessions of one uplink have in common."""

    uplink: Uplink
    topics: Topics
    outbox: Outbox
    reader: Reader
    greeter: Greeter
    clock: Clock
    tell: Tell
    trusted: Callable[[], int]
    """The time (ms UTC) by which it is judged how long an uplink was not reached: no stepped clock decides that."""
    new_publisher: NewPublisher = Publisher
    heart: Heart = field(default_factory=Heart)
    standing: Callable[[], bytes] | None = None
    """Give the payload of the alarms that stand, for the retained topic `alarms`; None where nobody keeps it."""
    counters: Counters = field(default_factory=Counters)
