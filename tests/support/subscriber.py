"""A subscriber that speaks the bytes by itself: what it holds is what a broker really delivered."""

from __future__ import annotations

import asyncio
import struct
from typing import Self

from support.scripted_broker import CONNACK, CONNECT, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, Publish, packet, parse_publish
from support.scripted_broker import read_packet as read


class Subscriber:
    """Subscribes to a filter with QoS 1 (MQTT 3.1.1) as an async context manager; `received` grows by itself."""

    def __init__(self, port: int, topic_filter: str = "#") -> None:
        self.received: list[Publish] = []
        self._port = port
        self._filter = topic_filter.encode()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        client_id = b"subscriber"
        self._writer.write(packet(CONNECT, b"\0\4MQTT\4\2\0\0" + struct.pack("!H", len(client_id)) + client_id))
        head, body = await read(reader)
        assert (head >> 4, body) == (CONNACK, b"\0\0")
        ask = struct.pack("!HH", 1, len(self._filter)) + self._filter + b"\1"
        self._writer.write(packet(SUBSCRIBE, ask, flags=2))
        head, body = await read(reader)
        assert (head >> 4, body) == (SUBACK, b"\0\1\1")
        self._task = asyncio.create_task(self._run(reader))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()
        await self._task

    async def until(self, count: int) -> list[Publish]:
        """Give what was received once it is `count` messages."""
        async with asyncio.timeout(20):
            while len(self.received) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.received

    async def _run(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                head, body = await read(reader)
                assert head >> 4 == PUBLISH
                message = parse_publish(head, body, 4)
                self.received.append(message)
                self._changed.set()
                if message.qos:
                    self._writer.write(packet(PUBACK, struct.pack("!H", message.packet_id)))
        except (asyncio.IncompleteReadError, ConnectionError):
            self._changed.set()
