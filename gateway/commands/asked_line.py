"""A line as `probe` and `scan` ask it: through the running agent that holds it, else opened for the time being."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, cast

from parkgate.config.language import say
from parkgate.config.site import Line, Site
from parkgate.drivers.catalog import open_driver
from parkgate.drivers.faults import Fault, Garbled, Silent, Unreachable, Unusable
from parkgate.drivers.identity import Identity
from parkgate.drivers.modbus.asking import AskedDriver
from parkgate.drivers.modbus.frames import Traced
from parkgate.drivers.modbus.plan import Block
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.control.client import NotRunning, ask
from parkgate.gateway.control.server import SOCKET

PATIENCE = 90.0
"""Seconds to wait for an agent's answer: a question waits for the turn that is under way."""
_KINDS: Mapping[str, type[Fault]] = {each.__name__: each for each in (Unreachable, Silent, Garbled, Unusable)}
_NOBODY = (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)


class AskedLine(Protocol):
    """A line for the length of a context."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def ask(self, unit: int, block: Block) -> bytes | int:
        """Ask a unit for one block; give its data, or the code of an exception reply."""
        ...

    async def identify(self, unit: int) -> Identity | None:
        """Ask a unit what it is."""
        ...


class OwnLine:
    """A line that nobody else holds, through its real driver; one that hangs up at a question is opened again.

    Raises:
        Unreachable: it cannot be opened.

    """

    def __init__(self, line: Line, traced: Traced | None) -> None:
        self._line = line
        self._driver = cast("AskedDriver", open_driver(line, (), SystemClock().now))
        self._driver.trace(traced)
        self._open = False
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def ask(self, unit: int, block: Block) -> bytes | int:
        """Ask a unit for one block."""
        driver = await self._opened()
        try:
            return await driver.ask(unit, block)
        except Unreachable as fault:  # it hung up at this question, or is gone
            await self._leave()
            await self._opened()
            raise Silent(fault.what, where=fault.where, hint=fault.hint) from fault

    async def identify(self, unit: int) -> Identity | None:
        """Ask a unit what it is; None also where the question costs the connection."""
        driver = await self._opened()
        try:
            return await driver.who(unit)
        except Unreachable:
            await self._leave()
            return None

    async def _opened(self) -> AskedDriver:
        if not self._open:
            await self._stack.enter_async_context(self._driver)
            self._open = True
        return self._driver

    async def _leave(self) -> None:
        self._open = False
        await self._stack.aclose()


class AgentLine:
    """A line of a running agent, asked through its control socket: between the line's own turns."""

    def __init__(self, socket: Path, line: Line, traced: Traced | None) -> None:
        self._socket = socket
        self._line = line
        self._traced = traced

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def ask(self, unit: int, block: Block) -> bytes | int:
        """Ask a unit for one block."""
        answer = await self._answer("ask", unit=unit, table=block.table, start=block.start, count=block.count)
        return bytes.fromhex(answer["data"]) if "data" in answer else int(answer["code"])

    async def identify(self, unit: int) -> Identity | None:
        """Ask a unit what it is; None also where the question costs the connection."""
        try:
            told = (await self._answer("identify", unit=unit))["identity"]
        except Unreachable:
            return None
        return Identity(**told) if told else None

    async def _answer(self, verb: str, **question: object) -> Mapping[str, Any]:
        request = {"verb": verb, "line": self._line.name, **question}
        return await asyncio.to_thread(agent_answer, self._socket, request, self._show)

    def _show(self, answer: Mapping[str, Any]) -> None:
        for sent, frame in answer.get("frames", ()):
            if self._traced is not None:
                self._traced(sent, bytes.fromhex(frame))


def agent_answer(
    socket: Path, request: Mapping[str, object], show: Callable[[Mapping[str, Any]], None] = lambda _: None
) -> Mapping[str, Any]:
    """Give a running agent's answer to a question for one of its lines; `show` is given it also where it is a fault.

    Raises:
        Fault: that of the line, of its own kind; or the agent does not know the question.
        NotRunning: it does not answer.

    """
    answer = ask(socket, request, timeout=PATIENCE)
    show(answer)
    if fault := answer.get("fault"):
        kind = _KINDS.get(fault["kind"], Fault)
        raise kind(fault["what"], where=fault["where"], hint=fault["hint"])
    if "error" in answer or not answer:
        raise Fault(
            say("the running agent does not answer this: {error}", error=answer.get("error", "-")),
            where=str(socket),
            hint=say("If the site file or the version has changed, start the agent again."),
        )
    return answer


def agent_of(site: Site) -> Path | None:
    """Give the control socket of a site's agent, None where none runs.

    Raises:
        NotRunning: an agent may run but cannot be asked, so that the lines may be in use.

    """
    socket = site.gateway.data / SOCKET
    try:
        ask(socket, {"verb": "account"})
    except NotRunning as fault:
        if isinstance(fault.__cause__, _NOBODY):
            return None
        raise
    return socket


def asked_line(agent: Path | None, line: Line, traced: Traced | None) -> AskedLine:
    """Give a line: through the agent that runs, if one does, else opened here."""
    return OwnLine(line, traced) if agent is None else AgentLine(agent, line, traced)


def free_it(fault: Unreachable) -> Unreachable:
    """Give a fault of opening a line with how to reach it where the agent itself has it."""
    hint = say("{hint} If the agent has it: parkgate scan SITE LINE", hint=fault.hint)
    return Unreachable(fault.what, where=fault.where, hint=hint)
