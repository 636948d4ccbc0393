"""OPC UA instruments that are not there: a server with the nodes of a line's instruments, for anonymous clients."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from types import MappingProxyType, TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.common.node import Node
from asyncua.server.server import Server
from asyncua.ua.status_codes import StatusCodes

from parkgate.config.language import say
from parkgate.config.profile import Point
from parkgate.config.site import Instrument
from parkgate.drivers.identity import MAKER, SERVER
from parkgate.drivers.opcua.codec import encode, words
from parkgate.drivers.opcua.plan import NodeAddress, Plan, endpoint, plan
from parkgate.simulator.certificate import self_signed
from parkgate.simulator.episode_checks import Serve
from parkgate.simulator.trouble import Trouble

# The library logs what clients do and each trouble with tracebacks; a simulator's output is its table.
logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)

_PLAIN = Serve()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OFFERED = ("Basic256Sha256_", "Aes128Sha256RsaOaep_", "Aes256Sha256RsaPss_")
_APPLICATION = "urn:parkgate:simulator"
_TYPES = MappingProxyType(
    {
        "bool": ua.VariantType.Boolean,
        "int16": ua.VariantType.Int16,
        "int32": ua.VariantType.Int32,
        "int64": ua.VariantType.Int64,
        "uint16": ua.VariantType.UInt16,
        "uint32": ua.VariantType.UInt32,
        "uint64": ua.VariantType.UInt64,
        "float32": ua.VariantType.Float,
        "float64": ua.VariantType.Double,
        "double": ua.VariantType.Double,
    }
)
_STATUSES = MappingProxyType(
    {
        "missing": StatusCodes.BadNodeIdUnknown,
        "bad": StatusCodes.BadSensorFailure,
        "uncertain": StatusCodes.UncertainSensorNotAccurate,
    }
)
"""What a node's status says under a trouble (OPC 10000-4, 7.39); a reader of a node that is gone gets no more."""
_SEVERITY = 0xC000_0000
_STATE_TYPE = "int32"
"""Of a state whose profile names no type: what OPC UA's enumerations are (OPC 10000-3, 8.14)."""


@dataclass(frozen=True, slots=True)
class _Held:
    """One node: its id, and the point whose type it holds; a state is held as a point without a scale."""

    node: ua.NodeId
    point: Point
    kind: ua.VariantType


class OpcUaPlant:
    """An OPC UA server for the instruments of one line, with one object an instrument and one variable a node.

    `url` is where it listens: the one given, or with the port that was free if the one given was 0. Until an
    instrument's first `update` its nodes have the status BadWaitingForInitialData. It is entered once.

    Raises:
        Unusable: the URL or a node id cannot be used; when it is made.
        OSError: the port is in use, or the host is not this computer; when entering.

    """

    def __init__(self, url: str, instruments: Sequence[Instrument], serve: Serve = _PLAIN) -> None:
        self.url = endpoint(url, where=say("simulated OPC UA line"))
        self._serve = serve
        self._plans = {instrument.name: (instrument, plan(instrument)) for instrument in instruments}
        self._held: dict[str, tuple[_Held, ...]] = {}
        self._server = Server()
        self._behind = False

    @property
    def address(self) -> tuple[str, int]:
        """Where the server itself listens, behind a link or not: host and port."""
        parts = urlsplit(self.url)
        port = self._server.bserver.port if self._server.bserver is not None else parts.port
        return parts.hostname or "127.0.0.1", int(port or 0)

    def stand_behind(self, port: int) -> None:
        """Tell clients that it listens on a port, where a link stands, and listen on another one; before entering."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition(":")[0] if parts.port is not None else parts.netloc
        self.url = parts._replace(netloc=f"{host}:{port}").geturl()
        self._behind = True

    async def __aenter__(self) -> Self:
        """Make the nodes and listen."""
        server = self._server
        await _prepare(server, self.url, self._serve)
        for instrument, nodes in self._plans.values():
            self._held[instrument.name] = await _populate(server, instrument, nodes)
        parts = urlsplit(self.url)
        try:
            server.socket_address = await _bind_address(parts.hostname, 0 if self._behind else parts.port)
            await server.start()
            await self._keep_history()
        except OSError as error:
            reason = error.strerror or str(error)
            raise OSError(error.errno, say("cannot listen at {url}: {reason}", url=self.url, reason=reason)) from error
        if parts.port == 0 and server.bserver is not None:
            self.url = parts._replace(netloc=f"{parts.netloc.removesuffix(':0')}:{server.bserver.port}").geturl()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all sessions and stop listening."""
        await self._server.stop()

    def silence(self, *, on: bool) -> None:
        """Let the subscriptions of clients say nothing, no sign of life either, or (`on=False`) what they have."""
        for subscription in self._server.iserver.subscription_service.subscriptions.values():
            if subscription.pub_request_callback is None:  # the server's own, for history
                continue
            if on:  # the library has no other way to hold them back
                subscription.has_published_results = lambda: False  # type: ignore[method-assign]
            elif "has_published_results" in vars(subscription):
                del subscription.has_published_results

    async def _keep_history(self) -> None:
        if self._serve.history is not None:
            every = [self._server.get_node(held.node) for of_one in self._held.values() for held in of_one]
            await self._server.historize_node_data_change(every, timedelta(milliseconds=self._serve.history))

    async def update(
        self,
        instrument_name: str,
        at_ms: int,
        values: Mapping[str, float | int | str | None],
        states: Sequence[int],
        troubles: Sequence[Trouble] = (),
    ) -> None:
        """Write all nodes of an instrument with one source time.

        `at_ms` is that time (milliseconds UTC); `values` are by point name, in the point's unit; None or a missing name
        leaves the node without a value (BadNoData). `states` are the readings of the states, in their order. `troubles`
        give nodes a status that is not good.

        Raises:
            KeyError: there is no such instrument.

        """
        instrument, nodes = self._plans[instrument_name]
        shown: dict[int, float | int | str | None] = {**words(instrument.states, states, nodes)}
        shown |= {place: values.get(point.name) for place, point in zip(nodes.points, instrument.points, strict=True)}
        time = _EPOCH + timedelta(milliseconds=at_ms)
        names = {place: point.name for place, point in zip(nodes.points, instrument.points, strict=True)}
        for place, held in enumerate(self._held[instrument_name]):
            status = next((s for kind, s in _STATUSES.items() if _hit(troubles, kind, names.get(place))), None)
            await self._server.write_attribute_value(held.node, _stamped(held, shown[place], time, status))


def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))


def _node(identifier: Any, namespace: Any) -> ua.NodeId:
    # Any: the library annotates with marker classes of its own, but takes plain numbers, texts, GUIDs and bytes.
    return ua.NodeId(identifier, namespace)


def _hit(troubles: Sequence[Trouble], kind: str, point: str | None) -> bool:
    """Tell whether a trouble of a kind has a point; one that names no point has every point, and no state."""
    return point is not None and any(
        each.kind == kind and (not each.points or point in each.points) for each in troubles
    )


def _stamped(held: _Held, value: float | str | None, time: Any, status: int | None = None) -> ua.DataValue:
    raw = encode(held.point, value)
    if status is not None and status & _SEVERITY == StatusCodes.Bad:
        return ua.DataValue(StatusCode=_status(status), SourceTimestamp=time, ServerTimestamp=time)
    if status is not None and raw is not None:
        told = _status(status)
        return ua.DataValue(ua.Variant(raw, held.kind), told, SourceTimestamp=time, ServerTimestamp=time)
    if raw is None:
        return ua.DataValue(StatusCode=_status(StatusCodes.BadNoData), SourceTimestamp=time, ServerTimestamp=time)
    return ua.DataValue(ua.Variant(raw, held.kind), SourceTimestamp=time, ServerTimestamp=time)


async def _prepare(server: Server, url: str, serve: Serve) -> None:
    server.name = SERVER
    server.manufacturer_name = MAKER
    server.product_uri = _APPLICATION
    server.application_type = ua.ApplicationType.Server
    await server.init()
    revision = version("parkgate")
    await server.set_build_info(_APPLICATION, MAKER, SERVER, revision, revision, datetime.now(UTC))
    await server.set_application_uri(_APPLICATION)
    server.set_endpoint(url)
    policies = [ua.SecurityPolicyType.NoSecurity]
    if serve.security:
        policies += [each for each in ua.SecurityPolicyType if each.name.startswith(_OFFERED)]
        host = urlsplit(url).hostname or "localhost"
        certificate, key = self_signed(_APPLICATION, host, expired=serve.certificate == "expired")
        await server.load_certificate(certificate, "der")
        await server.load_private_key(key, format="pem")
    server.set_security_policy(policies)
    server.set_identity_tokens([ua.AnonymousIdentityToken])


async def _bind_address(host: str | None, port: int | None) -> tuple[str, int]:
    """Resolve a host to one address to listen on: a name like localhost has several, each with a port 0 of its own."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    address, number, *_ = found[0][4]
    return str(address), int(number)


async def _populate(server: Server, instrument: Instrument, nodes: Plan) -> tuple[_Held, ...]:
    folder = await server.nodes.objects.add_object(
        _node(f"instrument {instrument.name}", 1), ua.QualifiedName(instrument.name, 1)
    )
    states = (Point(name=f"state_{n}", at=s.at, type=s.type or _STATE_TYPE) for n, s in enumerate(instrument.states, 1))
    points: dict[int, Point] = {}
    for place, point in zip((*nodes.points, *nodes.states), (*instrument.points, *states), strict=True):
        points.setdefault(place, point)
    return tuple([await _add(server, folder, nodes.nodes[place], point) for place, point in sorted(points.items())])


async def _add(server: Server, folder: Node, address: NodeAddress, point: Point) -> _Held:
    number = await _namespace(server, address.namespace)
    kind = _TYPES.get(point.type, ua.VariantType.String)
    node = _node(address.identifier, number)
    empty = encode(point, 0)
    if server.iserver.aspace.get(node) is None:
        await folder.add_variable(node, ua.QualifiedName(point.name, number), empty, kind)
    waiting = _status(StatusCodes.BadWaitingForInitialData)
    now: Any = datetime.now(UTC)  # Any: as for _node
    await server.write_attribute_value(node, ua.DataValue(StatusCode=waiting, SourceTimestamp=now, ServerTimestamp=now))
    return _Held(node, point, kind)


async def _namespace(server: Server, namespace: int | str) -> int:
    """Give the index of a namespace, known from now on; an index that a profile names outright gets a URI made up."""
    if isinstance(namespace, str):
        return await server.register_namespace(namespace)
    while len(await server.get_namespace_array()) <= namespace:
        await server.register_namespace(f"{_APPLICATION}:{len(await server.get_namespace_array())}")
    return namespace
