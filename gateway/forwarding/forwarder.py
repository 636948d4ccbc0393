"""One uplink's loop: connect, live through a session, wait, connect again.

It never waits for the collector and the collector never for it: both know only the outbox.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

from parkgate.config.site import Uplink
from parkgate.gateway.backoff import next_delay
from parkgate.gateway.forwarding.credentials import Door
from parkgate.gateway.forwarding.dialect import NEWEST
from parkgate.gateway.forwarding.publisher import Will
from parkgate.gateway.forwarding.refusals import (
    LinkLost,
    NotReached,
    NotTrusted,
    UplinkFault,
    VersionRefused,
    WillRefused,
    flapping,
)
from parkgate.gateway.forwarding.session import Session
from parkgate.gateway.forwarding.trade import Counters, Trade
from parkgate.gateway.storing.database import Record
from parkgate.gateway.storing.reader import Reader

QUICK, QUICK_FOR = 1.5, 600.0
"""Seconds: for the first ten minutes a lost link is tried at least so often, to be used soon after its return."""
LONGEST_DIAL = 120.0
"""Seconds within which a connection is open, greeted, or given up."""
_STEADY = 60.0
BRIEF, BRIEF_MOST = 5.0, 4
"""Connections accepted and lost within so many seconds, so many in a row, look like a client id used twice."""
DEAF_AFTER = 2
"""Connections in a row that ended on our asking for our own status: a cut of the link may hit one, a rule all."""
_log = logging.getLogger("parkgate.uplink")


class Forwarder:
    """Keeps one uplink connected and forwards the outbox to it."""

    def __init__(self, trade: Trade, client_id: str, rng: random.Random) -> None:
        self.since = trade.clock.now()
        self._fault = ""
        self._trade = trade
        self._client_id = client_id
        self._rng = rng
        self._dialect = NEWEST
        self._unused = False
        self._door = Door(trade.uplink)
        self._unanswered = 0
        self._brief = 0
        self._hurry = asyncio.Event()
        self._session = Session(trade)
        trade.outbox.followers.append(self._stored)

    @property
    def uplink(self) -> Uplink:
        """Give the uplink as the site file has it."""
        return self._trade.uplink

    @property
    def reader(self) -> Reader:
        """Give what the uplink has had of the outbox."""
        return self._trade.reader

    @property
    def counters(self) -> Counters:
        """Give what happened since the agent started."""
        return self._trade.counters

    @property
    def online(self) -> bool:
        """Tell whether the broker has accepted the connection."""
        return self._session.online

    @property
    def fault(self) -> str:
        """Give what is wrong with the uplink now; nothing if all is well."""
        return self._session.fault if self.online else self._fault

    def refresh(self) -> None:
        """Publish the status again, because what it says has changed."""
        if self.online:
            self._session.say_status("online")

    def describe(self, instrument: str, rev: str, payload: bytes) -> None:
        """Send a new description before any row that refers to it; whoever is offline begins with it."""
        if self.online:
            self._session.describe([(instrument, rev, payload)])

    def hurry(self) -> None:
        """Try again now where time may have been what was wrong, instead of after the rest of the wait."""
        self._hurry.set()

    async def drain(self, seconds: float) -> None:
        """Wait until everything stored is settled, at most so long, then say goodbye; nothing while offline."""
        if self.online:
            await self._session.drain(seconds)

    async def run(self) -> None:
        """Keep the uplink connected; for ever."""
        clock = self._trade.clock
        attempt, steady = 0, clock.monotonic()
        while True:
            self._hurry.clear()  # what is set from now on may come too late for this try, and hurries the next
            began = clock.monotonic()
            try:
                await self._connection()
            except UplinkFault as lost:
                fault = self._patient(lost)
                known, self._dialect = self._dialect, self._dialect.after(fault)
                if isinstance(fault, VersionRefused | WillRefused) and self._dialect != known:
                    continue
                self._failed(fault)
                now = clock.monotonic()
                attempt, steady = (0, now) if now - began > _STEADY else (attempt + 1, steady)
                quick = isinstance(fault, NotReached | LinkLost) and now - steady < QUICK_FOR
                cap = QUICK if quick else fault.cap
                await self._wait(next_delay(attempt, self._rng, base=fault.base, cap=cap, floor=fault.floor), fault)

    def _patient(self, fault: UplinkFault) -> UplinkFault:
        """Give the fault of a connection; another one, with longer waits, where accepted ones end again and again.

        Not every broker says that another client has taken our id over: two gateways of one id would throw each other
        out for ever.
        """
        session, clock = self._session, self._trade.clock
        if session.listening.begun:
            self._unanswered = self._unanswered + 1 if session.listening.unanswered else 0
        if not (isinstance(fault, LinkLost) and session.accepted_at is not None):
            return fault
        brief = clock.monotonic() - session.accepted_at < BRIEF
        self._brief = self._brief + 1 if brief else 0
        return flapping(fault) if self._brief >= BRIEF_MOST else fault

    async def _wait(self, seconds: float, fault: UplinkFault) -> None:
        """Wait before the next try; a clock that was set ends it, where it may have been the reason."""
        self._trade.heart.expect(seconds + LONGEST_DIAL)
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._trade.clock.sleep(seconds))]
        if isinstance(fault, NotTrusted | NotReached | LinkLost):
            waits.append(asyncio.ensure_future(self._hurry.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _connection(self) -> None:
        """Live through one connection, from CONNECT to its loss, which is raised."""
        trade = self._trade
        if not self._unused:
            trade.reader.state.connections += 1
            trade.outbox.note(trade.reader.state)
            await trade.outbox.commit(progress=True)
        trade.heart.expect(LONGEST_DIAL)
        session = Session(trade, listen=self._unanswered < DEAF_AFTER)
        lost = trade.greeter.status("offline", trade.reader, since=session.since, reason="lost")
        will = Will(trade.topics.status, lost)
        publisher = trade.new_publisher(
            trade.uplink, self._client_id, will, on_ack=session.acknowledged, dialect=self._dialect, door=self._door
        )
        accepted = await publisher.connect()
        self._dialect = self._dialect.after(None)
        self._session, self.since, self._fault = session, session.since, ""
        connection = trade.reader.state.connections
        trade.tell("uplink-online", trade.uplink.name, connection=connection, version=accepted.version)
        try:
            await session.live(publisher, accepted)
        finally:
            self._hurry.clear()  # while there was a connection, time was not what was wrong
            self.since = trade.clock.now()
            if session.left_well:
                await publisher.disconnect()
            else:
                publisher.abort()

    def _stored(self, records: Sequence[Record]) -> None:
        if self.online:
            self._session.take(records)

    def _failed(self, fault: UplinkFault) -> None:
        # Where not even TCP was reached, no CONNECT bore the number: it is kept, and no commit spent on another.
        cause = fault.__cause__
        self._unused = isinstance(cause, OSError) and not isinstance(cause, TimeoutError)
        if str(fault) != self._fault:
            _log.warning("%s", fault)
            self._trade.tell("uplink-offline", self._trade.uplink.name, reason=fault.what)
        self._fault = str(fault)
