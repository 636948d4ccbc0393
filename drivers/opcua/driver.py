"""One OPC UA session: instruments whose changes the server tells, and instruments that are read in each period.

Reading is all it does: no write, no method call. The library's own reconnecting stays off; the collector leaves this
driver and enters it again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from parkgate.config.flag import Flag
from parkgate.config.language import say
from parkgate.config.site import Instrument, Line
from parkgate.drivers.application import Application
from parkgate.drivers.driver import Between, Now, Standing, nothing
from parkgate.drivers.faults import Fault, Garbled, Silent, Unreachable, Unusable
from parkgate.drivers.identity import Identity
from parkgate.drivers.opcua.browsing import Inquiry
from parkgate.drivers.opcua.changes import Changes
from parkgate.drivers.opcua.codec import Reading, judge
from parkgate.drivers.opcua.follower import Asked, Follower
from parkgate.drivers.opcua.history import History, Link
from parkgate.drivers.opcua.misfits import misfit
from parkgate.drivers.opcua.plan import endpoint, plan
from parkgate.drivers.opcua.present import Present
from parkgate.drivers.opcua.properties import Properties
from parkgate.drivers.opcua.secure import LIBRARY, SecureClient, arm, not_admitted, reason
from parkgate.drivers.opcua.session import (
    SESSION_MS,
    Remains,
    Session,
    SessionClient,
    client_of,
    close,
    node_id,
    plain,
    question,
    reading_of,
)
from parkgate.drivers.opcua.subscription import Subscriptions
from parkgate.drivers.snapshot import Snapshot

_CONNECT_S = 5.0
"""The longest that entering may take: several answers, each within the line's timeout."""

_INSECURE = "No matching endpoints"
_BUILD_INFO = question(
    node_id(ObjectIds.Server_ServerStatus_BuildInfo_ManufacturerName),
    node_id(ObjectIds.Server_ServerStatus_BuildInfo_ProductName),
    node_id(ObjectIds.Server_ServerStatus_BuildInfo_SoftwareVersion),
)
_HEARTBEAT = question(node_id(ObjectIds.Server_ServerStatus_State))


@dataclass(slots=True)
class _Open:
    """An open line: its session, its subscriptions, and those who are followed."""

    session: Session
    subscriptions: Subscriptions
    followers: dict[str, Follower] = field(default_factory=dict)


class OpcUaDriver:
    """An OPC UA line: entering connects and activates a session, leaving closes it.

    A node or a namespace that the server does not have costs its own point (`bad-configuration`), never the others.
    `clock` is monotonic, in seconds.

    Raises:
        Unusable: the line's URL, its security, a node id or a point's type cannot be used; when it is made.

    """

    def __init__(
        self,
        line: Line,
        instruments: Sequence[Instrument],
        now: Now,
        application: Application | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        where = f'line "{line.name}"'
        self._line = line
        self._now = now
        self._clock = clock
        self._url = endpoint(line.url, where=where)
        self._where = f"{where} ({urlsplit(self._url).netloc.rpartition('@')[2]})"
        self._application = None if line.security == "none" else _needed(application, line, where)
        self._own = ""
        self._asked = {instrument.name: Asked.of(instrument, plan(instrument)) for instrument in instruments}
        self._present = {instrument.name: Present() for instrument in instruments}
        self._properties = Properties(clock)
        self.history = History(reading_of)
        for asked in self._asked.values():
            self._properties.add(asked.instrument, asked.plan)
            self.history.add(asked.instrument, asked.plan, asked.decoder)
        self._stack = AsyncExitStack()
        self._open: _Open | None = None
        self._unread: dict[str, Sequence[Snapshot]] = {}
        self._undeclared = Counter[str]()
        self._said: dict[str, Sequence[Reading]] = {}
        self._remarks: dict[str, tuple[str, ...]] = {}
        self._identities: list[Identity | None] = []
        self._remains: tuple[Remains, float] | None = None

    async def __aenter__(self) -> Self:
        """Connect, activate a session and learn the server's namespaces.

        Raises:
            Unreachable: there is no connection, the server is not trusted, or it gives no session.

        """
        async with AsyncExitStack() as stack:
            await self._bury()
            client = client_of(self._line, self._url)
            stack.push_async_callback(self._close, client)
            session = Session(client)
            try:
                await self._arm(client)
                async with asyncio.timeout(_CONNECT_S):
                    await client.connect()
                    await session.survey()
            except LIBRARY as error:
                raise self._refused(error) from error
            subscriptions = Subscriptions(session, self._clock, self._line.timeout / 1000)
            stack.push_async_callback(subscriptions.close)
            self._open = _Open(session, subscriptions)
            self._properties.renew()
            self._stack = stack.pop_all()
        self.history.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session on the server, the channel and the socket; a server that is gone is not waited for.

        What was told before that and had no turn yet is kept for the next one.
        """
        for name, follower in () if self._open is None else self._open.followers.items():
            snapshots = follower.changes.leave(self._now())
            if self._noted(self._asked[name].instrument, follower.changes, snapshots):
                self._unread[name] = snapshots
            self._undeclared[name] += follower.changes.undeclared
        self._open = None
        await self._stack.aclose()

    def standing(self, instrument: Instrument) -> Standing:
        """Tell which points have no usable node and why, and what the server holds or does otherwise than was asked."""
        asked, readings = self._asked[instrument.name], self._said.get(instrument.name, ())
        reasons = dict(_reasons(asked, readings)) if readings else {}
        wrong = tuple(
            point.name
            for place, point in zip(asked.plan.points, instrument.points, strict=True)
            if point.name in reasons and judge(readings[place].status)[0] in {None, Flag.BAD_CONFIGURATION}
        )
        remarks, units = self._remarks.get(instrument.name, ()), self._properties.units(instrument.name)
        return Standing(wrong, reasons=reasons, remarks=remarks, units=units)

    def described(self, instrument: Instrument) -> Instrument:
        """Give an instrument with the units and ranges that the server tells and its profile lacks."""
        return self._properties.described(instrument.name)

    async def read(self, instrument: Instrument, between: Between = nothing) -> Sequence[Snapshot]:  # noqa: ARG002  # one cycle
        """Give what an instrument said since its last turn; a first read after entering asks all of its nodes.

        One snapshot for an instrument that is read, timed by the source; of one that is followed as many as there were
        changes, none where there was none. Before them stand, marked as late, those of what an outage made it miss.

        Raises:
            Silent: no answer in time, though the server itself answers: a device behind it is slow or gone.
            Unreachable: the connection, the session or the subscription is gone, or not even the server itself answers
                in time.
            Garbled: the answer cannot be decoded, or has not one result for each node.

        """
        line = self._opened()
        where = f'{self._where}, instrument "{instrument.name}"'
        try:
            return await self._taken(line, self._asked[instrument.name])
        except (TimeoutError, UaStatusCodeError) as error:
            raise await self._doubt(line.session, error, where) from error
        except OSError as error:
            raise self._gone(error) from error
        except LIBRARY as error:
            raise Garbled(
                say("the answer cannot be used: {reason}", reason=reason(error)),
                where=where,
                hint=say("If this recurs, tell the server's vendor; the other instruments go on."),
            ) from error

    async def _taken(self, line: _Open, asked: Asked) -> Sequence[Snapshot]:
        """Take what was said live, which no history holds up: of that a little is asked behind it."""
        instrument, session = asked.instrument, line.session
        if instrument.acquisition == "read":
            readings = self._said[instrument.name] = await session.cycle(instrument.name, asked.plan)
            now = self._now()
            self.history.note(instrument, dict(enumerate(readings)), now)
            snapshot = asked.decoder.decode(readings, now)
            if (at := self._present[instrument.name].read(snapshot.at, now)) != snapshot.at:
                snapshot = asked.decoder.whole(readings, now, at)
            snapshots: Sequence[Snapshot] = (snapshot,)
            await self._learn(session, instrument.name, readings)
        else:
            snapshots = await self._followed(line, asked)
        link = Link(session.client.uaclient, session.namespaces, session.limit)
        return [*await self.history.more(instrument, link), *snapshots]

    async def _followed(self, line: _Open, asked: Asked) -> Sequence[Snapshot]:
        instrument, name = asked.instrument, asked.instrument.name
        follower = line.followers.get(name)
        if follower is not None:
            changes = follower.changes
            snapshots = self._noted(instrument, changes, await follower.drain())
            if await self._learn(line.session, name, changes.known, changes.redefined()):
                snapshots = *snapshots, changes.full(self._now(), self._clock())
        else:
            follower = Follower(asked, line.session, line.subscriptions, self._now, self._clock)
            first = await follower.begin()
            first = replace(first, dropped=self._undeclared.pop(name, 0))
            snapshots = *self._unread.pop(name, ()), first
            line.followers[name] = follower
            self._said[name] = follower.changes.known
            await self._learn(line.session, name, follower.changes.known)
        self._remarks[name] = follower.remarks
        return snapshots

    async def _learn(
        self, session: Session, name: str, readings: Sequence[Reading], redefined: Collection[int] = ()
    ) -> bool:
        """Ask what values mean where that is due; tell whether the instrument is another one by that."""
        before = self._properties.described(name)
        if redefined:
            self._properties.ask_again(name, redefined)
        await self._properties.learn(session.client, session.namespaces, name, dict(enumerate(readings)))
        return self._properties.described(name) is not before

    def _noted(self, instrument: Instrument, changes: Changes, snapshots: Sequence[Snapshot]) -> Sequence[Snapshot]:
        """Note what was drained as delivered: a history is not asked for it again."""
        for readings in changes.told:
            self.history.note(instrument, readings, self._now())
        return snapshots

    async def identify(self, instrument: Instrument) -> Identity | None:
        """Ask the server once for its build information, which stands for every instrument of it.

        Raises:
            Unreachable: the connection is lost; nothing was answered.

        """
        del instrument
        session = self._opened().session
        if not self._identities:
            try:
                answers = await session.client.uaclient.read(_BUILD_INFO)
                said = _identity([plain(each) for each in answers])
            except (TimeoutError, UaStatusCodeError):
                said = None
            except OSError as error:
                raise self._gone(error) from error
            except LIBRARY:
                said = None
            self._identities.append(said)
        return self._identities[0]

    def asked(self) -> Inquiry:
        """Give the open session for single questions, which people ask between two readings.

        Raises:
            Unreachable: the line is not open.

        """
        return Inquiry(self._opened().session.client, self._where)

    async def _close(self, client: SessionClient) -> None:
        remains = await close(client)
        self._remains = (remains, self._clock()) if remains else None

    async def _bury(self) -> None:
        """Close the last session where its server was not told, and may still keep it: never is there more than one."""
        if self._remains is None:
            return
        remains, since = self._remains
        if self._clock() - since > SESSION_MS / 1000:
            self._remains = None
            return
        client = client_of(self._line, self._url)
        try:
            await self._arm(client)
            async with asyncio.timeout(_CONNECT_S):
                await client.bury(remains)
        except OSError as error:
            raise self._refused(error) from error  # there is no server: try again, and open nothing beside the old one
        except LIBRARY:
            self._remains = None  # the server has forgotten it
        finally:
            await close(client)
        self._remains = None

    async def _arm(self, client: SecureClient) -> None:
        self._own = ""
        if self._application is not None:
            self._own = await arm(client, self._line, self._url, self._application, where=self._where)

    def _opened(self) -> _Open:
        if self._open is None:
            raise Unreachable(say("the line is not open"), where=self._where, hint=say("It is opened again by itself."))
        return self._open

    async def _doubt(self, session: Session, error: Exception, where: str) -> Fault:
        """Tell a slow device from a dead server: many a server asks its devices while we wait.

        One small question more decides it. Without it a slow device would cost everyone on the line the session, and
        the server a new session at each turn; or a link that died without a word would be asked again and again.
        """
        try:
            await session.client.uaclient.read(_HEARTBEAT)
        except LIBRARY:
            return self._gone(error)
        return Silent(
            say("the server has no answer for this instrument: {reason}", reason=reason(error)),
            where=where,
            hint=say("The server itself answers: check the device behind it, or give the line a longer timeout."),
        )

    def _gone(self, error: Exception) -> Unreachable:
        return Unreachable(
            say("the OPC UA session is gone: {reason}", reason=reason(error)),
            where=self._where,
            hint=say("It is opened again by itself; if this recurs, look at the network and at the server's log."),
        )

    def _refused(self, error: Exception) -> Unreachable:
        if self._application is not None and self._own:
            return not_admitted(error, self._application, self._own, where=self._where)
        if isinstance(error, UaError) and _INSECURE in str(error):
            return Unreachable(
                say("the server offers no endpoint without security"),
                where=self._where,
                hint=say('Allow security policy "None" for this gateway on the server.'),
            )
        return Unreachable(
            say("no OPC UA session: {reason}", reason=reason(error)),
            where=self._where,
            hint=say("Check that the server runs, its address and port, and that it admits anonymous clients."),
        )


def _needed(application: Application | None, line: Line, where: str) -> Application:
    """Give the application whose keys a line needs.

    Raises:
        Unusable: the line does not say its security, or there are no keys.

    """
    if line.security is None or application is None:
        raise Unusable(
            say("it is not said how the line is secured"),
            where=where,
            hint=say(
                'Write its security into the site file, as "Basic256Sha256/SignAndEncrypt", or "none" on purpose.'
            ),
        )
    return application


def _identity(said: Sequence[object]) -> Identity | None:
    """Give a server's own words; what is no text says nothing."""
    vendor, product, revision = (each if isinstance(each, str) else "" for each in said)
    return Identity(vendor, product, revision) if vendor or product else None


def _reasons(asked: Asked, readings: Sequence[Reading]) -> Mapping[str, str]:
    """Give why points have no usable value, by name: no point can hold what the node is, or its status in one word."""
    points = asked.instrument.points
    reasons = {}
    told = ((readings[place], point) for place, point in zip(asked.plan.points, points, strict=True))
    for reading, point in told:
        flag = judge(reading.status)[0] if reading.status else None
        if flag is Flag.BAD_CONFIGURATION:
            reasons[point.name] = misfit(point, reading)
        elif flag is not None:
            reasons[point.name] = ua.StatusCode(ua.UInt32(reading.status)).name
    for number in asked.decoder.misfits(readings):
        reasons[points[number].name] = misfit(points[number], readings[asked.plan.points[number]])
    return reasons
