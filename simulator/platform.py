"""The platform's side: a subscriber that keeps the books of what it receives, and judges by the payloads alone."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from parkgate.config.language import say
from parkgate.simulator.books import Books

Listener = Callable[[str, bytes, bool], None]
"""Told every message: topic, payload, and whether it is a retained copy."""

_ANSWER = 10.0
_REMEMBERED = 3600
_QUIET = 0.3
_CLEAR = 3.0
_BAD_VERSION = 0x84
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class NoPlatform(Exception):
    """The broker cannot be subscribed to: the text says where, why and what to do."""


class Platform:
    """A subscriber of `{prefix}/v1/#` for as long as the context lasts; `books` say what came.

    It subscribes with QoS 1, by MQTT 5 or else 3.1.1, and comes back after a lost connection. Under MQTT 5 the broker
    keeps what comes meanwhile for up to an hour. `url` is `mqtt://` or `mqtts://`, with `user:password@` where needed.

    Raises:
        NoPlatform: no connection, or the broker refused it or the subscription.

    """

    def __init__(self, url: str, topics: str = "+/v1/#", listener: Listener | None = None) -> None:
        self.books = Books()
        self.connections = 0
        self._parts = urlsplit(url)
        self._port = self._parts.port or _PORTS.get(self._parts.scheme, 1883)
        self._topics = topics
        self._listener = listener
        self._news = asyncio.Event()
        self._kept: set[str] = set()
        self._loop: asyncio.AbstractEventLoop
        self._answer: asyncio.Future[int]
        self._client: Client

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        code = await self._open(MQTTv5)
        if code in {_BAD_VERSION, None}:
            code = await self._open(MQTTv311)
        if code is None:
            raise self._nothing(say("the broker closes the connection or does not answer"))
        if code:
            raise self._nothing(say("the broker refuses with 0x{code:02X}", code=code))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def until(self, holds: Callable[[Books], bool], seconds: float) -> bool:
        """Wait until the books satisfy `holds`, at most so long; tell whether they do."""
        try:
            async with asyncio.timeout(seconds):
                while not holds(self.books):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def clear(self) -> None:
        """Delete what the broker keeps of these topics, as it lets this user; nobody may send to them any more."""
        self._kept.clear()
        self._client.subscribe(self._topics, qos=1)  # once more: it gives everything that it keeps
        with contextlib.suppress(TimeoutError, RuntimeError):  # gone or refusing: then it stays
            async with asyncio.timeout(_CLEAR):
                known = -1
                while known < len(self._kept):
                    known = len(self._kept)
                    await asyncio.sleep(_QUIET)
                sent = [self._client.publish(topic, b"", qos=1, retain=True) for topic in sorted(self._kept)]
                for each in sent:
                    await asyncio.to_thread(each.wait_for_publish, _CLEAR)

    async def _open(self, version: MQTTProtocolVersion) -> int | None:
        """Connect and subscribe: 0, the broker's reason for a refusal, or None if it just closed the connection."""
        self._answer = self._loop.create_future()
        self._client = self._new_client(version)
        lasting: dict[str, Any] = {}
        if version == MQTTv5:
            lasting["clean_start"] = False
            lasting["properties"] = _session(PacketTypes.CONNECT, _REMEMBERED)
        try:
            await asyncio.to_thread(self._client.connect, self._parts.hostname or "", self._port, **lasting)
        except (OSError, ValueError) as error:
            raise self._nothing(say("no connection: {error}", error=error)) from error
        self._client.loop_start()
        code = None
        try:
            async with asyncio.timeout(_ANSWER):
                code = await self._answer
        except TimeoutError:
            return None
        finally:
            if code != 0:
                await self._close()
        return code if code >= 0 else None

    async def _close(self) -> None:
        """Leave, and leave no session behind in a broker that may be somebody else's."""
        forget = _session(PacketTypes.DISCONNECT, 0) if self._client.protocol == MQTTv5 else None
        self._client.disconnect(properties=forget)
        await asyncio.to_thread(self._client.loop_stop)

    def _new_client(self, version: MQTTProtocolVersion) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, f"platform-{secrets.token_hex(6)}", protocol=version)
        client.suppress_exceptions = True  # an exception in a callback would end paho's thread without a word
        client.reconnect_delay_set(1, 5)
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
        self._loop.call_soon_threadsafe(self._take, message.topic, bytes(message.payload), message.retain)

    def _on_connect(self, client: Client, _data: object, flags: Any, reason: Any, _properties: object) -> None:
        if reason.is_failure:
            self._hand_over(reason.value)
        elif flags.session_present:
            self._hand_over(0)  # the subscription is still there, and what came meanwhile follows
        else:
            client.subscribe(self._topics, qos=1)

    def _hand_over(self, code: int) -> None:
        self._loop.call_soon_threadsafe(self._answered, code)

    def _answered(self, code: int) -> None:
        self.connections += code == 0
        self._news.set()
        if not self._answer.done():
            self._answer.set_result(code)

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001  paho's own third part
        self.books.take(topic, payload, retained)
        if retained:
            self._kept.add(topic)
        if self._listener:
            self._listener(topic, payload, retained)
        self._news.set()

    def _nothing(self, what: str) -> NoPlatform:
        where = f"{self._parts.scheme}://{self._parts.hostname}:{self._port}"
        hint = say("Check the address and port, the user and password, and that the broker runs.")
        return NoPlatform(f"{where}: {what}. {hint}")


def _session(packet: int, seconds: int) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]  # paho does not say
    properties.SessionExpiryInterval = seconds
    return properties
