"""Instruments, a bare asyncua server and a wire between them that can be held, for the tests of OPC UA."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from asyncua import Server, ua

from parkgate.config.profile import Point, State
from parkgate.config.site import Instrument, Line

URI = "urn:test:park"
T0 = 1_763_890_000_123


def point(name, kind="double", at=None, **more):
    return Point(name=name, type=kind, at=at or f"nsu={URI};s={name}", **more)


def state(at="Health", equals=1, flag="fault", **more):
    return State(at=f"nsu={URI};s={at}", equals=equals, flag=flag, **more)


def instrument(*points, states=(), name="tank-1", every=1_000, **more):
    return Instrument(
        name=name, line="dcs", every=every, profile="p", protocol="opcua", points=points, states=tuple(states), **more
    )


def followed(*points, every=50, **more):
    """Give an instrument whose changes the server tells."""
    return instrument(*points, every=every, acquisition="subscription", **more)


def line(url, timeout=5_000):
    return Line(name="dcs", url=url, security="none", timeout=timeout)


def moment(milliseconds):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def datavalue(value, kind=None, status=0, source=T0, server=T0):
    return ua.DataValue(
        ua.Variant(value, kind),
        StatusCode=ua.StatusCode(status),
        SourceTimestamp=None if source is None else moment(source),
        ServerTimestamp=None if server is None else moment(server),
    )


class Bare:
    """An asyncua server with nothing of ours in it: `put` makes a node hold any DataValue, `write` tells of it too."""

    def __init__(self, server, space, url):
        self.server, self.space, self.url = server, space, url

    async def put(self, name, value):
        node = ua.NodeId(name, self.space)
        if self.server.iserver.aspace.get(node) is None:
            await self.server.nodes.objects.add_variable(node, ua.QualifiedName(name, self.space), value.Value.Value)
        self.server.set_attribute_value_callback(node, lambda *_: value)

    async def write(self, **values):
        for name, value in values.items():
            node, named = ua.NodeId(name, self.space), ua.QualifiedName(name, self.space)
            if self.server.iserver.aspace.get(node) is None:
                first = value.Value
                await self.server.nodes.objects.add_variable(node, named, first.Value, first.VariantType)
            await self.server.write_attribute_value(node, value)

    async def until_no_client(self):
        while self.server.bserver.clients or self.sessions:
            await asyncio.sleep(0.001)

    @property
    def sessions(self):
        return len(self.server.iserver._external_sessions)


@asynccontextmanager
async def bare(port=0, prepare=None):
    server = Server()
    await server.init()
    server.disable_clock()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/bare")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    if prepare is not None:
        prepare(server)
    space = await server.register_namespace(URI)
    async with server:
        park = Bare(server, space, f"opc.tcp://127.0.0.1:{server.bserver.port}/bare")
        yield park
        server.bserver._server.close()  # nobody comes again
        for client in tuple(server.bserver.clients):
            client.transport.close()
        for session in tuple(server.iserver._external_sessions.values()):
            await session.close_session()  # one that has subscriptions would outlive its connection
        await park.until_no_client()


class Wire:
    """A TCP relay to a server: `hold()` keeps back what the server says until the next question, `cut()` for good.

    `sever()` closes its connections, as a network does that goes down; new ones may be made.
    """

    def __init__(self, target):
        self._target = urlsplit(target)
        self._held = []
        self._holding = self._dead = False
        self._tasks = set()
        self._ends = []

    def hold(self):
        self._holding = True

    def cut(self):
        self._dead = True

    def sever(self):
        while self._ends:
            self._ends.pop().transport.abort()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.url = f"opc.tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._target.path}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._ends += [writer, back]
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._questions(reader, back, writer))
                both.create_task(self._answers(there, writer))
        finally:
            writer.close()
            back.close()

    async def _questions(self, reader, back, writer):
        while data := await reader.read(1 << 16):
            if self._held:
                self._holding = False
                writer.write(b"".join(self._held))
                self._held.clear()
            if not self._dead:
                back.write(data)
        back.close()

    async def _answers(self, there, writer):
        while data := await there.read(1 << 16):
            if self._holding:
                self._held.append(data)
            elif not self._dead:
                writer.write(data)
        writer.close()
