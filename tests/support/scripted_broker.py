"""An MQTT broker that does what a test tells it: it speaks the bytes by itself and knows no MQTT library.

It is for what no real broker does on request: any reason code, PUBACKs that never come, a link that breaks at a given
byte. Where nothing is scripted it behaves: CONNACK 0, PUBACK 0, PINGRESP, SUBACK.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14


@dataclass(frozen=True)
class Publish:
    """A PUBLISH as it came."""

    topic: str
    payload: bytes
    packet_id: int
    qos: int
    retain: bool
    dup: bool


@dataclass(frozen=True)
class Connect:
    """A CONNECT as it came."""

    version: int
    clean: bool
    keepalive: int
    client_id: str
    username: str | None
    password: str | None
    will: Publish | None
    max_packet: int | None
    """What MQTT 5 says of the largest packet that the client takes."""


@dataclass(frozen=True)
class Subscribe:
    """A SUBSCRIBE as it came."""

    topics: tuple[str, ...]
    packet_id: int


@dataclass
class Session:
    """One connection: what came, in order, and the means to answer."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connect: Connect | None = None
    publishes: list[Publish] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=list)
    disconnected: int | None = None
    """The reason code of the client's DISCONNECT."""
    ended: str = ""
    """How the connection ended: "closed" by a FIN, "reset" by an RST, or "cut" by us."""

    def send(self, kind: int, body: bytes = b"", flags: int = 0) -> None:
        self.writer.write(packet(kind, body, flags))

    def ack(self, publish: Publish, code: int = 0) -> None:
        """Send the PUBACK of a message; 3.1.1 has no codes."""
        body = struct.pack("!H", publish.packet_id)
        with_code = code and self.connect is not None and self.connect.version == 5
        self.send(PUBACK, body + bytes([code]) if with_code else body)

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send a message of QoS 0 to the client."""
        assert self.connect is not None
        name = topic.encode()
        nothing = b"\0" if self.connect.version == 5 else b""
        self.send(PUBLISH, struct.pack("!H", len(name)) + name + nothing + payload, flags=int(retain))

    def grant(self, subscribe: Subscribe, code: int = 1) -> None:
        """Send the SUBACK: a QoS granted, or from 0x80 on a refusal."""
        assert self.connect is not None
        nothing = b"\0" if self.connect.version == 5 else b""
        self.send(SUBACK, struct.pack("!H", subscribe.packet_id) + nothing + bytes([code] * len(subscribe.topics)))

    def dismiss(self, code: int) -> None:
        """Send a DISCONNECT of MQTT 5 and close."""
        self.send(DISCONNECT, bytes([code]))
        self.writer.close()

    def cut(self) -> None:
        """Reset the connection: the client gets an RST."""
        self.ended = "cut"
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def packet(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """Give a control packet: MQTT 5, 2.1."""
    length, head = len(body), bytearray([kind << 4 | flags])
    while True:
        length, digit = divmod(length, 128)
        head.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


def limits(
    *,
    receive_maximum: int | None = None,
    max_packet: int | None = None,
    retain: bool | None = None,
    max_qos: int | None = None,
    keepalive: int | None = None,
) -> bytes:
    """Give the properties of a CONNACK: MQTT 5, 3.2.2.3."""
    fields = (
        (0x21, "!H", receive_maximum),
        (0x27, "!I", max_packet),
        (0x25, "!B", retain),
        (0x24, "!B", max_qos),
        (0x13, "!H", keepalive),
    )
    return b"".join(bytes([number]) + struct.pack(form, value) for number, form, value in fields if value is not None)


def connack(version: int, code: int = 0, properties: bytes = b"") -> bytes:
    """Give a CONNACK of the client's version; `properties` (under 128 bytes) are MQTT 5's."""
    return packet(CONNACK, bytes([0, code]) + (bytes([len(properties)]) + properties if version == 5 else b""))


OnConnect = Callable[[Session, Connect], None]
OnPublish = Callable[[Session, Publish], None]
OnSubscribe = Callable[[Session, Subscribe], None]


def accept(session: Session, connect: Connect) -> None:
    """Let the client in, without limits."""
    session.writer.write(connack(connect.version))


def acknowledge(session: Session, publish: Publish) -> None:
    """Take a message."""
    if publish.qos:
        session.ack(publish)


def allow(session: Session, subscribe: Subscribe) -> None:
    """Grant QoS 1 to a subscription; nothing is ever sent to it by itself."""
    session.grant(subscribe)


class ScriptedBroker:
    """Listens on a free port of 127.0.0.1 as an async context manager; `sessions` holds every connection, in order.

    `on_connect`, `on_publish` and `on_subscribe` answer each CONNECT, PUBLISH and SUBSCRIBE, and may be changed while
    it runs.
    """

    def __init__(
        self,
        on_connect: OnConnect = accept,
        on_publish: OnPublish = acknowledge,
        on_subscribe: OnSubscribe = allow,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self.on_connect = on_connect
        self.on_publish = on_publish
        self.on_subscribe = on_subscribe
        self.sessions: list[Session] = []
        self.problems: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"{'mqtts' if self._tls else 'mqtt'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for session in self.sessions:
            session.writer.transport.abort()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()
        if self.problems:
            raise ExceptionGroup("the script failed", [e for e in self.problems if isinstance(e, Exception)])

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that came makes `condition` true; the test's own time limit ends a vain wait."""
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        session = Session(reader, writer)
        self.sessions.append(session)
        try:
            while True:
                head, body = await read_packet(reader)
                self._take(session, head, body)
                self._changed.set()
                await writer.drain()
        except asyncio.IncompleteReadError:
            session.ended = session.ended or "closed"
        except ConnectionError:
            session.ended = session.ended or "reset"
        except Exception as problem:  # noqa: BLE001  # a mistake in a script must fail its test
            self.problems.append(problem)
        finally:
            self._changed.set()
            writer.close()

    def _take(self, session: Session, head: int, body: bytes) -> None:
        kind = head >> 4
        if kind == CONNECT:
            session.connect = parse_connect(body)
            self.on_connect(session, session.connect)
        elif kind == PUBLISH:
            assert session.connect is not None
            publish = parse_publish(head, body, session.connect.version)
            session.publishes.append(publish)
            self.on_publish(session, publish)
        elif kind == SUBSCRIBE:
            self._subscribed(session, body)
        elif kind == PINGREQ:
            session.send(PINGRESP)
        elif kind == DISCONNECT:
            session.disconnected = body[0] if body else 0

    def _subscribed(self, session: Session, body: bytes) -> None:
        assert session.connect is not None
        (packet_id,), rest = struct.unpack_from("!H", body), body[2:]
        if session.connect.version == 5:
            rest = rest[1 + rest[0] :]
        topics: list[str] = []
        while rest:
            topic, rest = _text(rest)
            topics.append(topic)
            rest = rest[1:]
        session.subscriptions += topics
        self.on_subscribe(session, Subscribe(tuple(topics), packet_id))


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read a control packet: its first byte and its body."""
    head = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            return head, await reader.readexactly(length)


def parse_connect(body: bytes) -> Connect:
    """Read a CONNECT: MQTT 5, 3.1, and 3.1.1, 3.1. Properties are under 128 bytes here."""
    protocol, rest = _text(body)
    assert protocol == "MQTT"
    version, flags, keepalive = struct.unpack_from("!BBH", rest)
    properties, rest = rest[5 : 5 + rest[4]] if version == 5 else b"", _without_properties(rest[4:], version)
    client_id, rest = _text(rest)
    will = username = password = None
    if flags & 0x04:
        rest = _without_properties(rest, version)
        topic, rest = _text(rest)
        payload, rest = _binary(rest)
        will = Publish(topic, payload, 0, flags >> 3 & 3, bool(flags & 0x20), dup=False)
    if flags & 0x80:
        username, rest = _text(rest)
    if flags & 0x40:
        password, rest = _text(rest)
    assert not rest
    # All that a client of ours asks for; another property would be a surprise.
    assert not properties or (len(properties), properties[0]) == (5, 0x27)
    max_packet = struct.unpack("!I", properties[1:])[0] if properties else None
    return Connect(version, bool(flags & 2), keepalive, client_id, username, password, will, max_packet)


def parse_publish(head: int, body: bytes, version: int) -> Publish:
    """Read a PUBLISH: MQTT 5, 3.3."""
    topic, rest = _text(body)
    qos, packet_id = head >> 1 & 3, 0
    if qos:
        packet_id, rest = struct.unpack_from("!H", rest)[0], rest[2:]
    payload = _without_properties(rest, version)
    return Publish(topic, payload, packet_id, qos, bool(head & 1), bool(head & 8))


def _without_properties(data: bytes, version: int) -> bytes:
    return data[1 + data[0] :] if version == 5 else data


def _binary(data: bytes) -> tuple[bytes, bytes]:
    end = 2 + struct.unpack_from("!H", data)[0]
    return data[2:end], data[end:]


def _text(data: bytes) -> tuple[str, bytes]:
    text, rest = _binary(data)
    return text.decode(), rest
