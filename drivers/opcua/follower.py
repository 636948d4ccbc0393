"""One instrument followed by a subscription: begun with a Read, drained each turn, its lost nodes asked again.

Nodes that the server reads but does not monitor are read each turn; so are all of them where it makes no subscription.
Those that were not heard for long are compared with a Read now and then: a subscription may be dead for some of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from asyncua import ua
from asyncua.ua.uaerrors import UaStatusCodeError

from parkgate.config.flag import Flag
from parkgate.config.language import say
from parkgate.config.site import Instrument
from parkgate.drivers.driver import Now
from parkgate.drivers.opcua.changes import Changes
from parkgate.drivers.opcua.codec import Decoder, Reading, judge, same
from parkgate.drivers.opcua.plan import Deadband, Pace, Plan, deadbands, pace
from parkgate.drivers.opcua.secure import reason
from parkgate.drivers.opcua.session import Session
from parkgate.drivers.opcua.subscription import Feed, Monitored, Subscriptions, worse
from parkgate.drivers.snapshot import Snapshot

RETRY_S, LONGEST_RETRY_S = 10.0, 600.0
"""How long nodes that could not be monitored wait for the next try: at first, and at most, twice as long each time."""
COMPARE_S = 300.0
"""How often nodes that were not heard are read and compared."""
_WHOLE_S = 0.2
"""The longest wait for the other messages of a publication: what changed at one time stays together."""
_HURRIED = 10
"""Publishing intervals for which nobody waits where a wait was in vain: the others of the line have their turns too."""
_PERIODS = 3
"""Publishing intervals within which a change that a Read has seen must have been told."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An instrument as an OPC UA driver asks it: fixed when the configuration is loaded."""

    instrument: Instrument
    plan: Plan
    decoder: Decoder
    pace: Pace
    deadbands: Mapping[int, Deadband]

    @classmethod
    def of(cls, instrument: Instrument, plan: Plan) -> Asked:
        """Compile an instrument.

        Raises:
            Unusable: a point's type cannot be used.

        """
        return cls(instrument, plan, Decoder(instrument, plan), pace(instrument), deadbands(instrument, plan))


class Follower:
    """One instrument in one session. `clock` is monotonic, in seconds."""

    def __init__(
        self, asked: Asked, session: Session, subscriptions: Subscriptions, now: Now, clock: Callable[[], float]
    ) -> None:
        self.changes = Changes(asked.instrument, asked.decoder, asked.pace, len(asked.plan.nodes))
        self._refusal: tuple[str, ...] = ()
        self._granted: tuple[str, ...] = ()
        self._asked = asked
        self._session = session
        self._subscriptions = subscriptions
        self._now = now
        self._clock = clock
        self._feed: Feed | None = None
        self._left = set(range(len(asked.plan.nodes)))
        self._retry_at, self._wait = 0.0, RETRY_S / 2
        self._compare_at = clock() + COMPARE_S
        self._suspects: set[int] = set()
        self._decide_at = 0.0

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the server does otherwise than was asked for, in the technician's language."""
        return self._refusal + self._granted

    async def begin(self) -> Snapshot:
        """Read every node, and let the server tell its changes from then on.

        Raises:
            OSError, UaError: as the library has them; what comes from a half-made subscription is not to be used.

        """
        await self._session.look(self._asked.plan)
        readings = await self._session.once(self._nodes(), len(self._asked.plan.nodes))
        snapshot = self.changes.begin(readings, self._now(), self._clock())
        try:
            await self._monitor()
        except TimeoutError as error:
            raise ConnectionError(reason(error)) from error
        return snapshot

    async def drain(self) -> list[Snapshot]:
        """Give what changed since the last turn, and a full snapshot where it is due.

        Raises:
            ConnectionError: the connection or the subscription is dead.
            OSError, UaError: as the library has them.

        """
        try:
            self._subscriptions.check()
        except ConnectionError:
            if not self.changes.waiting:
                raise
            return self.changes.leave(self._now())  # what did come is told; the loss is, at the next turn
        again = bool(self._left) and self._clock() >= self._retry_at
        if again:
            await self._monitor()
        await self._poll(again=again)
        await self._compare()
        await self._whole()
        return self.changes.drain(self._now(), self._clock())

    async def _whole(self) -> None:
        """Wait until a publication is whole; where it stays half, nobody waits again for a while."""
        feed = self._feed
        if feed is None or feed.whole.is_set() or self._clock() < feed.hurried:
            return
        try:
            async with asyncio.timeout(_WHOLE_S):
                await feed.whole.wait()
        except TimeoutError:
            feed.hurried = self._clock() + _HURRIED * feed.publishing / 1000

    async def _monitor(self) -> None:
        """Let the server monitor the nodes that it does not monitor yet; where it refuses, try again rarely."""
        asked = self._asked
        await self._session.look(asked.plan)
        wanted = {place: node for place, node in self._nodes().items() if place in self._left}
        try:
            self._feed = await self._subscriptions.open(asked.pace)
            made = await self._subscriptions.monitor(self._feed, asked.pace, self.changes, wanted, asked.deadbands)
        except UaStatusCodeError as error:
            self._refusal = (say("the server makes no subscription, so it is read: {reason}", reason=reason(error)),)
        else:
            self._refusal = ()
            self._made(made, self._feed)
        self._wait = min(2 * self._wait, LONGEST_RETRY_S)
        self._retry_at = self._clock() + self._wait

    def _made(self, made: Mapping[int, Monitored], feed: Feed) -> None:
        for place, each in made.items():
            if judge(each.status)[1]:
                self._left.discard(place)
        self._granted = tuple(dict.fromkeys((*self._granted, *worse(made.values(), feed, self._asked.pace))))

    def _nodes(self) -> Mapping[int, ua.NodeId]:
        return self._session.nodes(self._asked.instrument.name, self._asked.plan)

    async def _poll(self, *, again: bool) -> None:
        """Read the nodes that are not monitored, what is not there rarely; all of them where notifications miss."""
        torn, self.changes.torn = self.changes.torn, False
        nodes, readings = self._nodes(), self.changes.known
        places = nodes.keys() if torn else self._left & nodes.keys()
        if not (torn or again):
            places = {place for place in places if judge(readings[place].status)[0] is not Flag.BAD_CONFIGURATION}
        if places:
            for place, reading in await self._session.read(nodes, places):
                self.changes.note(place, reading)

    async def _compare(self) -> None:
        """Read the nodes that were not heard for long, where a difference must be told soon behind it.

        Raises:
            ConnectionError: it was not.

        """
        now = self._clock()
        if self._suspects and now >= self._decide_at:
            if lost := self._suspects - self.changes.heard:
                raise ConnectionError(
                    say("its subscription tells nothing of {count} nodes that changed", count=len(lost))
                )
            self._suspects = set()
        if now < self._compare_at or self._feed is None:
            return
        nodes = self._nodes()
        silent = nodes.keys() - self._left - self.changes.heard - self._asked.deadbands.keys()
        self.changes.heard.clear()
        read = await self._session.read(nodes, silent)
        self._suspects = {place for place, reading in read if _differs(reading, self.changes.known[place])}
        self._compare_at = now + COMPARE_S
        self._decide_at = self._clock() + _PERIODS * self._feed.publishing / 1000


def _differs(one: Reading, other: Reading) -> bool:
    """Tell whether a value or its status changed; a source time alone is not told."""
    return not same(one, Reading(other.value, other.status, one.source))
