"""A serial port's bytes: written and read straight, and looked at rarely while an answer comes in.

pymodbus goes through pyserial, which asks the kernel three times for each piece and waits for the event loop before
each question: on a port that is never at rest that costs more than everything else about it. And a UART hands over a
few bytes at a time. Woken by each handful, a gateway would be busy with nothing; so the port is looked at every 100 ms,
which finds a refusal soon, then when the answer can be complete, and watched only from then on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from parkgate.drivers.modbus.pause import Pause

SLICE, BRIEF, LINGER, LATER = 0.1, 0.005, 0.02, 0.0002
"""Seconds between two looks; an answer so short is watched; a port at rest is watched after so long; and what a UART
needs to hand over the last bytes behind their time."""
_MOST = 1_024


class _Serial(Protocol):
    def fileno(self) -> int: ...


class _Hearer(Protocol):
    def data_received(self, data: bytes) -> None: ...


class Transport(Protocol):
    """What is used of pymodbus's serial transport; `sync_serial` is None when it was closed."""

    sync_serial: _Serial | None
    intern_protocol: _Hearer
    write: Callable[[bytes], None]

    def close(self, exc: Exception | None = None) -> None:
        """Close the port, and tell the protocol that it is lost where an exception says why."""
        ...


class Port:
    """The serial port of an open line; pymodbus's transport writes and reads through it from now on.

    `missing` tells how many seconds the rest of the answer takes, of which something is there: 0 where nobody knows,
    None where nothing is awaited.
    """

    def __init__(self, transport: Transport, missing: Callable[[], float | None]) -> None:
        self._transport = transport
        self._missing = missing
        self._loop = asyncio.get_running_loop()
        self._pause = Pause()
        self._until = self._after = 0.0
        self._watched = True
        self._nothing = 0  # times in a row that it was ready and had nothing: once, if `take` was faster
        self._buffered = transport.write
        transport.write = self._write
        if transport.sync_serial is not None:
            self._loop.add_reader(transport.sync_serial.fileno(), self._readable)

    def leave(self, seconds: float, after: float = 0.0) -> None:
        """Do not watch it for so long, but look at it now and then; then watch it until `rest`.

        The question that is written now goes out `after` that moment, by the monotonic clock.
        """
        self._after = after
        if seconds < BRIEF:
            self.watch()
        elif self._transport.sync_serial is not None:
            if self._watched:
                self._loop.remove_reader(self._transport.sync_serial.fileno())
                self._watched = False
            self._until = monotonic() + seconds
            self._pause.call(min(SLICE, seconds + LATER), self._look)

    def rest(self) -> None:
        """Watch it again, unless a question follows soon: what comes meanwhile is taken before that."""
        if not self._watched:
            self._pause.call(LINGER, self.watch)

    def watch(self) -> None:
        """Watch it from now on."""
        if not self._watched and self._transport.sync_serial is not None:
            self._watched = True
            self._loop.add_reader(self._transport.sync_serial.fileno(), self._readable)

    def close(self) -> None:
        """Forget it."""
        self._pause.close()

    def take(self) -> None:
        """Take what is there, if anything is."""
        if data := self._read():
            self._transport.intern_protocol.data_received(data)

    def _look(self) -> None:
        self.take()
        if (missing := self._missing()) is None:
            return
        if (left := max(self._until - monotonic(), missing)) > 0:
            self._pause.call(min(SLICE, left + LATER), self._look)
        else:
            self.watch()

    def _readable(self) -> None:
        data = self._read()
        if data:
            self._transport.intern_protocol.data_received(data)
            if (left := self._missing()) is not None and left > BRIEF:
                self.leave(left)
        elif data is not None:
            self._nothing += 1
            if self._nothing > 1:  # always ready and never anything: so a port looks whose adapter was pulled out
                self._transport.close(OSError("the port is gone"))

    def _read(self) -> bytes | None:
        """Give what is there; None where the port has none now, or was lost meanwhile."""
        serial = self._transport.sync_serial
        if serial is None:
            return None
        try:
            data = os.read(serial.fileno(), _MOST)
        except BlockingIOError:
            return None
        except OSError as error:
            self._transport.close(error)
            return None
        if data:
            self._nothing = 0
        return data

    def _write(self, data: bytes) -> None:
        """Write a question; what the port does not take at once goes when it does."""
        serial = self._transport.sync_serial
        if serial is None:
            return
        while monotonic() < self._after:  # a part of a millisecond, which no timer would hit as well
            pass
        try:
            done = os.write(serial.fileno(), data)
        except BlockingIOError:
            done = 0
        except OSError as error:
            self._transport.close(error)
            return
        if done < len(data):
            self._buffered(data[done:])
