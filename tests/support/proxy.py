"""A TCP proxy that stands before an instrument or a broker and breaks what passes it, as a test says while it runs."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

UP, DOWN = "up", "down"
"""The directions: from the client to the server, and back."""
_CHUNK = 65_536


class Link:
    """One client's connection through the proxy, with its connection to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.ends = {DOWN: client, UP: server}
        self.dead = False
        """The server's side is gone and the client was not told: what comes is swallowed."""

    def reset(self) -> None:
        """Send an RST both ways: what waits is thrown away."""
        for end in self.ends.values():
            if sock := end.get_extra_info("socket"):
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.transport.abort()

    def cut(self) -> None:
        """Send a FIN both ways, behind what was passed on already."""
        for end in self.ends.values():
            end.close()


class Proxy:
    """Passes everything on to 127.0.0.1:`target` as an async context manager, but for the faults that are switched on.

    `delay` and `jitter` (seconds) hold each piece back, in order; `trickle` passes so many bytes a second; `flips`
    counts the pieces that one bit is still to be turned over in.
    """

    def __init__(
        self,
        target: int,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        host: str = "127.0.0.1",
    ) -> None:
        self.target = target
        self.host = host
        self.port = 0
        self.delay = self.jitter = 0.0
        self.trickle = 0
        self.flips = 0
        self.accepted = 0
        self.links: set[Link] = set()
        self._rng = rng or random.Random(1)
        self._sleep = sleep
        self._passes = {UP: asyncio.Event(), DOWN: asyncio.Event()}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.accept()
        self.heal()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def accept(self) -> None:
        """Listen (again), always on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Reset all connections, and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.reset()

    def heal(self) -> None:
        """Switch every fault off, but for what was done to a connection already."""
        self.delay = self.jitter = 0.0
        self.trickle = self.flips = 0
        for event in self._passes.values():
            event.set()

    def stall(self, *ways: str) -> None:
        """Pass nothing on any more in these directions, in both if none is named: a black hole that TCP accepts."""
        for way in ways or (UP, DOWN):
            self._passes[way].clear()

    def cut(self) -> None:
        """Close all connections in order (FIN)."""
        for link in self.links:
            link.cut()

    def reset(self) -> None:
        """Break all connections (RST)."""
        for link in self.links:
            link.reset()

    def half_open(self) -> None:
        """Lose the server's side of all connections without a word to their clients; new ones are passed on."""
        for link in self.links:
            link.dead = True
            link.ends[UP].transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, far_writer)
        self.links.add(link)
        try:
            await asyncio.gather(self._pump(reader, link, UP), self._pump(far_reader, link, DOWN))
        finally:
            self.links.discard(link)
            for end in link.ends.values():
                end.transport.abort() if self._server is None else end.close()

    async def _pump(self, reader: asyncio.StreamReader, link: Link, way: str) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                await self._passes[way].wait()
                if self.delay or self.jitter:
                    await self._sleep(self.delay + self._rng.uniform(0, self.jitter))
                await self._pass(self._flipped(data), link, way)
        if link.dead and way == DOWN:
            return
        await self._passes[way].wait()
        link.ends[way].close()

    async def _pass(self, data: bytes, link: Link, way: str) -> None:
        if link.dead:
            return
        end = link.ends[way]
        while self.trickle and data:
            end.write(data[: self.trickle])
            data = data[self.trickle :]
            await self._sleep(1.0)
        end.write(data)
        await end.drain()

    def _flipped(self, data: bytes) -> bytes:
        if not self.flips:
            return data
        self.flips -= 1
        turned = bytearray(data)
        turned[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)
        return bytes(turned)
