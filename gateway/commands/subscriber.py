"""A subscriber for people's verbs: what a broker holds and receives, one message after the other."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from parkgate.config.language import say
from parkgate.drivers.faults import Unreachable

EVERYTHING = "+/v1/#"
"""Every gateway of every prefix."""
PORTS = {"mqtt": 1883, "mqtts": 8883}
_ANSWER = 10.0
_RETRY = 5
_BAD_VERSION = 0x84


class Message(NamedTuple):
    """One message; `retained` tells a copy that the broker kept from one that was just published."""

    topic: str
    payload: bytes
    retained: bool


class Subscriber:
    """A subscription to a broker, `mqtt://` or `mqtts://` with `user:password@` where it asks for one.

    Entering connects, by MQTT 5 or else 3.1.1, and subscribes with QoS 1; a connection lost later is opened again;
    `connected` says how it stands. Callbacks come on paho's thread; everything is handed to the loop that entered.

    Raises:
        Unreachable: no connection, or the broker refused it or the subscription.

    """

    def __init__(self, url: str, topics: str = EVERYTHING) -> None:
        parts = urlsplit(url)
        self.where = f"{parts.scheme}://{parts.hostname}:{parts.port or PORTS.get(parts.scheme, 1883)}"
        self._parts = parts
        self._topics = topics
        self._queue: asyncio.Queue[Message] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop
        self._answer: asyncio.Future[int]
        self._client: Client
        self.connected = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        code = await self._open(MQTTv5)
        if code in {_BAD_VERSION, None}:
            code = await self._open(MQTTv311)
        if code is None:
            raise self._unreachable(say("the broker closes the connection or does not answer"))
        if code:
            raise self._unreachable(say("the broker refuses with 0x{code:02X}", code=code))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def messages(self) -> AsyncIterator[Message]:
        """Give every message as it comes, the retained ones first; for ever."""
        while True:
            yield await self._queue.get()

    async def _open(self, version: MQTTProtocolVersion) -> int | None:
        """Connect and subscribe: 0, the broker's reason for a refusal, or None if it just closed the connection."""
        self._answer = self._loop.create_future()
        self._client = self._new_client(version)
        port = self._parts.port or PORTS.get(self._parts.scheme, 1883)
        try:
            await asyncio.to_thread(self._client.connect, self._parts.hostname or "", port)
        except (OSError, ValueError) as error:
            raise self._unreachable(say("no connection: {error}", error=error)) from error
        self._client.loop_start()
        try:
            async with asyncio.timeout(_ANSWER):
                code = await self._answer
        except TimeoutError:
            code = None
        except BaseException:
            await self._close()
            raise
        if code != 0:
            await self._close()
        return code if code is None or code >= 0 else None

    async def _close(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        self._client.on_connect = self._client.on_disconnect = (
            None  # else it holds this, which holds it, and its sockets
        )
        self._client.on_subscribe = self._client.on_message = None

    def _new_client(self, version: MQTTProtocolVersion) -> Client:
        name = f"watch-{secrets.token_hex(6)}"
        client = Client(CallbackAPIVersion.VERSION2, name, protocol=version)
        client.suppress_exceptions = True  # an exception in a callback would end paho's thread without a word
        client.reconnect_delay_set(1, _RETRY)
        if self._parts.username:
            client.username_pw_set(self._parts.username, self._parts.password)
        if self._parts.scheme == "mqtts":
            client.tls_set_context(ssl.create_default_context())
        client.on_connect = self._on_connect
        client.on_disconnect = lambda *_: self._hand_over(-1)
        client.on_subscribe = lambda *told: self._hand_over(told[3][0].value if told[3][0].is_failure else 0)
        client.on_message = self._on_message
        return client

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        taken = Message(message.topic, bytes(message.payload), message.retain)
        self._loop.call_soon_threadsafe(self._queue.put_nowait, taken)

    def _on_connect(self, client: Client, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        if reason.is_failure:
            self._hand_over(reason.value)
        else:
            client.subscribe(self._topics, qos=1)

    def _hand_over(self, code: int) -> None:
        self._loop.call_soon_threadsafe(self._answered, code)

    def _answered(self, code: int) -> None:
        self.connected = code == 0
        if not self._answer.done():
            self._answer.set_result(code)

    def _unreachable(self, what: str) -> Unreachable:
        hint = say("Check the address and port, the user and password, and that the broker runs.")
        return Unreachable(what, where=self.where, hint=hint)
