"""A line of simulated instruments on a pseudo-terminal, where bytes take the time that the baud rate gives them."""

from __future__ import annotations

import asyncio
import os
import time
import tty
from contextlib import suppress
from types import TracebackType
from typing import Self

from parkgate.simulator.modbus import Player, Responder
from parkgate.simulator.rtu import seconds, silence
from parkgate.simulator.trouble import Answer, Piece

CHUNK = 8
"""Characters that are sent at once: a UART's buffer hands over about so many."""
_READ = 4096


class Pty:
    """The units of one serial line. Entering makes the terminal, `path` names it; leaving closes it.

    Real time passes as on the wire: the request's, 3.5 characters of silence, and the answer's.

    Raises:
        OSError: the system gives no terminal.

    """

    def __init__(self, responder: Responder, baudrate: int) -> None:
        self._responder = responder
        self._baudrate = baudrate
        self._requests = responder.framing.cutter()
        self.path = ""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._ours, self._theirs = os.openpty()  # theirs stays open: else reading ours fails while no client is there
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.path = os.ttyname(self._theirs)
        self._player = Player(self, self._loop, exact=time.sleep)
        self._loop.add_reader(self._ours, self._read)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._player.stop()
        self._loop.remove_reader(self._ours)
        os.close(self._ours)
        os.close(self._theirs)

    def write(self, data: bytes) -> None:
        """Put bytes on the wire; what a full terminal does not take is lost, as on a wire that nobody reads."""
        with suppress(BlockingIOError):
            os.write(self._ours, data)

    def close(self) -> None:
        """Fall silent: a serial line cannot be hung up."""

    def _read(self) -> None:
        with suppress(BlockingIOError):
            for request in self._requests.feed(os.read(self._ours, _READ)):
                length = len(self._responder.framing.frame(request, request.unit, request.pdu))
                self._player.play(timed(self._responder(request), length, self._baudrate))


def timed(answer: Answer, asked: int, baudrate: int) -> Answer:
    """Give an answer as a wire of a baud rate carries it, behind a request of so many characters.

    A piece of bytes arrives when its last character has passed.
    """
    pieces: list[Piece] = []
    before = seconds(asked, baudrate) + silence(baudrate)
    for piece in answer.pieces:
        for start in range(0, len(piece.data), CHUNK):
            chunk = piece.data[start : start + CHUNK]
            wait = piece.after if start == 0 else 0.0
            pieces.append(Piece(before + wait + seconds(len(chunk), baudrate), chunk))
            before = 0.0
    return Answer(tuple(pieces))
