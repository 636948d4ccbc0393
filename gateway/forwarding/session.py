"""One accepted connection: greets, lets the lanes flow through the send window, and settles what the broker confirms.

A row counts as delivered only on a PUBACK below 0x80. What has none when the session ends is handed out again by the
next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from parkgate.config.language import say
from parkgate.gateway.forwarding.lanes import Lane, Lanes, Message, backfill_messages, live_message
from parkgate.gateway.forwarding.listening import Listening
from parkgate.gateway.forwarding.publisher import Accepted, Publisher, TooLarge
from parkgate.gateway.forwarding.quarantine import DAMAGED, Quarantine
from parkgate.gateway.forwarding.ramp import Ramp
from parkgate.gateway.forwarding.refusals import LinkLost, UplinkFault
from parkgate.gateway.forwarding.refused import Refused
from parkgate.gateway.forwarding.standing import StandingSet
from parkgate.gateway.forwarding.trade import Trade
from parkgate.gateway.forwarding.verdicts import NOBODY, TOO_LARGE, Verdict, verdict
from parkgate.gateway.forwarding.window import Flying
from parkgate.gateway.messages.encode import MAX_PAYLOAD
from parkgate.gateway.storing.database import Damaged, Record

LIVE_BYTES = 4_000_000
"""What the live lane may hold: a link slower than the park sends the rest as backfill, so that live stays fresh."""
LONGEST_PASS = 120.0
"""Seconds within which the lanes are looked at again, even on a slow disk."""
WATCH, IDLE = 2.0, 30.0
"""Seconds between two looks at what is on its way, and where nothing is."""
AGAIN = 600.0
"""Seconds after which status and descriptions are said again to a broker that retains none."""
PAUSE = 10.0
"""Seconds between two tries while the broker refuses what it is sent."""
GOODBYE = 1.0
"""Seconds that the last status may take."""
MOST_PIECES = 2_000
"""Settled ranges that live records may make above a backlog: beyond, the backlog must catch up first."""
_OVERHEAD = 300
_log = logging.getLogger("parkgate.uplink")


class Session:
    """One connection of an uplink, from its CONNACK to its loss."""

    def __init__(self, trade: Trade, *, listen: bool = True) -> None:
        self.backlog_since: int | None = None
        self.online = False
        self.left_well = True
        self.since = trade.clock.now()
        self.fault = ""
        self.accepted_at: float | None = None
        self._trade = trade
        self._reader = trade.reader
        self._lanes = Lanes()
        self._flying = Flying()
        self._window = 0
        self._greeted_at = float("-inf")
        self._status: tuple[str, str | None] | None = None
        self._parting = False
        self._recalls = 1  # times that the alarms of the outbox are still to be looked for
        self._refused = Refused()
        self._quarantine = Quarantine(trade)
        self._standing = StandingSet(trade.topics.alarms, trade.standing)
        self._leaving: dict[str, list[str]] | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self.listening = Listening(trade.topics.status, trade.reader.state.connections, self._contradict, wanted=listen)
        self._publisher: Publisher
        self._accepted: Accepted

    async def live(self, publisher: Publisher, accepted: Accepted) -> None:
        """Greet, then let the lanes flow until the connection is lost, which is raised as an `UplinkFault`."""
        self._publisher, self._accepted = publisher, accepted
        self.accepted_at = self._trade.clock.monotonic()
        publisher.lost.add_done_callback(lambda _: self._wake.set())
        publisher.lost.add_done_callback(lambda _: self._idle.set())
        try:
            await self._greet()
            await self._flow()
        finally:
            self.online = False
            if self._resume:
                self._resume.cancel()
            self._reader.rewind()
        raise publisher.lost.result() or _cut(self._trade.uplink.name, say("disconnected"))

    async def _greet(self) -> None:
        """Send the status, then every description that a waiting row may refer to; rows flow once these are taken."""
        trade, position = self._trade, self._reader.state.progress.position
        if self._reader.waiting:
            self.backlog_since = await trade.outbox.ask(lambda database: database.oldest(position))
        metas = await trade.greeter.metas(position)  # the last wait: what is described anew from now on is told live
        self._reader.rewind()
        self.online = True
        self._window = self._accepted.window
        share = trade.uplink.backfill_share
        self._lanes.share, self._lanes.ramp = share, Ramp(int(max(1, self._window * share) * MAX_PAYLOAD))
        self.describe(metas)

    def describe(self, metas: Sequence[tuple[str, str, bytes]]) -> None:
        """Send what stands, the status and descriptions; what of these is not the newest only under its own `rev`."""
        topics = self._trade.topics
        self._greeted_at = self._trade.clock.monotonic()
        self._standing.say()
        self.say_status("online")
        newest = {instrument: rev for instrument, rev, _ in metas}
        for instrument, rev, payload in metas:
            self._lanes.add(Message(Lane.GREETING, topics.meta(instrument, rev), payload, retain=True))
            if newest[instrument] == rev:
                self._lanes.add(Message(Lane.GREETING, topics.meta(instrument), payload, retain=True))

    def say_status(self, state: str, reason: str | None = None) -> None:
        """Ask for the status to be published, before anything that waits."""
        self._status = (state, reason)
        self._wake.set()

    def _contradict(self) -> None:
        """Publish the status again: it reads offline, and we are not."""
        if self.online and not self._parting:
            self.say_status("online")

    def _send_state(self) -> None:
        """Encode what stands and the status where asked for, unless one is still on its way: it would only pile up."""
        if standing := self._standing.message([*self._lanes.waiting[Lane.ALARM], *self._flying], self._refused):
            self._lanes.add(standing)
        if self._status is None:
            return
        topic = self._trade.topics.status
        waiting = [*self._lanes.waiting[Lane.GREETING], *self._flying]
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
            self._trade.heart.expect(LONGEST_PASS)
            self._wake.clear()
            self._send_state()
            if (
                asked := self._recalls
            ):  # alarms of the outbox go before everything: until they are found, nothing passes
                for record in reversed(await self._reader.alarms()):
                    self._lanes.first(live_message(self._trade.topics, record))
                self._recalls -= asked
            self._pump()
            for message in await self._quarantine.set_apart():
                self._lanes.add(message)
                self._wake.set()
            if self._quarantine:
                self._later()
            if not self._reader.waiting:
                await self._caught_up()
            if self._hungry():
                await self._refill()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH if self._flying else IDLE):
                    await self._wake.wait()
            if seconds := self._flying.stuck(self._trade.clock.monotonic()):
                raise _cut(self._trade.uplink.name, say("no acknowledgement for {seconds} s", seconds=round(seconds)))
            if not self._accepted.retain and self._trade.clock.monotonic() - self._greeted_at > AGAIN:
                self.describe(await self._trade.greeter.metas(self._reader.state.progress.position))

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
            await trade.outbox.write(lambda database: database.descriptions.note_cleared(trade.uplink.name, cleared))

    async def _refill(self) -> None:
        """Read the oldest rows that were not handed out, and pack them; what is damaged or gone is declared."""
        rows, gone = await self._reader.backlog()
        if damaged := [row.id for row in rows if isinstance(row, Damaged)]:
            self._quarantine.add(damaged, DAMAGED)
        if count := self._reader.expire(gone, self._trade.trusted()):
            name = self._trade.uplink.name
            self._reader.bar(self._trade.tell("not-kept", name, count=count, **{"from": gone[0][0], "to": gone[-1][1]}))
        largest = self._accepted.max_packet
        limit = min(MAX_PAYLOAD, self._lanes.ramp.allowed, largest - _OVERHEAD if largest else MAX_PAYLOAD)
        for message in backfill_messages(self._trade.topics, [row for row in rows if isinstance(row, Record)], limit):
            self._lanes.add(message)

    def take(self, records: Sequence[Record]) -> None:
        """Take what was just committed as live, unless the link cannot keep up: then it is backlog, but for alarms.

        What is late is backlog at once: of a series it goes behind what waits already, in the order of its numbers.
        """
        if self._lanes.live_bytes < LIVE_BYTES and self._reader.state.progress.pieces < MOST_PIECES:
            self._reader.take(records)
        else:
            records = [record for record in records if record.series.kind == "alarm"]
            for record in records:
                self._reader.take([record])
        for record in records:
            if not record.late:
                self._lanes.add(live_message(self._trade.topics, record))
            if record.series.kind == "alarm":
                self._standing.say()
        self._wake.set()

    def _pump(self) -> None:
        """Send what the lanes give, as far as the window goes; a refused topic is passed over, but for its probe."""
        if self._recalls or self._publisher.lost.done():
            return
        now = self._trade.clock.monotonic()
        while message := self._lanes.next(self._window):
            if not self._refused.passes(message):
                self._lanes.done(message)
                continue
            try:
                mid = self._publisher.publish(message.topic, message.payload, retain=message.retain)
            except TooLarge:
                self._refuse(message, TOO_LARGE, verdict(TOO_LARGE, hold=False, rows=bool(message.rows)))
            else:
                self._flying.add(mid, message, now)
                self._trade.counters.sent_bytes += len(message.payload)
        if not self._flying:
            self._idle.set()

    def acknowledged(self, mid: int, code: int) -> None:
        """Settle what a PUBACK accepts; keep, or set aside, what it refuses."""
        found = self._flying.acknowledged(mid, self._trade.clock.monotonic())
        if found is None:
            return
        message, seconds = found
        if message.lane is Lane.BACKFILL:
            self._lanes.ramp.acknowledged(seconds, len(message.payload))
        if code == NOBODY and message.rows:
            self._trade.counters.nobody += len(message.rows)
        match verdict(code, hold=self._trade.uplink.nobody == "hold", rows=bool(message.rows)):
            case Verdict.DELIVERED:
                self._deliver(message)
            case Verdict.RECONNECT:
                self._trade.counters.refuse(code)
                raise _cut(self._trade.uplink.name, say("PUBACK 0x{code:02X}: {topic}", code=code, topic=message.topic))
            case refusal:
                self._refuse(message, code, refusal)
        self._pump()
        if self._status or self._standing.wanted or self._leaving != {} or self._hungry():
            self._wake.set()

    def _deliver(self, message: Message) -> None:
        self._lanes.done(message)
        if message.rows:
            self._trade.counters.delivered += len(message.rows)
            self._reader.settle(message.rows, self._trade.trusted())
        elif message.topic == self._trade.topics.status:
            self.listening.begin(self._publisher)
        passed_over = self._refused.taken(message)
        if not self._refused:
            self.fault = ""
        if passed_over:
            # Rows of the topic were passed over: they, and what waits with them, are read again from the outbox.
            self._lanes.clear_rows()
            self._standing.say()
            self._recalls += 1
            if self._refused:
                self._later()  # the probes of other topics waited in the lanes that were cleared
            self._reader.rewind(row for flying in self._flying for row in flying.rows)
            self._wake.set()

    def _refuse(self, message: Message, code: int, refusal: Verdict) -> None:
        """Keep what is refused and pass its topic over but for one try a `PAUSE`; what is never taken is set apart."""
        trade, topic = self._trade, message.topic
        first = trade.counters.refuse(code)
        self._lanes.done(message)
        if refusal is Verdict.QUARANTINE:
            self._quarantine.add(message.rows, f"0x{code:02X}")
            self._wake.set()
            return
        self._refused.add(message)
        self._later()
        self.fault = say("the broker refuses {topic} with 0x{code:02X}; its rows are kept", topic=topic, code=code)
        if first:
            _log.warning("%s", self.fault)
            trade.tell("refused", trade.uplink.name, topic=topic, code=code)

    def _later(self) -> None:
        """Try refused topics again after a while."""
        if self._resume is None:
            self._resume = asyncio.get_running_loop().call_later(PAUSE, self._try_again)

    def _try_again(self) -> None:
        """Send the oldest message of every refused topic once more."""
        self._resume = None
        for probe in self._refused.probes({message.topic for message in self._flying}):
            self._lanes.first(probe)
        self._wake.set()

    async def drain(self, seconds: float) -> None:
        """Wait until everything stored is settled, at most so long, then say goodbye with the status `offline`.

        `left_well` tells whether the broker took that; if not, the will must speak.
        """
        self.left_well = False
        self._parting = True
        standing, refused = self._standing, self._refused
        if not await self._quiet(seconds, lambda: not (self._reader.waiting or self._flying or standing.owed(refused))):
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
