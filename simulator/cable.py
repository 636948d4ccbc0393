"""The cable between a gateway and its broker, which a test can pull."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
_CHUNK = 65_536


class Cable:
    """Passes TCP connections on to `host`:`port` for as long as the context lasts; `near` is its port here."""

    def __init__(self, host: str, port: int) -> None:
        self.near = 0
        self._far = (host, port)
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.plug_in()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.unplug()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def plug_in(self) -> None:
        """Accept connections (again), always on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.near)
            self.near = self._server.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        """Break all connections and accept no more."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for end in self._ends:
            end.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._join(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        ends = {writer}
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._far)
            self._ends.add(far_writer)
            ends.add(far_writer)
            if self._server is not None:  # pulled while it was being joined
                await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))
        except OSError:
            pass  # the broker is not there, or left: the gateway learns it by its end of the connection
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()  # what was written still leaves
