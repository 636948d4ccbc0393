"""A TCP link that can be cut, stalled and throttled: before a broker, or before an OPC UA server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK = 65_536


class Link:
    """Listens on `host:port` (0: any free one, see `port`) and passes everything on to `there`, a host and a port.

    `stalled` lets nothing pass, `delay` holds everything back for so many seconds, `rate` is the bytes a second that
    pass in each direction (None: all). `refuse` hangs up on everyone and lets nobody in.
    """

    def __init__(self, there: Callable[[], tuple[str, int]], host: str = "127.0.0.1", port: int = 0) -> None:
        self.port = port
        self.delay = 0.0
        self.rate: int | None = None
        self._there = there
        self._host = host
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._joined: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.refuse(on=False)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.refuse(on=True)

    @property
    def stalled(self) -> bool:
        """Whether nothing passes."""
        return not self._flows.is_set()

    @stalled.setter
    def stalled(self, on: bool) -> None:
        self._flows.clear() if on else self._flows.set()

    def cut(self) -> None:
        """Hang up on everyone who is connected."""
        for writer in self._writers:
            writer.transport.abort()

    async def refuse(self, *, on: bool) -> None:
        """Hang up on everyone and let nobody in, or (`on=False`) listen again where it listened."""
        if on and self._server is not None:
            server, self._server = self._server, None
            server.close()
            for joined in self._joined:
                joined.cancel()
            await asyncio.gather(*self._joined, return_exceptions=True)
            await server.wait_closed()
        elif not on and self._server is None:
            self._server = await asyncio.start_server(self._accept, self._host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._join(reader, writer), name="link")
        self._joined.add(task)
        task.add_done_callback(self._joined.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a client with what it wants to reach, until both have left, or it is cut."""
        ends = {writer}
        self._writers |= ends
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._there())
            ends.add(far_writer)
            self._writers |= ends
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        except OSError:
            pass  # nothing listens there: the client learns it by the end of its connection
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK if self.rate is None else max(1, self.rate // 10)):
                await self._flows.wait()
                if self.delay or self.rate:
                    await asyncio.sleep(self.delay + (len(data) / self.rate if self.rate else 0.0))
                writer.write(data)
                await writer.drain()
            writer.write_eof()  # a client that said goodbye is heard to its last word
