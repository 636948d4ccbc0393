"""A simulated park that answers: a scenario's instruments on their lines, moving in real time."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

from parkgate.config.language import say
from parkgate.config.site import Line
from parkgate.drivers.faults import Unusable
from parkgate.simulator.modbus import ModbusPlant
from parkgate.simulator.scenario import Scenario
from parkgate.simulator.world import World

if TYPE_CHECKING:
    from parkgate.simulator.opcua import OpcUaPlant


class CannotListen(Exception):
    """A line of the park cannot be opened: `what` happened, `where`, and a `hint` for whoever started it."""

    def __init__(self, what: str, *, where: str, hint: str) -> None:
        super().__init__(f"{where}: {what}. {hint}")
        self.what = what
        self.where = where
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Clock:
    """The time a park runs by: `monotonic` seconds for its steps, `wall` milliseconds UTC for what it stamps."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Park:
    """A scenario that can be asked. Entering opens every line and starts time; leaving closes them.

    `urls` says where each line listens, by its name. With `any_port` they are free ports instead of the site file's.

    Raises:
        CannotListen: a line's address cannot be listened on; lines already opened are closed again.

    """

    def __init__(self, scenario: Scenario, *, any_port: bool = False, clock: Clock = Clock()) -> None:
        self._scenario = scenario
        self._any_port = any_port
        self._clock = clock
        self._world = World(scenario)
        self._opcua: dict[str, OpcUaPlant] = {}
        self._stack = AsyncExitStack()
        self.urls: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            for line in self._scenario.site.lines:
                self.urls[line.name] = await self._open(line, opening)
            await self._update()
            self._stack = opening.pop_all()
        self._running = asyncio.create_task(self._run(), name="park")
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        async with self._stack:
            self._running.cancel()
            await asyncio.wait([self._running])
            if not self._running.cancelled():
                self._running.result()

    @property
    def running(self) -> asyncio.Task[None]:
        """The task that moves the park: it ends only by an error, or by leaving the park."""
        return self._running

    async def _open(self, line: Line, opening: AsyncExitStack) -> str:
        url = _any_port(line.url) if self._any_port else line.url
        try:
            if urlsplit(url).scheme != "opc.tcp":
                return (await opening.enter_async_context(ModbusPlant(url, self._world.units[line.name]))).url
            from parkgate.simulator.opcua import OpcUaPlant  # noqa: PLC0415  30 MB, for those lines that need it

            plant = await opening.enter_async_context(OpcUaPlant(url, self._scenario.site.on(line)))
        except OSError as error:
            raise _cannot_listen(line, url, error) from error
        except Unusable as fault:
            raise CannotListen(fault.what, where=fault.where, hint=fault.hint) from fault
        self._opcua.update(dict.fromkeys((each.name for each in self._scenario.site.on(line)), plant))
        return plant.url

    async def _run(self) -> None:
        step_ms = self._scenario.head.step
        due = self._clock.monotonic()
        while True:
            due += step_ms / 1000
            await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
            self._world.advance(step_ms)
            await self._update()

    async def _update(self) -> None:
        for name, plant in self._opcua.items():
            device = self._world.devices[name]
            await plant.update(name, self._clock.wall(), device.values(), device.states())


def _any_port(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return urlunsplit(parts._replace(netloc=f"{host}:0"))


def _cannot_listen(line: Line, url: str, error: OSError) -> CannotListen:
    host, port = urlsplit(url).hostname, urlsplit(url).port
    if error.errno == errno.EADDRINUSE:
        what = say("port {port} is already in use", port=port)
        hint = say("Stop what listens there (`ss -ltnp` shows it), or let free ports be chosen with --any-port.")
    elif error.errno == errno.EACCES:
        what = say("this user may not listen on port {port}", port=port)
        hint = say("Use a port from 1024 up in the line's url, or let free ports be chosen with --any-port.")
    else:
        what = say("cannot listen on {host}: {error}", host=host, error=error)
        hint = say("The line's url must name an address of this computer, such as 127.0.0.1.")
    return CannotListen(what, where=say('line "{line}" ({url})', line=line.name, url=line.url), hint=hint)
