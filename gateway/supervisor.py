"""Runs the agent's loops: a fault of one restarts that one, and the service manager hears while every one turns."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from parkgate.config.language import say
from parkgate.gateway.backoff import next_delay
from parkgate.gateway.clock import Clock
from parkgate.gateway.heartbeat import Heart
from parkgate.gateway.notify import notify
from parkgate.gateway.storing.database import OutboxFault

STEADY = 600.0
"""Seconds that a loop must have run for its next fault to count as the first again."""
_log = logging.getLogger("parkgate.agent")

Tell = Callable[..., object]
"""Store an event: `tell(name, subject, **detail)`."""


class Supervisor:
    """The loops of an agent, by name, and the heart of each."""

    def __init__(self, clock: Clock, rng: random.Random, tell: Tell) -> None:
        self._clock = clock
        self._rng = rng
        self._tell = tell
        self._hearts: dict[str, Heart] = {}

    def heart(self, name: str) -> Heart:
        """Give the heart of a loop."""
        return self._hearts.setdefault(name, Heart(self._clock.monotonic))

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run a loop from now on."""
        return asyncio.create_task(self._run(name, run), name=name)

    async def _run(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a loop again, with back-off and an event, whenever a fault of ours ends it; the others go on."""
        attempt = 0
        while True:
            began = self._clock.monotonic()
            try:
                await run()
            except OutboxFault:
                raise
            except Exception as error:  # noqa: BLE001  # the one task boundary: the other loops go on
                _log.exception(say("the loop of {name} failed and is started again", name=name))
                self._tell("loop-failed", name, reason=f"{type(error).__name__}: {error}")
                self.heart(name).expect(math.inf)
                attempt = 0 if self._clock.monotonic() - began > STEADY else attempt
                await self._clock.sleep(next_delay(attempt, self._rng, floor=0.5))
                attempt += 1

    async def ask(self, name: str, seconds: float, answers: Callable[[], Awaitable[object]]) -> None:
        """Ask what must answer, once in so many seconds; its heart stands still while it does not; for ever."""
        heart = self.heart(name)
        while True:
            heart.expect(seconds)
            await answers()
            heart.expect(2 * seconds)
            await self._clock.sleep(seconds)

    async def feed_watchdog(self, seconds: float) -> None:
        """Tell the service manager, once in so many seconds, that every loop turns; for ever."""
        while True:
            if late := sorted(name for name, heart in self._hearts.items() if heart.late):
                _log.error(say("these loops stand still: {names}", names=", ".join(late)))
            else:
                notify("WATCHDOG=1")
            await self._clock.sleep(seconds)


async def cancelled(tasks: Sequence[asyncio.Task[Any]], patience: float = math.inf) -> None:
    """Cancel tasks until they have ended, or for so many seconds.

    Before Python 3.12 `wait_for`, which pymodbus uses, may swallow a cancel: it is repeated.
    """
    waiting = set(tasks)
    while waiting and patience > 0:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=0.2)
        patience -= 0.2
