"""Waiting to the tenth of a millisecond: an event loop's own timers count in whole ones, and a serial gap is 1.75 ms.

By a timer of the kernel (timerfd_create(2)), which Python has from 3.13 on only; elsewhere by the loop's own.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

_MONOTONIC, _NONBLOCK, _CLOEXEC = 1, os.O_NONBLOCK, 0o2000000
_NANO = 1_000_000_000


class _Spec(ctypes.Structure):
    """The struct itimerspec: seconds and nanoseconds of the interval (none), then of the time until it fires."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Pause:
    """A timer, from its making to `close`; what is waited for last counts."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._then: Callable[[], None] | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._fd = self._libc.timerfd_create(_MONOTONIC, _NONBLOCK | _CLOEXEC) if self._libc is not None else -1
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._fired)

    async def wait(self, seconds: float) -> None:
        """Wait for so long."""
        waiter: asyncio.Future[None] = self._loop.create_future()

        def over() -> None:
            if not waiter.done():
                waiter.set_result(None)

        self.call(seconds, over)
        await waiter

    def call(self, seconds: float, then: Callable[[], None]) -> None:
        """Call `then` after so long, and nothing that was asked for before."""
        self._then = then
        if self._libc is None or self._fd < 0:
            if self._handle is not None:
                self._handle.cancel()
            self._handle = self._loop.call_later(seconds, self._due)
            return
        nanoseconds = max(1, round(seconds * _NANO))
        spec = _Spec(0, 0, *divmod(nanoseconds, _NANO))
        self._libc.timerfd_settime(self._fd, 0, ctypes.byref(spec), None)

    def close(self) -> None:
        """Give the timer back; nothing is called any more."""
        self._then = None
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _fired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set again since the loop saw it fire
            return
        self._due()

    def _due(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()
