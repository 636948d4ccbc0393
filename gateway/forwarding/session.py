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
MOST_PIECES = 2_000
"""Settled ranges that live records may make above a backlog: beyond, the backlog must catch up first."""
POISON = frozenset({0x90, TOO_LARGE, 0x99})
"""Topic name invalid, packet too large, payload format invalid: the same bytes will never be taken."""
NOBODY = 0x10
"""No matching subscribers: the broker took the message and nobody got it."""
_REFUSED = 0x80
_OVERHEAD = 300
_log = logging.getLogger("parkgate.uplink")

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
    new_publisher: NewPublisher = Publisher
    counters: Counters = field(default_factory=Counters)


class Session:
    """One connection of an uplink, from its CONNACK to its loss."""

    def __init__(self, trade: Trade) -> None:
        self.backlog_since: int | None = None
        self.online = False
        self.left_well = True
        self.since = trade.clock.now()
        self.fault = ""
        self._trade = trade
        self._reader = trade.reader
        self._lanes = Lanes()
        self._flying: dict[int, tuple[Message, float]] = {}
        self._window = 0
        self._status: tuple[str, str | None] | None = None
        self._refused: dict[str, Message] = {}
        self._skipped = False
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
        publisher.lost.add_done_callback(self._ended)
        try:
            await self._greet()
            await self._flow()
        finally:
            self.online = False
            if self._resume:
                self._resume.cancel()
            self._reader.rewind()
        raise publisher.lost.result() or _cut(self._trade.uplink.name, say("disconnected"))

    def _ended(self, _lost: object) -> None:
        self._wake.set()
        self._idle.set()

    async def _greet(self) -> None:
        """Send the status, then every description that a waiting row may refer to; rows flow once these are taken."""
        trade, position = self._trade, self._reader.state.progress.position
        metas = await trade.greeter.metas(position)
        if self._reader.waiting:
            self.backlog_since = await trade.outbox.ask(lambda database: database.oldest(position))
        self._reader.rewind()
        self.online = True
        self._window = self._accepted.window
        self.say_status("online")
        self._send_status()
        newest = {instrument: rev for instrument, rev, _ in metas}
        for instrument, rev, payload in metas:
            self._lanes.add(Message(Lane.GREETING, trade.topics.meta(instrument, rev), payload, retain=True))
            if newest[instrument] == rev:
                self._lanes.add(Message(Lane.GREETING, trade.topics.meta(instrument), payload, retain=True))

    def say_status(self, state: str, reason: str | None = None) -> None:
        """Ask for the status to be published, before anything that waits."""
        self._status = (state, reason)
        self._wake.set()

    def _send_status(self) -> None:
        """Encode the status that was asked for, unless one is still on its way: it would only pile up."""
        if self._status is None:
            return
        topic = self._trade.topics.status
        waiting = [*self._lanes.waiting[Lane.GREETING], *(message for message, _ in self._flying.values())]
        if topic in self._refused or any(each.topic == topic for each in waiting):
            return
        state, reason = self._status
        self._status = None
        since = self.since if state == "online" else self._trade.clock.now()
        payload = self._trade.greeter.status(
            state, self._reader, since=since, backlog_since=self.backlog_since, reason=reason
        )
        self._lanes.first(Message(Lane.GREETING, topic, payload, retain=True))

    async def _flow(self) -> None:
        """Fill the backfill lane while there is a backlog and watch the link until it is lost."""
        while not self._publisher.lost.done():
            self._wake.clear()
            self._send_status()
            self._pump()
            while self._poison:
                await self._set_apart(*self._poison.pop())
            if not self._reader.waiting:
                await self._caught_up()
            if self._hungry():
                await self._refill()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STUCK / 3):
                    await self._wake.wait()
            self._check_stuck()

    def _hungry(self) -> bool:
        return (
            self._reader.behind
            and len(self._lanes.waiting[Lane.BACKFILL]) < max(1, self._window)
            and self._reader.state.progress.pieces < MOST_PIECES
        )

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
        """Read the oldest rows that were not handed out, and pack them; what is damaged or gone is declared."""
        rows, gone = await self._reader.backlog()
        if damaged := [row.id for row in rows if isinstance(row, Damaged)]:
            await self._set_apart(damaged, "damaged")
        if count := self._reader.expire(gone, self._trade.clock.now()):
            name = self._trade.uplink.name
            self._reader.bar(self._trade.tell("not-kept", name, count=count, **{"from": gone[0][0], "to": gone[-1][1]}))
        largest = self._accepted.max_packet
        limit = min(MAX_PAYLOAD, largest - _OVERHEAD) if largest else MAX_PAYLOAD
        for message in backfill_messages(self._trade.topics, [row for row in rows if isinstance(row, Record)], limit):
            self._lanes.add(message)

    def take(self, records: Sequence[Record]) -> None:
        """Take what was just committed as live, unless the link cannot keep up: then it is backlog."""
        if self._lanes.live_bytes < LIVE_BYTES and self._reader.state.progress.pieces < MOST_PIECES:
            self._reader.take(records)
            for record in records:
                self._lanes.add(live_message(self._trade.topics, record))
        self._wake.set()

    def _pump(self) -> None:
        """Send what the lanes give, as far as the window goes; a refused topic is passed over, but for its probe."""
        if self._publisher.lost.done():
            return
        now = self._trade.clock.monotonic()
        while message := self._lanes.next(self._window):
            if self._refused.get(message.topic, message) is not message:
                self._lanes.done(message)
                self._skipped = True
                continue
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
        if self._status or self._leaving != {} or self._hungry():
            self._wake.set()

    def _deliver(self, message: Message) -> None:
        self._lanes.done(message)
        if message.rows:
            self._trade.counters.delivered += len(message.rows)
            self._reader.settle(message.rows, self._trade.clock.now())
        released = self._refused.pop(message.topic, None)
        if not self._refused:
            self.fault = ""
        if released and (self._skipped or released is not message):
            # Rows of the topic were passed over: they, and what waits with them, are read again from the outbox.
            self._skipped = bool(self._refused)
            self._lanes.clear_rows()
            self._reader.rewind(row for flying, _ in self._flying.values() for row in flying.rows)
            if self._refused:
                self._try_later()  # probes of other topics may have waited in the lanes that were cleared
            self._wake.set()

    def _refuse(self, message: Message, code: int) -> None:
        """Keep what is refused and pass its topic over but for one try a `PAUSE`; poison is set apart."""
        trade, topic = self._trade, message.topic
        first = code not in trade.counters.refused
        trade.counters.refused[code] = trade.counters.refused.get(code, 0) + 1
        self._lanes.done(message)
        if code in POISON and message.rows:
            self._poison.append((message.rows, f"0x{code:02X}"))
            self._wake.set()
            return
        probe = self._refused.get(topic)
        self._skipped = self._skipped or (probe is not None and probe is not message)
        if probe is None or message.rows < probe.rows:
            self._refused[topic] = message
        self._try_later()
        self.fault = say("the broker refuses {topic} with 0x{code:02X}; its rows are kept", topic=topic, code=code)
        if first:
            _log.warning("%s", self.fault)
            trade.tell("refused", trade.uplink.name, topic=topic, code=code)

    def _try_later(self) -> None:
        if self._resume is None:
            self._resume = asyncio.get_running_loop().call_later(PAUSE, self._try_again)

    def _try_again(self) -> None:
        """Send the oldest message of every refused topic once more."""
        self._resume = None
        flying = {message.topic for message, _ in self._flying.values()}
        for topic, probe in self._refused.items():
            if topic not in flying:
                self._lanes.first(probe)
        self._wake.set()

    async def _set_apart(self, rows: Sequence[int], reason: str) -> None:
        """Find what of a refused message this uplink can never have, quarantine it and declare it."""
        trade, name = self._trade, self._trade.uplink.name
        found = [record for row in rows for record in await trade.outbox.read(row - 1, row, 1)]
        if len(rows) > 1 and reason != "damaged":
            # One of them spoilt the pack: each goes by itself, and only that one is refused again.
            for record in found:
                for message in backfill_messages(trade.topics, [record] if isinstance(record, Record) else [], 0):
                    self._lanes.add(message)
            return
        await trade.outbox.ask(lambda database: database.quarantine(name, rows, reason))
        for record in found:
            series = record.series
            about = {"kind": series.kind, "epoch": series.epoch} if series else {}
            detail = {**about, "from": record.seq, "to": record.seq, "count": 1, "reason": reason, "uplinks": [name]}
            self._reader.bar(trade.tell("quarantined", series.instrument if series else "", **detail))
        self._reader.settle(rows, trade.clock.now())

    def _check_stuck(self) -> None:
        oldest = min((sent for _, sent in self._flying.values()), default=None)
        if oldest is not None and self._trade.clock.monotonic() - oldest > STUCK:
            raise _cut(self._trade.uplink.name, say("no acknowledgement for {seconds} s", seconds=round(STUCK)))

    async def drain(self, seconds: float) -> None:
        """Wait until everything stored is settled, at most so long, then say goodbye with the status `offline`.

        `left_well` tells whether the broker took that; if not, the will must speak.
        """
        self.left_well = False
        if not await self._quiet(seconds, lambda: not (self._reader.waiting or self._flying)):
            _log.warning(say("{count} records wait for the next start", count=self._reader.waiting))
        self._lanes.clear()
        self.say_status("offline", "stopped")
        self.left_well = await self._quiet(GOODBYE, lambda: self._status is None and self._lanes.greeted)
        if not self.left_well:
            _log.warning(say("the broker did not take the last status"))

    async def _quiet(self, seconds: float, done: Callable[[], bool]) -> bool:
        """Wait until `done`, looked at whenever nothing waits for its PUBACK; tell whether it came in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not done() and not self._publisher.lost.done():
                    self._idle.clear()
                    await self._idle.wait()
        return done()


def _cut(uplink: str, reason: str) -> UplinkFault:
    hint = say("The rows are kept and sent again. If it repeats, check the 5G link and the broker's log.")
    return LinkLost(reason, where=say("uplink {name}", name=uplink), hint=hint)
