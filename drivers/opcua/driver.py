"""One OPC UA session: asks all nodes of an instrument in one cycle of Read services.

Reading is all it does: no write, no method call. The library's own reconnecting stays off; the collector leaves this
driver and enters it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from parkgate.config.language import say
from parkgate.config.site import Instrument, Line
from parkgate.drivers.application import Application
from parkgate.drivers.driver import Between, Now, Standing, nothing
from parkgate.drivers.faults import Fault, Garbled, Silent, Unreachable, Unusable
from parkgate.drivers.identity import Identity
from parkgate.drivers.opcua.browsing import Inquiry
from parkgate.drivers.opcua.codec import BAD_NODE_ID_UNKNOWN, Decoder, Reading
from parkgate.drivers.opcua.plan import Plan, blocks, endpoint, index, plan
from parkgate.drivers.opcua.secure import LIBRARY, SecureClient, arm, not_admitted, reason
from parkgate.drivers.snapshot import Snapshot

_CONNECT_S = 5.0
"""The longest that entering may take: several answers, each within the line's timeout."""

_KEEPALIVE_S = 20.0
"""How often the library asks for the server's state: it keeps a slowly polled session and finds a dead one."""

_CLOSE_S = 1.0
"""The longest that leaving waits for the server."""

_SESSION_MS = 60_000
"""How long a server keeps the session of a gateway that lost its power: small servers have few to give."""

_INSECURE = "No matching endpoints"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ABSENT = Reading(None, BAD_NODE_ID_UNKNOWN)


def _node(identifier: Any, namespace: Any = 0) -> ua.NodeId:
    # Any: the library annotates with marker classes of its own, but takes plain numbers, texts, GUIDs and bytes.
    return ua.NodeId(identifier, namespace)


def _question(*nodes: ua.NodeId) -> ua.ReadParameters:
    # MaxAge 0: the value as it is now, not what the server remembers.
    return ua.ReadParameters(
        MaxAge=0,
        TimestampsToReturn=ua.TimestampsToReturn.Both,
        NodesToRead=[ua.ReadValueId(NodeId=node, AttributeId=AttributeIds.Value) for node in nodes],
    )


_SURVEY = _question(
    _node(ObjectIds.Server_NamespaceArray),
    _node(ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead),
)
_BUILD_INFO = _question(
    _node(ObjectIds.Server_ServerStatus_BuildInfo_ManufacturerName),
    _node(ObjectIds.Server_ServerStatus_BuildInfo_ProductName),
    _node(ObjectIds.Server_ServerStatus_BuildInfo_SoftwareVersion),
)
_HEARTBEAT = _question(_node(ObjectIds.Server_ServerStatus_State))

_Questions = tuple[tuple[Sequence[int], ua.ReadParameters], ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """An instrument as this driver asks it: fixed when the configuration is loaded."""

    plan: Plan
    decoder: Decoder


@dataclass(slots=True)
class _Session:
    """An open session: the server's namespaces, its limit of nodes a Read (0: none), and the questions made for it."""

    client: Client
    namespaces: Mapping[str, int] = field(default_factory=dict)
    limit: int = 0
    questions: dict[str, _Questions] = field(default_factory=dict)


class OpcUaDriver:
    """An OPC UA line: entering connects and activates a session, leaving closes it.

    A node or a namespace that the server does not have costs its own point (`bad-configuration`), never the others.

    Raises:
        Unusable: the line's URL, its security, a node id or a point's type cannot be used; when it is made.

    """

    def __init__(
        self, line: Line, instruments: Sequence[Instrument], now: Now, application: Application | None = None
    ) -> None:
        where = f'line "{line.name}"'
        self._line = line
        self._now = now
        self._url = endpoint(line.url, where=where)
        self._where = f"{where} ({urlsplit(self._url).netloc.rpartition('@')[2]})"
        self._application = None if line.security == "none" else _needed(application, line, where)
        self._own = ""
        self._asked: dict[str, _Asked] = {}
        for instrument in instruments:
            nodes = plan(instrument)
            self._asked[instrument.name] = _Asked(nodes, Decoder(instrument, nodes))
        self._stack = AsyncExitStack()
        self._session: _Session | None = None
        self._identities: list[Identity | None] = []

    async def __aenter__(self) -> Self:
        """Connect, activate a session and learn the server's namespaces.

        Raises:
            Unreachable: there is no connection, the server is not trusted, or it gives no session.

        """
        async with AsyncExitStack() as stack:
            client = _client(self._line, self._url)
            stack.push_async_callback(_close, client)
            session = _Session(client)
            try:
                await self._arm(client)
                async with asyncio.timeout(_CONNECT_S):
                    await client.connect()
                    await _survey(session)
            except LIBRARY as error:
                raise self._refused(error) from error
            self._session = session
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session on the server, the channel and the socket; a server that is gone is not waited for."""
        self._session = None
        await self._stack.aclose()

    def standing(self, instrument: Instrument) -> Standing:  # noqa: ARG002  # every node is asked each time
        """Tell that nothing is left out."""
        return Standing()

    async def read(self, instrument: Instrument, between: Between = nothing) -> Sequence[Snapshot]:  # noqa: ARG002  # one cycle
        """Ask all nodes of an instrument's points and states in one cycle; one snapshot, timed by the source.

        Raises:
            Silent: no answer in time, though the server itself answers: a device behind it is slow or gone.
            Unreachable: the connection or the session is gone, or not even the server itself answers in time.
            Garbled: the answer cannot be decoded, or has not one result for each node.

        """
        session = self._open()
        asked = self._asked[instrument.name]
        where = f'{self._where}, instrument "{instrument.name}"'
        try:
            readings = await _cycle(session, instrument.name, asked.plan)
        except (TimeoutError, UaStatusCodeError) as error:
            raise await self._doubt(session, error, where) from error
        except OSError as error:
            raise self._gone(error) from error
        except LIBRARY as error:
            raise Garbled(
                say("the answer cannot be used: {reason}", reason=reason(error)),
                where=where,
                hint=say("If this recurs, tell the server's vendor; the other instruments go on."),
            ) from error
        return (asked.decoder.decode(readings, self._now()),)

    async def identify(self, instrument: Instrument) -> Identity | None:
        """Ask the server once for its build information, which stands for every instrument of it.

        Raises:
            Unreachable: the connection is lost; nothing was answered.

        """
        del instrument
        session = self._open()
        if not self._identities:
            try:
                answers = await session.client.uaclient.read(_BUILD_INFO)
                said = _identity([_plain(each) for each in answers])
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
        return Inquiry(self._open().client, self._where)

    async def _arm(self, client: SecureClient) -> None:
        self._own = ""
        if self._application is not None:
            self._own = await arm(client, self._line, self._url, self._application, where=self._where)

    def _open(self) -> _Session:
        if self._session is None:
            raise Unreachable(say("the line is not open"), where=self._where, hint=say("It is opened again by itself."))
        return self._session

    async def _doubt(self, session: _Session, error: Exception, where: str) -> Fault:
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


def _client(line: Line, url: str) -> SecureClient:
    """Prepare the library's client for a line, without security so far."""
    client = SecureClient(url, timeout=line.timeout / 1_000, watchdog_intervall=_KEEPALIVE_S, auto_reconnect=False)
    client.name = "Parkgate"
    client.description = f"Parkgate {line.name}"
    client.application_uri = "urn:parkgate:gateway"
    client.product_uri = "urn:parkgate"
    client.session_timeout = _SESSION_MS
    return client


async def _close(client: Client) -> None:
    protocol = client.uaclient.protocol
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await client.disconnect()
    finally:
        # The library forgets the socket when it has given up the connection before, or was cancelled while connecting.
        if protocol is not None and protocol.transport is not None:
            protocol.transport.abort()
        await asyncio.sleep(0)  # one turn of the loop closes the socket


async def _survey(session: _Session) -> None:
    """Learn the server's namespaces and its limit of nodes a Read, in one Read."""
    namespaces, limit = await session.client.uaclient.read(_SURVEY)
    uris = _plain(namespaces)
    most = _plain(limit)
    session.namespaces = {uri: number for number, uri in reversed([*enumerate(uris)])} if isinstance(uris, list) else {}
    session.limit = most if isinstance(most, int) else 0
    session.questions.clear()


async def _cycle(session: _Session, name: str, nodes: Plan) -> list[Reading]:
    if any(index(node, session.namespaces) is None for node in nodes.nodes):
        await _survey(session)  # a server may add its namespaces while it starts
    questions = session.questions.get(name)
    if questions is None:
        questions = session.questions[name] = _questions(session, nodes)
    readings = [_ABSENT] * len(nodes.nodes)
    for places, question in questions:
        answers = await session.client.uaclient.read(question)
        if len(answers) != len(places):
            raise ValueError(say("{count} results came for {nodes} nodes", count=len(answers), nodes=len(places)))
        for place, answer in zip(places, answers, strict=True):
            readings[place] = _reading(answer)
    return readings


def _questions(session: _Session, nodes: Plan) -> _Questions:
    known = {
        place: _node(node.identifier, number)
        for place, node in enumerate(nodes.nodes)
        if (number := index(node, session.namespaces)) is not None
    }
    return tuple(
        (block, _question(*(known[place] for place in block))) for block in blocks(tuple(known), session.limit)
    )


def _plain(answer: ua.DataValue) -> object:
    value = None if answer.Value is None else answer.Value.Value
    return value.Text if isinstance(value, ua.LocalizedText) else value


def _identity(said: Sequence[object]) -> Identity | None:
    """Give a server's own words; what is no text says nothing."""
    vendor, product, revision = (each if isinstance(each, str) else "" for each in said)
    return Identity(vendor, product, revision) if vendor or product else None


def _reading(answer: ua.DataValue) -> Reading:
    return Reading(
        value=_plain(answer),
        status=0 if answer.StatusCode is None else answer.StatusCode.value,
        source=_milliseconds(answer.SourceTimestamp),
        server=_milliseconds(answer.ServerTimestamp),
        single=answer.Value is not None and answer.Value.VariantType is ua.VariantType.Float,
    )


def _milliseconds(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // _MILLISECOND
