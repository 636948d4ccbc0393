"""A line of simulated instruments on a TCP port: our own server, since pymodbus's cannot misbehave on the wire."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from types import TracebackType
from typing import Protocol, Self, cast
from urllib.parse import urlsplit

from parkgate.simulator.image import Image
from parkgate.simulator.trouble import Answer, Piece, Reply, Trouble, good, spoilt
from parkgate.simulator.wire import IDENTIFICATION, Framing, NotModbus, Request, Tcp, reply

PORT = 502
"""Where Modbus TCP listens unless the line says otherwise."""

EARLY = 0.0015
"""Seconds that an exact sleep takes over from the loop's timer."""

Troubles = Callable[[int], tuple[Trouble, ...]]
"""Gives the troubles of a unit id now."""


def untroubled(_unit: int) -> tuple[Trouble, ...]:
    """Give none."""
    return ()


class Responder:
    """Answers the requests of one line, as its units and their troubles have it at that moment."""

    def __init__(
        self,
        units: Mapping[int, Image],
        framing: Framing,
        troubles: Troubles = untroubled,
        rng: Random | None = None,
    ) -> None:
        self.framing = framing
        self._units = units
        self._troubles = troubles
        self._rng = rng or Random(0)

    def __call__(self, request: Request) -> Answer:
        """Give what a client gets: the good answer, or what a trouble makes of it."""
        image = self._units.get(request.unit)
        if image is None:
            pdu = self.framing.nobody(request)
            return Answer() if pdu is None else good(Reply(self.framing, request, pdu))
        # Whatever its troubles, it says what it is: it must not pass for real because it was silent at that.
        troubles = () if request.pdu[0] == IDENTIFICATION else self._troubles(request.unit)
        shift = sum(each.registers or 0 for each in troubles if each.kind == "shifted")
        return spoilt(Reply(self.framing, request, reply(request.pdu, image, shift)), troubles, self._rng)


class Out(Protocol):
    """Where the bytes of answers go: a transport."""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class Player:
    """Sends answers one after the other, each piece in its time.

    The loop's timers come up to 1.1 ms late. With an `exact` sleep (blocking, seconds) the last piece of an answer
    comes when it is due: for a wire whose frames take little longer than that.
    """

    def __init__(
        self, out: Out, loop: asyncio.AbstractEventLoop, *, exact: Callable[[float], None] | None = None
    ) -> None:
        self._out = out
        self._loop = loop
        self._exact = exact
        self._waiting: deque[Piece | None] = deque()  # None: hang up
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # each piece is timed from the one before, not from when the loop came to it: that adds up

    def play(self, answer: Answer) -> None:
        """Send an answer behind those that are still being sent."""
        self._waiting.extend(answer.pieces)
        if answer.close:
            self._waiting.append(None)
        if self._timer is None:
            self._due = self._loop.time()
            self._next()

    def stop(self) -> None:
        """Send nothing more."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self) -> None:
        """Send what is due, and wait for what is not."""
        if self._timer is not None and self._exact is not None:
            self._exact(max(0.0, self._due - self._loop.time()))
        self._timer = None
        while self._waiting:
            piece = self._waiting[0]
            if piece is not None and piece.after > 0:
                self._waiting[0] = Piece(0.0, piece.data)
                self._due += piece.after
                early = EARLY if self._exact is not None and len(self._waiting) == 1 else 0.0
                self._timer = self._loop.call_at(self._due - early, self._next)
                return
            self._waiting.popleft()
            if piece is None:
                self._out.close()
            else:
                self._out.write(piece.data)


class _Connection(asyncio.Protocol):
    """One client: answers each request as it arrives, and stops reading while its answers are not taken."""

    def __init__(self, responder: Responder, open_ones: set[_Connection]) -> None:
        self._responder = responder
        self._open_ones = open_ones
        self._requests = responder.framing.cutter()
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._player = Player(self.transport, asyncio.get_running_loop())
        self._open_ones.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            for request in self._requests.feed(data):
                self._player.play(self._responder(request))
        except NotModbus:
            self.transport.close()

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        self._player.stop()
        self._open_ones.discard(self)
        self.gone.set()


class ModbusPlant:
    """The units of one line. Entering listens on `modbus-tcp://host[:port]`, leaving hangs up on everyone.

    Port 0 means any free one; `url` says which it became. `units` holds an image per unit id, which whoever made it
    may change at any time: a read is answered from one moment of it. With a `responder` it speaks that one's framing.

    Raises:
        OSError: the address cannot be listened on (in use, not this computer's, or not allowed).

    """

    def __init__(self, url: str, units: Mapping[int, Image], responder: Responder | None = None) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = PORT if parts.port is None else parts.port
        self._scheme = parts.scheme
        self._responder = responder or Responder(units, Tcp())
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self.url = url

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.refuse(on=True)

    async def refuse(self, *, on: bool) -> None:
        """Hang up on everyone and let nobody in, or (`on=False`) listen again where it listened."""
        if not on:
            await self._listen()
            return
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        leaving = tuple(self._connections)
        for connection in leaving:
            connection.transport.abort()
        await asyncio.gather(*(connection.gone.wait() for connection in leaving))
        await server.wait_closed()

    async def _listen(self) -> None:
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._responder, self._connections), self._host, self._port
        )
        self._port = self._server.sockets[0].getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"{self._scheme}://{host}:{self._port}"
