"""The commissioning check, run at the cabinet: is everything there that the agent will need, and does it answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from parkgate.config.language import say
from parkgate.config.site import Site
from parkgate.drivers.catalog import opener
from parkgate.gateway.clock import Clock
from parkgate.gateway.commands import cabinet_checks
from parkgate.gateway.commands.finding import Finding, Result
from parkgate.gateway.commands.line_checks import check_line, of_running_agent
from parkgate.gateway.commands.review import Review
from parkgate.gateway.commands.uplink_checks import check_uplink
from parkgate.gateway.control.client import NotRunning, ask
from parkgate.gateway.control.server import SOCKET

PATIENCE = 2.0
"""Seconds after which a terminal shows what is still waited for."""
_REFRESH = 0.2


async def commission(reviewed: Review, clock: Clock, console: Console) -> list[Finding]:
    """Look at everything: the gateway itself, then all lines and all uplinks side by side, in the site file's order.

    Lines that a running agent holds are not opened beside it: a line has one master. They are told as the agent has
    them.
    """
    site = reviewed.site
    data = site.gateway.data
    findings = [
        cabinet_checks.clock(clock.now(), clock.synchronised()),
        cabinet_checks.data_folder(data),
        cabinet_checks.disk(site),
    ]
    waiting = _Waiting()
    async with _shown(console, waiting):
        agent, answer = await waiting.on(say("the agent"), _agent(site))
        opening = opener(site.gateway)
        lines = [] if agent.result is Result.PROBLEM or answer else [
            waiting.on(line.name, check_line(line, site.on(line), opening, clock.now)) for line in site.lines
        ]  # fmt: skip
        largest = max(reviewed.largest.values())
        uplinks = [waiting.on(each.name, check_uplink(each, site.gateway, largest)) for each in site.uplinks]
        rest = await asyncio.gather(*lines, *uplinks)
    findings.append(agent)
    if answer:
        findings += of_running_agent(answer, site.path)
    elif agent.result is not Result.PROBLEM:  # nobody has the file open
        findings += cabinet_checks.outbox(data)
    return [*findings, *(finding for each in rest for finding in each)]


async def _agent(site: Site) -> tuple[Finding, dict[str, Any]]:
    """Tell whether an agent runs on this data folder, and what it says of itself; nothing where none does."""
    path = site.gateway.data / SOCKET
    try:
        answer = await asyncio.to_thread(ask, path, {"verb": "status"})
    except NotRunning as fault:
        if isinstance(fault.__cause__, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
            return Finding("agent", "", Result.OK, say("no agent runs: the lines are free to be tried")), {}
        return Finding("agent", "", Result.PROBLEM, _held(fault.what), fault.hint), {}
    if "lines" not in answer:
        stop = say("Stop what listens there, and run the check again.")
        return Finding("agent", "", Result.PROBLEM, _held(say("what listens there is no agent")), stop), {}
    found = say("an agent runs (version {version}): its lines are not opened beside it", version=answer["version"])
    advice = say("To have every instrument read by this check, stop the agent first.")
    return Finding("agent", "", Result.OK, found, advice), answer


def _held(what: str) -> str:
    return say("{what}; the lines may be in use and were not opened", what=what)


@dataclass(slots=True)
class _Waiting:
    """What has not answered yet, by name."""

    names: list[str] = field(default_factory=list)

    async def on(self, name: str, work: Awaitable[Any]) -> Any:
        """Wait for something under a name."""
        self.names.append(name)
        try:
            return await work
        finally:
            self.names.remove(name)


@asynccontextmanager
async def _shown(console: Console, waiting: _Waiting) -> AsyncIterator[None]:
    """Show on a terminal what is waited for, once that takes long."""
    task = asyncio.create_task(_show(console, waiting)) if console.is_terminal else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


async def _show(console: Console, waiting: _Waiting) -> None:
    await asyncio.sleep(PATIENCE)
    with console.status("") as status:
        while True:
            status.update(say("waiting for {names}", names=", ".join(waiting.names)))
            await asyncio.sleep(_REFRESH)
