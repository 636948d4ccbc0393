"""One session with an OPC UA server: opened and closed, what it is limited to, and the Read service in blocks.

Reading is all it does: no write, no method call. The library's own reconnecting stays off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from parkgate.config.language import say
from parkgate.config.site import Line
from parkgate.drivers.opcua.codec import BAD_NODE_ID_UNKNOWN, Reading
from parkgate.drivers.opcua.plan import Plan, blocks, index
from parkgate.drivers.opcua.secure import LIBRARY, SecureClient

_KEEPALIVE_S = 20.0
"""How often the library asks for the server's state: it keeps a slowly polled session and finds a dead one."""

_CLOSE_S = 1.0
"""The longest that leaving waits for the server."""

SESSION_MS = 60_000
"""How long a server keeps the session of a gateway that lost its power: small servers have few to give."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_ABSENT = Reading(None, BAD_NODE_ID_UNKNOWN)


def node_id(identifier: Any, namespace: Any = 0) -> ua.NodeId:
    """Give a node id of the library, which annotates with marker classes of its own, but takes plain values."""
    return ua.NodeId(identifier, namespace)


def question(*nodes: ua.NodeId) -> ua.ReadParameters:
    """Give a Read of the values of nodes as they are now, not as the server remembers them."""
    return ua.ReadParameters(
        MaxAge=0,
        TimestampsToReturn=ua.TimestampsToReturn.Both,
        NodesToRead=[ua.ReadValueId(NodeId=node, AttributeId=AttributeIds.Value) for node in nodes],
    )


_SURVEY = question(
    node_id(ObjectIds.Server_NamespaceArray),
    node_id(ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead),
    node_id(ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall),
)

_Questions = tuple[tuple[Sequence[int], ua.ReadParameters], ...]


@dataclass(slots=True)
class Session:
    """An open session: the server's namespaces, its limits of nodes a Read and of monitored items a call (0: none)."""

    client: Client
    namespaces: Mapping[str, int] = field(default_factory=dict)
    limit: int = 0
    items: int = 0
    _nodes: dict[str, Mapping[int, ua.NodeId]] = field(default_factory=dict)
    _questions: dict[str, _Questions] = field(default_factory=dict)

    @property
    def connected(self) -> bool:
        """Tell whether the connection stands, as far as this end knows."""
        protocol = self.client.uaclient.protocol
        return protocol is not None and not protocol.is_closed

    async def survey(self) -> None:
        """Learn the server's namespaces and its limits, in one Read."""
        namespaces, *limits = map(plain, await self.client.uaclient.read(_SURVEY))
        uris = [*enumerate(namespaces)] if isinstance(namespaces, list) else []
        self.namespaces = {uri: number for number, uri in reversed(uris)}
        self.limit, self.items = (most if isinstance(most, int) else 0 for most in limits)
        self._nodes.clear()
        self._questions.clear()

    async def look(self, plan: Plan) -> None:
        """Look again where the server lacks a namespace of a plan: it may add some while it starts."""
        if any(index(node, self.namespaces) is None for node in plan.nodes):
            await self.survey()

    def nodes(self, name: str, plan: Plan) -> Mapping[int, ua.NodeId]:
        """Give the nodes of an instrument's plan that the server may have: those whose namespaces it has."""
        if name not in self._nodes:
            numbers = ((place, node, index(node, self.namespaces)) for place, node in enumerate(plan.nodes))
            self._nodes[name] = {
                place: node_id(node.identifier, number) for place, node, number in numbers if number is not None
            }
        return self._nodes[name]

    async def cycle(self, name: str, plan: Plan) -> list[Reading]:
        """Ask all nodes of an instrument; of one that the server cannot have, say so."""
        await self.look(plan)
        if name not in self._questions:
            nodes = self.nodes(name, plan)
            self._questions[name] = self._asking(nodes, tuple(nodes))
        return _placed(await self._answers(self._questions[name]), len(plan.nodes))

    async def once(self, nodes: Mapping[int, ua.NodeId], count: int) -> list[Reading]:
        """Ask all of an instrument's `count` nodes that the server may have, and keep no question for a next time."""
        return _placed(await self._answers(self._asking(nodes, tuple(nodes))), count)

    async def read(self, nodes: Mapping[int, ua.NodeId], places: Collection[int]) -> list[tuple[int, Reading]]:
        """Ask some of an instrument's nodes, by index into its plan."""
        return await self._answers(self._asking(nodes, sorted(places)))

    def _asking(self, nodes: Mapping[int, ua.NodeId], places: Sequence[int]) -> _Questions:
        return tuple((block, question(*(nodes[place] for place in block))) for block in blocks(places, self.limit))

    async def _answers(self, questions: _Questions) -> list[tuple[int, Reading]]:
        readings: list[tuple[int, Reading]] = []
        for places, asked in questions:
            answers = await self.client.uaclient.read(asked)
            if len(answers) != len(places):
                raise ValueError(say("{count} results came for {nodes} nodes", count=len(answers), nodes=len(places)))
            readings += zip(places, map(reading_of, answers), strict=True)
        return readings


def _placed(answers: Iterable[tuple[int, Reading]], count: int) -> list[Reading]:
    readings = [_ABSENT] * count
    for place, reading in answers:
        readings[place] = reading
    return readings


@dataclass(frozen=True, slots=True)
class Remains:
    """A session that could not be closed, and what is needed to close it on another connection."""

    token: ua.NodeId
    nonce: Any
    policies: list[ua.UserTokenPolicy]


class SessionClient(SecureClient):
    """The library's client, which can take up a session that another one had to leave."""

    def remains(self) -> Remains:
        """Give the session for another client."""
        return Remains(self.uaclient.session.authentication_token, self._server_nonce, self._policy_ids)

    async def bury(self, remains: Remains) -> None:
        """Take up a session on a connection of its own (OPC 10000-4, 5.7.3), so that leaving this client closes it.

        Raises:
            OSError, UaError: as the library has them; the server has no such session any more, or there is no server.

        """
        await self.connect_sessionless()
        self.uaclient.session.restore_authentication_token(remains.token)
        self._server_nonce, self._policy_ids = remains.nonce, remains.policies
        await self.activate_session(self._username, self._password, self.user_certificate)


def client_of(line: Line, url: str) -> SessionClient:
    """Prepare the library's client for a line, without security so far."""
    client = SessionClient(url, timeout=line.timeout / 1_000, watchdog_intervall=_KEEPALIVE_S, auto_reconnect=False)
    client.name = "Parkgate"
    client.description = f"Parkgate {line.name}"
    client.application_uri = "urn:parkgate:gateway"
    client.product_uri = "urn:parkgate"
    client.session_timeout = SESSION_MS
    return client


async def close(client: SessionClient) -> Remains | None:
    """Close the session with its subscriptions, the channel and the socket; a server that is gone is not waited for.

    Gives the session where the server was not told: small servers have few to give, and keep them for a while.
    """
    protocol = client.uaclient.protocol
    remains = client.remains() if client.uaclient.session.has_session else None
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                if remains and protocol is not None and not protocol.is_closed:
                    told = await _close_session(client)
                    remains = None if told and not protocol.is_closed else remains
                await client.disconnect()
    finally:
        # The library forgets the socket when it has given up the connection before, or was cancelled while connecting.
        if protocol is not None and protocol.transport is not None:
            protocol.transport.abort()
        await asyncio.sleep(0)  # one turn of the loop closes the socket
    return remains


async def _close_session(client: SessionClient) -> bool:
    """Close the session on the server; tell whether it had an answer, which may be that there is nothing to close."""
    try:
        await client.close_session()
    except OSError:
        return False
    except LIBRARY:
        return True
    return True


def plain(answer: ua.DataValue) -> object:
    """Give the value of an answer; of a localized text its text."""
    value = None if answer.Value is None else answer.Value.Value
    return value.Text if isinstance(value, ua.LocalizedText) else value


def reading_of(answer: ua.DataValue) -> Reading:
    """Give an answer as plain Python."""
    return Reading(
        value=plain(answer),
        status=0 if answer.StatusCode is None else answer.StatusCode.value,
        source=_milliseconds(answer.SourceTimestamp),
        server=_milliseconds(answer.ServerTimestamp),
        single=answer.Value is not None and answer.Value.VariantType is ua.VariantType.Float,
    )


def _milliseconds(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // _MILLISECOND
