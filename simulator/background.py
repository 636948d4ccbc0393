"""An asyncio loop in a thread of its own, so that synchronous code (a test) can use what is asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Background:
    """A loop that runs for as long as the context lasts; then its thread has ended and no task of it is left.

    It shares nothing with a loop of the caller's own thread, if there is one.
    """

    def __init__(self) -> None:
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._leave = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="parkgate", daemon=True)
        self._loop: asyncio.AbstractEventLoop

    def __enter__(self) -> Self:
        self._thread.start()
        self._loop = self._ready.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it there, and give its result or raise what it raised."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C too: nothing runs on that nobody waits for
            future.cancel()
            raise

    @contextmanager
    def use(self, context: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Be within an asynchronous context, which is entered and left there, by one task as some of them need."""
        entered: Future[T] = Future()
        leave = asyncio.Event()

        async def hold() -> None:
            try:
                async with context as value:
                    entered.set_result(value)
                    await leave.wait()
            except BaseException as error:
                if not entered.done():
                    entered.set_exception(error)
                raise

        holding = asyncio.run_coroutine_threadsafe(hold(), self._loop)
        value = entered.result()
        try:
            yield value
        finally:
            self._loop.call_soon_threadsafe(leave.set)
            holding.result()

    async def _run(self) -> None:
        self._ready.set_result(asyncio.get_running_loop())
        await self._leave.wait()
