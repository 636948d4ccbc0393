"""One uplink's loop: connect, live through a session, wait, connect again.

It never waits for the collector and the collector never for it: both know only the outbox.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence

from parkgate.config.site import Uplink
from parkgate.gateway.backoff import next_delay
from parkgate.gateway.forwarding.dialect import NEWEST
from parkgate.gateway.forwarding.publisher import Will
from parkgate.gateway.forwarding.refusals import LinkLost, NotReached, UplinkFault, VersionRefused, WillRefused
from parkgate.gateway.forwarding.session import Counters, Session, Trade
from parkgate.gateway.storing.database import Record
from parkgate.gateway.storing.reader import Reader

QUICK, QUICK_FOR = 1.5, 600.0
"""Seconds: for the first ten minutes a lost link is tried at least so often, to be used soon after its return."""
_STEADY = 60.0
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

    async def drain(self, seconds: float) -> None:
        """Wait until everything stored is settled, at most so long, then say goodbye; nothing while offline."""
        if self.online:
            await self._session.drain(seconds)

    async def run(self) -> None:
        """Keep the uplink connected; for ever."""
        clock = self._trade.clock
        attempt, steady = 0, clock.monotonic()
        while True:
            began = clock.monotonic()
            try:
                await self._connection()
            except UplinkFault as fault:
                known, self._dialect = self._dialect, self._dialect.after(fault)
                if isinstance(fault, VersionRefused | WillRefused) and self._dialect != known:
                    continue
                self._failed(fault)
                now = clock.monotonic()
                attempt, steady = (0, now) if now - began > _STEADY else (attempt + 1, steady)
                quick = isinstance(fault, NotReached | LinkLost) and now - steady < QUICK_FOR
                cap = QUICK if quick else fault.cap
                await clock.sleep(next_delay(attempt, self._rng, base=fault.base, cap=cap, floor=fault.floor))

    async def _connection(self) -> None:
        """Live through one connection, from CONNECT to its loss, which is raised."""
        trade = self._trade
        if not self._unused:
            trade.reader.state.connections += 1
            trade.outbox.note(trade.reader.state)
            await trade.outbox.commit(progress=True)
        session = Session(trade)
        lost = trade.greeter.status("offline", trade.reader, since=session.since, reason="lost")
        will = Will(trade.topics.status, lost)
        publisher = trade.new_publisher(
            trade.uplink, self._client_id, will, on_ack=session.acknowledged, dialect=self._dialect
        )
        accepted = await publisher.connect()
        self._dialect = self._dialect.after(None)
        self._session, self.since, self._fault = session, session.since, ""
        connection = trade.reader.state.connections
        trade.tell("uplink-online", trade.uplink.name, connection=connection, version=accepted.version)
        try:
            await session.live(publisher, accepted)
        finally:
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
