"""A line of simulated instruments on Modbus TCP: our own server, since pymodbus's cannot misbehave on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

from parkgate.simulator.image import Image
from parkgate.simulator.wire import NotModbus, Requests, answer

PORT = 502
"""Where Modbus TCP listens unless the line says otherwise."""


class _Connection(asyncio.Protocol):
    """One client: answers each request as it arrives, and stops reading while its answers are not taken."""

    def __init__(self, units: Mapping[int, Image], open_ones: set[_Connection]) -> None:
        self._units = units
        self._open_ones = open_ones
        self._requests = Requests()
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._open_ones.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            for request in self._requests.feed(data):
                self.transport.write(answer(request, self._units))
        except NotModbus:
            self.transport.close()

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        self._open_ones.discard(self)
        self.gone.set()


class ModbusPlant:
    """The units of one Modbus TCP line. Entering listens on `modbus-tcp://host[:port]`, leaving hangs up on everyone.

    Port 0 means any free one; `url` says which it became. `units` holds an image per unit id, which whoever made it
    may change at any time: a read is answered from one moment of it.

    Raises:
        OSError: the address cannot be listened on (in use, not this computer's, or not allowed).

    """

    def __init__(self, url: str, units: Mapping[int, Image]) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = PORT if parts.port is None else parts.port
        self._units = units
        self._connections: set[_Connection] = set()
        self.url = url

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._units, self._connections), self._host, self._port
        )
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"modbus-tcp://{host}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.close()
        leaving = tuple(self._connections)
        for connection in leaving:
            connection.transport.abort()
        await asyncio.gather(*(connection.gone.wait() for connection in leaving))
        await self._server.wait_closed()
