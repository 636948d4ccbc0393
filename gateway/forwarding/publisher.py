"""One connection to a broker, from CONNECT to its end: paho-mqtt on the running loop, without a network thread.

Rows are in the outbox, so paho keeps nothing: a fresh client each time, clean start, no resending, no queue. What has
no PUBACK when the connection is gone, the caller sends again through the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, error_string
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from parkgate.config.language import say
from parkgate.config.site import Uplink
from parkgate.gateway.forwarding.credentials import Door, read_password
from parkgate.gateway.forwarding.dialect import NEWEST, Dialect
from parkgate.gateway.forwarding.dialing import aside
from parkgate.gateway.forwarding.refusals import (
    UplinkFault,
    dismissed,
    hung_up,
    link_lost,
    no_address,
    no_answer,
    refused,
    unconfirmed,
    unreachable,
)
from parkgate.gateway.forwarding.wire import GOODBYE_S, Wire

OnAck = Callable[[int, int], None]
"""Called with packet id and reason code of each PUBACK (0 in MQTT 3.1.1): below 0x80 is delivered, no other is."""

_KEEPALIVE_S = 30
_LARGEST_HEARD = 65_536
"""Bytes of the largest packet that we take from a broker: all we listen to is our own status."""
_PUBLISH_OVERHEAD = 10  # fixed header 5 at most, lengths of topic and properties 3, packet id 2
_UNSPECIFIED = 0x80
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the broker allows (MQTT 5, 3.2.2.3).

    `version` is 5, or 4 for MQTT 3.1.1, where a refused message looks like a delivered one. `window` is how many
    messages may wait for their PUBACK; `max_packet` the largest packet in bytes; `keepalive` in seconds.
    """

    version: int
    window: int
    max_packet: int | None
    retain: bool
    max_qos: int
    keepalive: int


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, retained and with QoS 1, if we vanish without a DISCONNECT."""

    topic: str
    payload: bytes


def _name_every_puback() -> None:
    """Let paho read every PUBACK code: one that MQTT 5 does not know would end connection after connection in it.

    Brokers send such codes (some answer with those of CONNACK); the row they refuse must not hold up the others.
    """
    names = {code: dict(known) for code, known in ReasonCode.names.items()}
    for code in range(256):
        if not any(PacketTypes.PUBACK in packets for packets in names.setdefault(code, {}).values()):
            names[code][f"0x{code:02X}"] = [PacketTypes.PUBACK]
    ReasonCode.names = names


_name_every_puback()


class TooLarge(ValueError):
    """The packet would pass the broker's Maximum Packet Size, which would end the connection."""


class _Ear(logging.Logger):
    """Keeps the error that closed paho's socket; paho tells it to its logger and to nobody else."""

    def __init__(self) -> None:
        super().__init__("paho", logging.ERROR)
        self.heard: OSError | None = None

    def log(self, level: int, msg: object, *args: object, **_options: Any) -> None:  # noqa: ARG002  # paho's call
        if level >= logging.ERROR and args and isinstance(args[0], OSError):
            self.heard = args[0]


class Publisher:
    """One connection's life: `connect` once, `publish` while it lasts, `lost` when it is over, `disconnect` to leave.

    Made on a running loop; everything is called there, and `on_ack` is called there. A packet's `on_ack` never comes
    before `publish` returned its id, and never after those who wait for `lost` are told.

    `lost` completes once: with the fault that ended the connection, with None after `disconnect`, or with an exception
    that `on_ack` raised. `patience` (seconds) is for opening the connection, and again for the broker's CONNACK.
    """

    def __init__(
        self,
        uplink: Uplink,
        client_id: str,
        will: Will,
        *,
        on_ack: OnAck,
        dialect: Dialect = NEWEST,
        door: Door | None = None,
        patience: float = 10.0,
    ) -> None:
        self._uplink = uplink
        self._client_id = client_id
        self._on_ack = on_ack
        self._door = door or Door(uplink)
        self._version = dialect.version
        self._patience = patience
        url = urlsplit(uplink.url)
        self._tls = url.scheme == "mqtts"
        self._host, self._port = url.hostname or "", url.port or _PORTS[url.scheme]
        self._where = say('uplink "{name}" ({host}:{port})', name=uplink.name, host=self._host, port=self._port)
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[UplinkFault | None] = loop.create_future()
        self._answer: asyncio.Future[Accepted | UplinkFault] = loop.create_future()
        self._accepted: Accepted | None = None
        self._in_flight = 0
        self._acks: deque[tuple[int, int]] = deque()
        self._leaving = False
        self._ear = _Ear()
        self._client = self._new_client(will, dialect)
        self._wire = Wire(self._client, self._after_step)

    def _new_client(self, will: Will, dialect: Dialect) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if dialect.version == MQTTProtocolVersion.MQTTv5 else True,
            protocol=MQTTProtocolVersion(dialect.version),
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._patience
        client.max_inflight_messages_set(0)  # no limit of paho's: the window is ours, and nothing may queue inside
        client.will_set(will.topic, will.payload, dialect.will_qos, dialect.will_retain)
        client.enable_logger(self._ear)
        return client

    async def connect(self) -> Accepted:
        """Open the connection and wait until the broker accepts it; to be called once.

        Raises:
            NotReached: no connection, or no CONNACK in time; `HungUp` if it was closed before CONNACK.
            UplinkFault: any other of the tree, as the broker or TLS said.

        """
        try:
            answer = await self._ask()
        except BaseException as error:  # a cancelled connect leaves no socket either
            self._end(error if isinstance(error, UplinkFault) else None)
            raise
        if answer.max_qos < 1:
            await self.disconnect()
            raise unconfirmed(where=self._where)
        self._accepted = answer
        return answer

    async def _ask(self) -> Accepted:
        """Open the socket, write CONNECT, and give the broker's answer; a refusal is raised."""
        try:
            async with asyncio.timeout(self._patience):
                await aside(self._dial, undo=self._wire.close, name=f"dial-{self._uplink.name}")
            self._listen()
            async with asyncio.timeout(self._patience):
                answer = await self._answer
        except TimeoutError as error:
            raise no_answer(self._patience, where=self._where) from error
        except OSError as error:
            raise unreachable(error, where=self._where, host=self._host, port=self._port) from error
        except ValueError as error:
            raise no_address(error, where=self._where) from error
        if isinstance(answer, UplinkFault):
            raise answer
        return answer

    def _dial(self) -> None:
        """Connect, in a thread: no hook is set yet, so paho writes CONNECT itself and calls nothing of ours."""
        if self._uplink.username is not None:
            secret = self._uplink.password
            password = None if secret is None else read_password(secret, where=self._where)
            self._client.username_pw_set(self._uplink.username, password)
        if self._tls:
            self._client.tls_set_context(self._door.context(where=self._where))
        options: dict[str, Any] = {}
        if self._version == MQTTProtocolVersion.MQTTv5:
            asked = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
            asked.MaximumPacketSize = _LARGEST_HEARD
            options = {"clean_start": True, "properties": asked}
        self._client.connect(self._host, self._port, _KEEPALIVE_S, **options)

    def _listen(self) -> None:
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        if not self._wire.attach():
            self._finish(self._hung_up())

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hand a message of QoS 1 to the socket and give its packet id; its PUBACK comes to `on_ack`.

        A broker without retained messages gets it without the mark.

        Raises:
            LinkLost: there is no accepted connection (any more).
            TooLarge: the broker does not take a packet of this size.
            RuntimeError: the window is full, or the packet id still waits for its PUBACK: the caller's count is wrong.

        """
        accepted = self._accepted
        if accepted is None or self.lost.done():
            raise self._gone()
        if self._in_flight >= accepted.window:
            raise RuntimeError(f"{self._in_flight} messages already wait for their PUBACK")
        if accepted.max_packet is not None:
            size = len(topic.encode()) + len(payload) + _PUBLISH_OVERHEAD
            if size > accepted.max_packet:
                raise TooLarge(f"{topic}: {size} > {accepted.max_packet} bytes")
        sent = self._client.publish(topic, payload, 1, retain and accepted.retain)
        if sent.rc:
            raise RuntimeError(error_string(sent.rc))
        self._in_flight += 1
        return sent.mid

    def subscribe(self, topic: str, heard: Callable[[bytes], None], answered: Callable[[], None]) -> None:
        """Listen to a topic with QoS 1: `heard` is told each payload, `answered` that the broker has answered."""

        def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
            heard(bytes(message.payload))

        self._client.on_message = on_message
        self._client.on_subscribe = lambda *_: answered()
        self._client.subscribe(topic, 1)

    async def disconnect(self) -> None:
        """Leave cleanly: what was published goes out, then DISCONNECT 0x00, so that the will is not raised.

        PUBACKs are not waited for; whoever wants them leaves later.
        """
        if not self.lost.done() and self._client.socket() is not None:
            self._leaving = True
            self._wire.leave()
            await asyncio.wait([self.lost], timeout=GOODBYE_S)
        self._end(self._gone())
        await self._wire.hear_out()

    def abort(self) -> None:
        """Close without a DISCONNECT, so that the broker raises the will."""
        self._end(self._gone())

    def _after_step(self, failure: Exception | None) -> None:
        """Tell the PUBACKs that paho read, outside of paho: `on_ack` may publish, or fail."""
        if failure is not None:
            self._end(link_lost(repr(failure), where=self._where))
        try:
            while self._acks:
                self._in_flight -= 1
                self._on_ack(*self._acks.popleft())
        except Exception as error:  # noqa: BLE001 - the boundary to the caller, who gets it from `lost`
            self._end(error)

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, limits: Properties | None
    ) -> None:
        if reason.value != 0:
            self._finish(refused(reason.value, str(reason), where=self._where, client_id=self._client_id))
        elif not self._answer.done():
            self._door.remember(client.socket())
            self._answer.set_result(
                Accepted(
                    version=self._version,
                    window=min(self._uplink.window, getattr(limits, "ReceiveMaximum", 65_535)),
                    max_packet=getattr(limits, "MaximumPacketSize", None),
                    retain=bool(getattr(limits, "RetainAvailable", 1)),
                    max_qos=getattr(limits, "MaximumQoS", 2),
                    keepalive=client.keepalive,  # the server's, if it gave one
                )
            )

    def _on_publish(
        self, _client: Client, _data: object, packet_id: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        self._acks.append((packet_id, reason.value))

    def _on_disconnect(
        self, _client: Client, _data: object, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        """End it; paho may tell this twice."""
        if self._leaving:
            self._finish(None)
        elif flags.is_disconnect_packet_from_server:
            self._finish(dismissed(reason.value, str(reason), where=self._where, client_id=self._client_id))
        elif self._answer.done():
            closed = reason.value == _UNSPECIFIED  # nothing else is known
            cause = self._ear.heard or (say("the broker closed it") if closed else reason)
            self._finish(link_lost(cause, where=self._where))
        else:
            self._finish(self._hung_up())

    def _end(self, outcome: Exception | None) -> None:
        self._wire.close()
        self._finish(outcome)

    def _finish(self, outcome: Exception | None) -> None:
        """Tell whoever waits; only the first outcome counts."""
        if not self._answer.done():
            self._answer.set_result(outcome if isinstance(outcome, UplinkFault) else self._gone())
        if self.lost.done():
            return
        if outcome is None or isinstance(outcome, UplinkFault):
            self.lost.set_result(outcome)
        else:
            self.lost.set_exception(outcome)

    def _hung_up(self) -> UplinkFault:
        return hung_up(self._ear.heard, where=self._where, port=self._port, tls=self._tls)

    def _gone(self) -> UplinkFault:
        return link_lost(say("there is no connection"), where=self._where)
