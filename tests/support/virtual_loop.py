"""Time that jumps: an asyncio loop that never sleeps, its clock, and an executor that works in the loop's own thread.

What happens in it depends on nothing but what is put in: no thread, no real clock, no chance.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any

START = 1_767_225_600_000
"""ms UTC of the virtual instant 0: 2026-01-01."""


class Deadlock(RuntimeError):
    """Nothing is ready and nothing is scheduled: in real time it would wait for ever."""


class _Jump(selectors.DefaultSelector):
    """Looks at what real sockets there are without waiting; the wait is added to the loop's time."""

    loop: VirtualLoop

    def select(self, timeout=None):
        events = super().select(0) if len(self.get_map()) > 1 else []  # one is the loop's own, which nobody wakes
        if not events:
            if timeout is None:
                raise Deadlock("nothing is ready and nothing is scheduled")
            self.loop.seconds += max(0.0, timeout)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is `seconds` and jumps to the next timer."""

    def __init__(self) -> None:
        self.seconds = 0.0
        selector = _Jump()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-6  # a sum of floats may end just before its timer

    def time(self) -> float:
        return self.seconds

    def call_soon_threadsafe(self, callback, *args, context=None):
        return self.call_soon(callback, *args, context=context)  # there is only one thread


class VirtualClock:
    """The clocks of a gateway in a `VirtualLoop`: the wall clock may be stepped and stopped, the other never."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.offset = 0
        self._loop = loop
        self._stopped: int | None = None

    def now(self) -> int:
        return self.true() + self.offset if self._stopped is None else self._stopped

    def true(self) -> int:
        """Give what a clock would show that was never touched, ms UTC."""
        return START + int(self._loop.seconds * 1000)

    def monotonic(self) -> float:
        return self._loop.seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(1e-5, seconds))  # less would be lost in rounding, and time would stand still

    def synchronised(self) -> bool | None:
        return None

    def step(self, milliseconds: int) -> None:
        self.offset += milliseconds

    def right(self) -> None:
        """Set the clock right, as time synchronisation does."""
        self.offset, self._stopped = 0, None

    def stop(self) -> None:
        self._stopped = self.now()


class Inline(Executor):
    """Runs what it is given at once, in the thread that gives it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # an executor gives every error to whoever waits
            future.set_exception(error)
        return future


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine function in a new virtual loop, and give what it gives."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(main(loop))
