"""How a serial port is looked at while an answer comes in: rarely, since when it can be complete is known beforehand.

A UART hands over a few bytes at a time. Woken by each handful, a gateway would be busy with nothing; so the port is
looked at every 50 ms, which finds a refusal soon, and watched only when the answer can be complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol

SLICE, MARGIN = 0.05, 0.003
"""Seconds between two looks; and before the end from when on the port is watched."""


class _Serial(Protocol):
    def fileno(self) -> int: ...


class Transport(Protocol):
    """What is used of pymodbus's serial transport; `sync_serial` is None when it was closed."""

    sync_serial: _Serial | None
    intern_read_ready: Callable[[], None]


class Port:
    """The serial port of an open line."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._until = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def leave(self, seconds: float) -> None:
        """Do not watch it for so long, but look at it now and then."""
        if self._transport.sync_serial is not None and seconds > 2 * MARGIN:
            self._loop.remove_reader(self._transport.sync_serial.fileno())
            self._until = monotonic() + seconds - MARGIN
            self._handle = self._loop.call_later(min(SLICE, seconds - MARGIN), self._look)

    def watch(self) -> None:
        """Watch it again."""
        if self._handle is None:
            return
        self._handle.cancel()
        self._handle = None
        if self._transport.sync_serial is not None:
            self._loop.add_reader(self._transport.sync_serial.fileno(), self._transport.intern_read_ready)

    def _look(self) -> None:
        left = self._until - monotonic()
        if left <= MARGIN:
            self.watch()
        elif self._transport.sync_serial is not None:
            self._handle = self._loop.call_later(min(SLICE, left), self._look)
            self._transport.intern_read_ready()
