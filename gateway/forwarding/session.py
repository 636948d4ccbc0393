"""One accepted connection: greets, lets the lanes flow through the send window, and settles what the broker confirms.

A row counts as delivered only on a PUBACK below 0x80. What has none when the session ends is handed out again by the
next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from parkgate.config.language import say
from parkgate.config.site import Uplink
from parkgate.gateway.clock import Clock
from parkgate.gateway.forwarding.lanes import Lane, Lanes, Message, backfill_messages, live_message
from parkgate.gateway.forwarding.publisher import Accepted, Publisher, TooLarge
from parkgate.gateway.forwarding.refusals import LinkLost, UplinkFault
from parkgate.gateway.messages.encode import MAX_PAYLOAD
from parkgate.gateway.messages.topics import Topics
from parkgate.gateway.storing.database import Damaged, Record
from parkgate.gateway.storing.outbox import Outbox
from parkgate.gateway.storing.reader import Reader

LIVE_BYTES = 4_000_000
"""What the live lane may hold: a link slower than the park sends the rest as backfill, so that live stays fresh."""
STUCK = 15.0
"""Seconds: a message that is not acknowledged for so long means a dead link, whatever TCP believes."""
PAUSE = 10.0
"""Seconds between two tries while the broker refuses what it is sent."""
GOODBYE = 1.0
"""Seconds that the last status may take."""
TOO_LARGE = 0x95
POISON = frozenset({0x90, TOO_LARGE, 0x99})
"""Topic name invalid, packet too large, payload format invalid: the same bytes will never be taken."""
NOBODY = 0x10
"""No matching subscribers: the broker took the message and nobody got it."""
_REFUSED = 0x80
_OVERHEAD = 300
_log = logging.getLogger("parkgate.uplink")

Tell = Callable[..., None]
"""Store an event: `tell(name, subject, **detail)`."""


class Greeter(Protocol):
    """What an uplink is told of the gateway itself."""

    def status(self, state: str, reader: Reader, backlog_since: int | None, reason: str | None = None) -> bytes:
        """Give the status payload of the uplink that `reader` reads for."""
        ...

    async def metas(self) -> Sequence[tuple[str, str, bytes]]:
        """Give the descriptions to send: (instrument, rev, payload), the newest rev of an instrument last."""
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
    counters: Counters = field(default_factory=Counters)


class Session:
    """One connection of an uplink, from its CONNACK to its loss."""

    def __init__(self, trade: Trade) -> None:
        self.backlog_since: int | None = None
        self.online = False
        self._trade = trade
        self._reader = trade.reader
        self._lanes = Lanes()
        self._flying: dict[int, tuple[Message, float]] = {}
        self._window = 0
        self._poison: list[tuple[Sequence[int], str]] = []
        self._leaving: dict[str, list[str]] | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._publisher: Publisher
        self._accepted: Accepted

    async def live(self, publisher: Publisher, accepted: Accepted) -> None:
        """Greet, then let the lanes flow until the connection is lost, which is raised as an `UplinkFault`."""
        self._publisher, self._accepted = publisher, accepted
        publisher.lost.add_done_callback(lambda _: self._wake.set())
        try:
            await self._greet()
            await self._flow()
        finally:
            self.online = False
            if self._resume:
                self._resume.cancel()
            self._reader.rewind()
        raise publisher.lost.result() or self._cut(say("disconnected"))

    async def _greet(self) -> None:
        """Send the status, then every description that a waiting row may refer to; rows flow once these are taken."""
        trade = self._trade
        metas = await trade.greeter.metas()
        if self._reader.waiting:
            position = self._reader.state.progress.position
            self.backlog_since = await trade.outbox.ask(lambda database: database.oldest(position))
        self._reader.rewind()
        self.online = True
        self.say_status("online")
        newest = {instrument: rev for instrument, rev, _ in metas}
        for instrument, rev, payload in metas:
            self._lanes.add(Message(Lane.GREETING, trade.topics.meta(instrument, rev), payload, retain=True))
            if newest[instrument] == rev:
                self._lanes.add(Message(Lane.GREETING, trade.topics.meta(instrument), payload, retain=True))
        self._window = self._accepted.window

    def say_status(self, state: str, reason: str | None = None) -> None:
        """Publish the status, before anything that waits."""
        payload = self._trade.greeter.status(state, self._reader, self.backlog_since, reason)
        self._lanes.add(Message(Lane.GREETING, self._trade.topics.status, payload, retain=True))
        self._wake.set()

    async def _flow(self) -> None:
        """Fill the backfill lane while there is a backlog and watch the link until it is lost."""
        while not self._publisher.lost.done():
            self._pump()
            while self._poison:
                await self._set_aside(*self._poison.pop())
            if not self._reader.waiting:
                await self._caught_up()
            if self._hungry():
                await self._refill()
                continue
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STUCK / 3):
                    await self._wake.wait()
            self._check_stuck()

    def _hungry(self) -> bool:
        return self._reader.behind and len(self._lanes.waiting[Lane.BACKFILL]) < max(1, self._window)

    async def _caught_up(self) -> None:
        """Say that the backlog is gone, and clear once what the broker retains of instruments that left the site."""
        trade = self._trade
        if self.backlog_since is not None:
            self.backlog_since = None
            self.say_status("online")
        if self._leaving is None:
            retains = self._accepted.retain
            self._leaving = left = await trade.greeter.left(trade.uplink.name) if retains else {}
            for instrument, revs in left.items():
                described = [trade.topics.meta(instrument, rev) for rev in revs]
                for topic in (*described, trade.topics.meta(instrument), trade.topics.live("data", instrument)):
                    self._lanes.add(Message(Lane.GREETING, topic, b"", retain=True))
            self._wake.set()
        elif self._leaving and self._lanes.greeted:
            cleared, self._leaving = self._leaving, {}
            await trade.outbox.ask(lambda database: database.descriptions.note_cleared(trade.uplink.name, cleared))

    async def _refill(self) -> None:
        """Read the oldest rows that were not handed out, and pack them; damaged ones are set aside."""
        rows = await self._reader.backlog()
        if damaged := [row.id for row in rows if isinstance(row, Damaged)]:
            await self._set_aside(damaged, "damaged")
        largest = self._accepted.max_packet
        limit = min(MAX_PAYLOAD, largest - _OVERHEAD) if largest else MAX_PAYLOAD
        for message in backfill_messages(self._trade.topics, [row for row in rows if isinstance(row, Record)], limit):
            self._lanes.add(message)

    def take(self, records: Sequence[Record]) -> None:
        """Take what was just committed as live, unless the link cannot keep up: then it is backlog."""
        if self._lanes.live_bytes < LIVE_BYTES:
            self._reader.take(records)
            for record in records:
                self._lanes.add(live_message(self._trade.topics, record))
        self._wake.set()

    def _pump(self) -> None:
        """Send what the lanes give, as far as the window goes."""
        if self._publisher.lost.done():
            return
        now = self._trade.clock.monotonic()
        while message := self._lanes.next(self._window):
            try:
                mid = self._publisher.publish(message.topic, message.payload, retain=message.retain)
            except TooLarge:
                self._refuse(message, TOO_LARGE)
            else:
                self._flying[mid] = (message, now)
                self._trade.counters.sent_bytes += len(message.payload)
        if not self._flying:
            self._idle.set()

    def acknowledged(self, mid: int, code: int) -> None:
        """Settle what a PUBACK accepts; keep, or set aside, what it refuses."""
        message, _ = self._flying.pop(mid, (None, 0.0))
        if message is None:
            return
        nobody = code == NOBODY and bool(message.rows)
        if nobody:
            self._trade.counters.nobody += len(message.rows)
        if code >= _REFUSED or (nobody and self._trade.uplink.nobody == "hold"):
            self._refuse(message, code)
        else:
            self._deliver(message)
        self._pump()
        if self._leaving != {} or self._hungry():
            self._wake.set()

    def _deliver(self, message: Message) -> None:
        self._lanes.done(message)
        if self._resume is None:
            self._window = self._accepted.window
        if message.rows:
            self._trade.counters.delivered += len(message.rows)
            self._reader.settle(message.rows, self._trade.clock.now())

    def _refuse(self, message: Message, code: int) -> None:
        """Keep refused rows and try one of them again later; those that can never be taken are set aside."""
        trade = self._trade
        first = code not in trade.counters.refused
        trade.counters.refused[code] = trade.counters.refused.get(code, 0) + 1
        if code in POISON and message.rows:
            self._lanes.done(message)
            self._poison.append((message.rows, f"0x{code:02X}"))
            self._wake.set()
            return
        self._lanes.back(message)
        self._window = 0
        if self._resume is None:
            self._resume = asyncio.get_running_loop().call_later(PAUSE, self._try_again)
        if first:
            topic = message.topic
            _log.warning(say("the broker refuses {topic} with 0x{code:02X}; its rows are kept", topic=topic, code=code))
            trade.tell("refused", trade.uplink.name, topic=topic, code=code)

    def _try_again(self) -> None:
        self._resume = None
        self._window = 1
        self._pump()

    async def _set_aside(self, rows: Sequence[int], reason: str) -> None:
        """Quarantine rows that this uplink can never have, and declare each to the platform."""
        trade, name = self._trade, self._trade.uplink.name
        await trade.outbox.ask(lambda database: database.quarantine(name, rows, reason))
        for row in rows:
            for record in await trade.outbox.read(row - 1, row, 1):
                series = record.series
                detail = {"kind": series.kind, "epoch": series.epoch, "from": record.seq, "to": record.seq}
                trade.tell("quarantined", series.instrument, **detail, count=1, reason=reason, uplink=name)
        self._reader.settle(rows, trade.clock.now())

    def _check_stuck(self) -> None:
        oldest = min((sent for _, sent in self._flying.values()), default=None)
        if oldest is not None and self._trade.clock.monotonic() - oldest > STUCK:
            raise self._cut(say("no acknowledgement for {seconds} s", seconds=round(STUCK)))

    def _cut(self, reason: str) -> UplinkFault:
        hint = say("The rows are kept and sent again. If it repeats, check the 5G link and the broker's log.")
        return LinkLost(reason, where=say("uplink {name}", name=self._trade.uplink.name), hint=hint)

    async def drain(self, seconds: float) -> None:
        """Wait until everything stored is settled, at most so long, then say goodbye with the status `offline`."""
        if not await self._quiet(seconds, lambda: not (self._reader.waiting or self._flying)):
            _log.warning(say("{count} records wait for the next start", count=self._reader.waiting))
        self._lanes = Lanes()
        self._window = max(1, self._window)
        self.say_status("offline", "stopped")
        if not await self._quiet(GOODBYE, lambda: self._lanes.greeted):
            _log.warning(say("the broker did not take the last status"))

    async def _quiet(self, seconds: float, done: Callable[[], bool]) -> bool:
        """Wait until `done`, looked at whenever nothing waits for its PUBACK; tell whether it came in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not done() and not self._publisher.lost.done():
                    self._idle.clear()
                    await self._idle.wait()
        return done()
