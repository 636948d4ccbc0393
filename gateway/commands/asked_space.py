"""An OPC UA session as `probe` and `scan` ask it: that of the running agent, else one of its own for the time being."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from parkgate.config.site import Line
from parkgate.drivers.application import Application
from parkgate.drivers.catalog import open_driver
from parkgate.drivers.opcua.asking import AskedDriver
from parkgate.drivers.opcua.space import Answer, Asked, Child, Limits, Page
from parkgate.gateway.clock import SystemClock
from parkgate.gateway.commands.asked_line import agent_answer


class AgentSpace:
    """The session of a running agent, asked through its control socket: between the line's own turns."""

    def __init__(self, socket: Path, line: Line) -> None:
        self._socket = socket
        self._line = line

    async def limits(self) -> Limits:
        """Give what the server allows at once."""
        told = (await self._answer("limits"))["limits"]
        return Limits(**{**told, "namespaces": tuple(told["namespaces"])})

    async def browse(self, nodes: Sequence[str], *, up: bool = False) -> Sequence[Page]:
        """Give for each node those below it, or with `up` those above it."""
        return [_page(each) for each in (await self._answer("browse", nodes=nodes, up=up))["pages"]] if nodes else ()

    async def more(self, points: Sequence[str]) -> Sequence[Page]:
        """Give the next page of each that has one."""
        return [_page(each) for each in (await self._answer("more", points=points))["pages"]] if points else ()

    async def read(self, questions: Sequence[tuple[str, int]]) -> Sequence[Answer]:
        """Give one attribute of each node."""
        if not questions:
            return ()
        return [Answer(**each) for each in (await self._answer("read", questions=questions))["answers"]]

    async def _answer(self, what: str, **question: object) -> Mapping[str, Any]:
        request = {"verb": "inquire", "line": self._line.name, "what": what, **question}
        return await asyncio.to_thread(agent_answer, self._socket, request)


def _page(told: Mapping[str, Any]) -> Page:
    return Page(**{**told, "children": tuple(Child(**each) for each in told["children"])})


@asynccontextmanager
async def asked_space(agent: Path | None, line: Line, application: Application) -> AsyncIterator[Asked]:
    """Give a session: that of the agent that runs, if one does, else one opened here by this application's keys.

    Raises:
        Unreachable: there is no connection, the server is not trusted, or it gives no session.
        Unusable: the line's URL or its security cannot be used.

    """
    if agent is not None:
        yield AgentSpace(agent, line)
        return
    async with cast("AskedDriver", open_driver(line, (), SystemClock().now, application)) as driver:
        yield driver.asked()
