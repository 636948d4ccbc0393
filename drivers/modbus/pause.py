"""Waiting to the tenth of a millisecond: an event loop's own timers count in whole ones, and a serial gap is 1.75 ms.

By a timer of the kernel (timerfd_create(2)), which Python has from 3.13 on only; elsewhere by the loop's own.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys

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
    """A timer of one line, from its making to `close`; one wait at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._fd = self._libc.timerfd_create(_MONOTONIC, _NONBLOCK | _CLOEXEC) if self._libc is not None else -1
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._fired)

    async def wait(self, seconds: float) -> None:
        """Wait for so long."""
        if self._libc is None or self._fd < 0:
            await asyncio.sleep(seconds)
            return
        nanoseconds = max(1, round(seconds * _NANO))
        self._waiter = self._loop.create_future()
        spec = _Spec(0, 0, *divmod(nanoseconds, _NANO))
        self._libc.timerfd_settime(self._fd, 0, ctypes.byref(spec), None)
        await self._waiter

    def close(self) -> None:
        """Give the timer back."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _fired(self) -> None:
        os.read(self._fd, 8)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
