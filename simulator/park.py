"""A simulated park that answers: a scenario's instruments on their lines, moving in real time."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

from parkgate.config.language import say
from parkgate.config.site import Line, Uplink
from parkgate.drivers.faults import Unusable
from parkgate.simulator.episode_checks import Serve
from parkgate.simulator.link import Link
from parkgate.simulator.modbus import ModbusPlant, Responder
from parkgate.simulator.rtu import Rtu
from parkgate.simulator.scenario import Scenario
from parkgate.simulator.serial import Pty
from parkgate.simulator.trouble import Trouble
from parkgate.simulator.wire import Tcp
from parkgate.simulator.world import World

if TYPE_CHECKING:
    from parkgate.simulator.opcua import OpcUaPlant


_SHORTEST_MS = 100
_BROKER_PORTS = {"mqtt": 1883, "mqtts": 8883}


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

    `urls` says where each line listens, by its name: a url, or the path of a pseudo-terminal; `uplinks` where the link
    to each platform listens that has troubles. With `any_port` they are free ports, not the site file's. Time runs at
    `speed` times the clock's for the values, and never for the wire. `each` is called with the clock's
    time (ms UTC) whenever the world has changed. `brokers` says where the links of uplinks lead, if not where the site
    file says.

    Raises:
        CannotListen: a line's address cannot be listened on; lines already opened are closed again.

    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        any_port: bool = False,
        speed: float = 1.0,
        clock: Clock = Clock(),
        brokers: Mapping[str, str] | None = None,
    ) -> None:
        self.world = World(scenario)
        self.each: Callable[[int], None] = lambda _: None
        self.urls: dict[str, str] = {}
        self.uplinks: dict[str, str] = {}
        self._scenario = scenario
        self._any_port = any_port
        self._clock = clock
        self._brokers = dict(brokers or {})
        # Steps of at least a tenth of a second on the clock: the values of a fast day move in larger ones.
        self._step_ms = max(scenario.head.step, round(_SHORTEST_MS * speed))
        self._wait_s = self._step_ms / 1000 / speed
        self._opcua: dict[str, OpcUaPlant] = {}
        self._plants: dict[str, OpcUaPlant] = {}
        self._gates: dict[str, ModbusPlant | Link] = {}
        self._links: dict[str, Link] = {}
        self._shut: set[str] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            for line in self._scenario.site.lines:
                self.urls[line.name] = await self._open(line, opening)
            for uplink in self._scenario.site.uplinks:
                if any(trouble.uplink == uplink.name for trouble in self._scenario.troubles):
                    self.uplinks[uplink.name] = await self._open_link(uplink, opening)
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
            if urlsplit(url).scheme == "opc.tcp":
                return await self._open_opcua(line, url, opening)
            return await self._open_modbus(line, url, opening)
        except OSError as error:
            raise _cannot_listen(line, url, error) from error
        except Unusable as fault:
            raise CannotListen(fault.what, where=fault.where, hint=fault.hint) from fault

    async def _open_modbus(self, line: Line, url: str, opening: AsyncExitStack) -> str:
        serve = self._scenario.serve.get(line.name, Serve())
        framing = Tcp() if serve.as_ == "tcp" else Rtu()
        units, chance = self.world.units[line.name], self.world.chance(line.name)
        responder = Responder(units, framing, partial(self.world.of_unit, line.name), chance)
        if serve.as_ == "pty":
            return (await opening.enter_async_context(Pty(responder, serve.baudrate))).path
        if serve.as_ == "rtu-over-tcp":
            url = urlsplit(url)._replace(scheme="modbus-rtu-over-tcp").geturl()
        plant = await opening.enter_async_context(ModbusPlant(url, units, responder))
        self._gates[line.name] = plant
        return plant.url

    async def _open_opcua(self, line: Line, url: str, opening: AsyncExitStack) -> str:
        from parkgate.simulator.opcua import OpcUaPlant  # noqa: PLC0415  30 MB, for those lines that need it

        serve = self._scenario.serve.get(line.name, Serve())
        plant = OpcUaPlant(url, self._scenario.site.on(line), serve)
        if any(each.line == line.name for each in self._scenario.troubles):
            link = Link(lambda: plant.address, urlsplit(url).hostname or "127.0.0.1", urlsplit(url).port or 0)
            self._gates[line.name] = await opening.enter_async_context(link)
            plant.stand_behind(link.port)
        await opening.enter_async_context(plant)
        self._plants[line.name] = plant
        self._opcua.update(dict.fromkeys((each.name for each in self._scenario.site.on(line)), plant))
        return plant.url

    async def _open_link(self, uplink: Uplink, opening: AsyncExitStack) -> str:
        """Open a link to where an uplink's url points, on any free port."""
        parts = urlsplit(self._brokers.get(uplink.name, uplink.url))
        there = (parts.hostname or "127.0.0.1", parts.port or _BROKER_PORTS.get(parts.scheme, 1883))
        self._links[uplink.name] = link = await opening.enter_async_context(Link(lambda: there))
        return parts._replace(netloc=f"127.0.0.1:{link.port}").geturl()

    async def _run(self) -> None:
        due = self._clock.monotonic()
        while True:
            due += self._wait_s
            await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
            self.world.advance(self._step_ms)
            await self._update()

    async def _update(self) -> None:
        """Make the wires and nodes what the world is now."""
        now = self._clock.wall()
        for name, plant in self._opcua.items():
            device, troubles = self.world.devices[name], self.world.of_instrument(name)
            await plant.update(name, now + self.world.skew(name), device.values(), device.states(), troubles)
        for line, plant in self._plants.items():
            plant.silence(on=any(each.kind == "subscription-silence" for each in self.world.of_line(line)))
        for line, gate in self._gates.items():
            await self._shut_or_open(line, gate)
        for uplink, link in self._links.items():
            await trouble_link(link, self.world.of_uplink(uplink))
        self.each(now)

    async def _shut_or_open(self, line: str, gate: ModbusPlant | Link) -> None:
        troubles = self.world.of_line(line)
        kinds = {each.kind for each in troubles}
        shut = not kinds.isdisjoint({"refuse", "reboot"})
        if shut != (line in self._shut):
            self._shut ^= {line}
            await gate.refuse(on=shut)
        if isinstance(gate, Link):
            gate.stalled = "silent" in kinds
            gate.delay = sum(each.by or 0 for each in troubles if each.kind in {"slow", "late"}) / 1000
            if "session-drop" in kinds:
                gate.cut()


async def trouble_link(link: Link, troubles: Sequence[Trouble]) -> None:
    """Make a link what its troubles have it now."""
    kinds = {each.kind: each for each in troubles}
    await link.refuse(on="link-cut" in kinds)
    link.stalled = "link-stall" in kinds
    link.rate = kinds["link-slow"].rate if "link-slow" in kinds else None


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
